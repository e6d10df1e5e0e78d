"""One vocabulary: each reason has one kind, and comes out of the wire as it went in."""

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from obis.mesh.status import DETAILS_KEY, details, status_code, understand, understood
from obis.refusal import Kind, Refused, Violation, kind_of, reason_of, word
from obis.v1 import reason_pb2

REASONS = [value for value in reason_pb2.Reason.values() if value]


class Answer(grpc.RpcError):
    """What a call raises, without the call."""

    def __init__(self, code, said="", trailing=()):
        self.code, self.details, self.trailing_metadata = lambda: code, lambda: said, lambda: trailing


def over_the_wire(failure):
    return understand(Answer(status_code(failure), failure.what, ((DETAILS_KEY, details(failure)),)))


@pytest.mark.parametrize("reason", REASONS, ids=reason_pb2.Reason.Name)
def test_every_reason_has_a_kind(reason):
    assert kind_of(reason) in Kind


@pytest.mark.parametrize("reason", REASONS, ids=reason_pb2.Reason.Name)
def test_every_reason_survives_a_hop(reason):
    sent = Refused(reason, "what happened", where="batch 7", next_step="ask the OEM")

    got = over_the_wire(sent)

    assert (got.kind, got.reason) == (sent.kind, reason)
    assert (got.what, got.where, got.next_step) == ("what happened", "batch 7", "ask the OEM")


def test_the_word_has_no_prefix_and_is_understood():
    assert word(reason_pb2.REASON_QUANTITY_SPENT) == "QUANTITY_SPENT"
    assert reason_of("QUANTITY_SPENT") == reason_pb2.REASON_QUANTITY_SPENT
    with pytest.raises(ValueError, match="NO_SUCH_WORD"):
        reason_of("NO_SUCH_WORD")


def test_violations_survive_a_hop():
    sent = Refused(reason_pb2.REASON_MALFORMED, "no", violations=(Violation("steps[3].csr_der", "too long"),))

    assert over_the_wire(sent).violations == sent.violations


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, Kind.UNREACHABLE),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Kind.TIMED_OUT),
        (grpc.StatusCode.UNAUTHENTICATED, Kind.UNIDENTIFIED),
        (grpc.StatusCode.UNIMPLEMENTED, Kind.INTERNAL),
        (grpc.StatusCode.CANCELLED, Kind.INTERNAL),
    ],
)
def test_a_status_without_details_is_understood_by_its_code(code, kind):
    got = understand(Answer(code, "connection reset"), peer="th-01")

    assert got.kind is kind
    assert (got.where, "connection reset" in got.what) == ("th-01", True)


def test_a_word_of_a_newer_peer_keeps_its_kind():
    status = status_pb2.Status(code=7, message="a new rule")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="A_NEWER_WORD", domain="obis"))

    got = understand(Answer(grpc.StatusCode.PERMISSION_DENIED, "", ((DETAILS_KEY, status.SerializeToString()),)))

    assert got.kind is Kind.REFUSED
    assert got.what == "A_NEWER_WORD: a new rule"


@pytest.mark.parametrize("trailing", [((DETAILS_KEY, b"\xff\xff"),), ((DETAILS_KEY, "text"),), None])
def test_rubbish_in_the_details_is_no_crash(trailing):
    assert understand(Answer(grpc.StatusCode.UNAVAILABLE, "gone", trailing)).kind is Kind.UNREACHABLE


def test_around_a_call_the_error_comes_out_in_our_words():
    with pytest.raises(Refused, match="UNREACHABLE"), understood("th-01"):
        raise Answer(grpc.StatusCode.UNAVAILABLE, "gone")
