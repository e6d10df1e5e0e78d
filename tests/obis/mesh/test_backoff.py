import grpc
import pytest

from obis.mesh.backoff import UPLINK, Backoff, did_not_arrive
from obis.refusal import Kind, Refused, kind_of
from obis.v1 import reason_pb2
from obis.v1.reason_pb2 import Reason

LOST = Refused(reason_pb2.REASON_UNREACHABLE, "gone")
ANSWERS = [each for each in Reason.values() if each and kind_of(each) not in {Kind.UNREACHABLE, Kind.TIMED_OUT}]


class Link:
    """Fails as often as told; notes how long somebody waited in between."""

    def __init__(self, *failures):
        self.failures, self.waited, self.calls = list(failures), [], 0

    async def sleep(self, seconds):
        self.waited.append(seconds)

    async def call(self, backoff):
        async for attempt in backoff.retrying(sleep=self.sleep):
            with attempt:
                self.calls += 1
                if self.failures:
                    raise self.failures.pop(0)
        return "arrived"


async def test_what_did_not_arrive_is_tried_again():
    link = Link(LOST, Refused(reason_pb2.REASON_DEADLINE_EXCEEDED, "late"))

    assert await link.call(UPLINK) == "arrived"
    assert link.calls == 3


@pytest.mark.parametrize("reason", ANSWERS, ids=Reason.Name)
async def test_an_answer_is_an_answer(reason):
    link = Link(Refused(reason, "no"))

    with pytest.raises(Refused):
        await link.call(UPLINK)
    assert link.calls == 1


async def test_waits_are_jittered_and_bounded():
    link = Link(*[LOST] * 400)
    await link.call(UPLINK)

    assert all(wait <= bound for wait, bound in zip(link.waited[:9], [2**n for n in range(9)], strict=True))
    assert max(link.waited) <= 300
    assert min(link.waited[20:]) < 30  # drawn from zero on: nobody comes back in step
    assert max(link.waited[20:]) > 270


async def test_giving_up_raises_the_last_error_itself():
    link = Link(*[LOST] * 5)

    with pytest.raises(Refused):
        await link.call(Backoff(attempts=3))
    assert link.calls == 3


def test_a_bare_status_is_judged_by_its_code():
    lost, refused = grpc.RpcError(), grpc.RpcError()
    lost.code, refused.code = lambda: grpc.StatusCode.UNAVAILABLE, lambda: grpc.StatusCode.PERMISSION_DENIED

    assert did_not_arrive(lost)
    assert not did_not_arrive(refused)
    assert not did_not_arrive(grpc.RpcError())
    assert not did_not_arrive(ValueError())
