"""The Provision stream: what waits goes in one message, and nobody waits for more."""

import asyncio

import pytest

from obis.refusal import Refused, word
from obis.v1.provisioning_pb2 import DeviceStep, FirmwareStep, ProvisionResponse
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import DeviceId
from station.steps import refusal
from station.stream import ProvisionStream
from tests.station.gate import Gate


def step(number: int) -> DeviceStep:
    device = DeviceId(soc="generic-wifi", uid=number.to_bytes(6))
    return DeviceStep(auth_id=b"a" * 16, device=device, firmware=FirmwareStep(firmware_digest=bytes(32)))


async def with_stream(gate, work):
    stream = ProvisionStream(gate)
    running = asyncio.create_task(stream.run())
    try:
        return stream, await work(stream)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_thousand_waiting_steps_go_in_messages_of_at_most_256():
    gate = Gate()
    _, replies = await with_stream(gate, lambda stream: stream.ask([step(n) for n in range(1000)], 5))

    assert len(replies) == 1000
    assert [len(message.steps) for message in gate.messages] == [256, 256, 256, 232]


async def test_replies_in_any_order_reach_whoever_asked():
    class Backwards(Gate):
        async def __call__(self, requests):
            async for request in requests:
                self.messages.append(request)
                for each in reversed(request.steps):
                    yield ProvisionResponse(replies=[self.reply(each)])

    _, replies = await with_stream(Backwards(), lambda stream: stream.ask([step(n) for n in range(3)], 5))

    assert [reply.step_id for reply in replies] == [1, 2, 3]


async def test_nobody_is_kept_waiting_longer_than_its_patience():
    class Mute(Gate):
        async def __call__(self, requests):
            async for request in requests:
                self.messages.append(request)
            yield ProvisionResponse()

    with pytest.raises(Refused, match="UNREACHABLE"):
        await with_stream(Mute(), lambda stream: stream.ask([step(1)], 0.2))


async def test_a_stream_that_is_refused_tells_everybody_why():
    class Closed(Gate):
        async def __call__(self, requests):
            raise Refused(Reason.REASON_ROLE_NOT_ALLOWED, "not a station")
            yield

    with pytest.raises(Refused, match="ROLE_NOT_ALLOWED"):
        await with_stream(Closed(), lambda stream: stream.ask([step(1)], 5))


async def test_a_stream_that_was_replaced_takes_nothing_from_its_successor():
    """The old stream's sender wakes with the new one; were it to take a step, the step would wait for nobody."""

    class Leaving(Gate):
        opened = 0

        async def __call__(self, requests):
            Leaving.opened += 1
            if Leaving.opened == 1:
                Leaving.abandoned = asyncio.ensure_future(anext(requests))
                await asyncio.sleep(0)
                return
            async for request in requests:
                self.messages.append(request)
                yield ProvisionResponse(replies=[self.reply(each) for each in request.steps])

    async def work(stream):
        while Leaving.opened < 2:  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)
        return await stream.ask([step(1)], 2)

    gate = Leaving()
    _, replies = await with_stream(gate, work)

    assert len(replies) == 1
    with pytest.raises(StopAsyncIteration):
        await Leaving.abandoned


async def test_a_journal_that_cannot_be_written_keeps_the_unit(tmp_path, chips):
    """No room, no promise: the line stops with the unit on the bench instead of locking what it could not resume."""
    from station.journal import Journal
    from tests.station.orders import Making
    from tests.station.test_session import Station

    async with Station(tmp_path, Making()) as station:
        socket = chips("generic-wifi").socket(slot=3)
        await socket.place()
        station.bench.journal = Journal(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        with pytest.raises(Refused, match="STORAGE_FULL"):
            await station.bench.provision(socket.chip)

    assert (await socket.chip.identify()).lifecycle < 4


async def test_a_reason_of_a_later_version_is_an_answer_and_not_the_end():
    gate = Gate(no={"firmware": 9999})
    _, (reply,) = await with_stream(gate, lambda stream: stream.ask([step(1)], 2))

    assert word(refusal(reply.refused).reason) == "INTERNAL"
