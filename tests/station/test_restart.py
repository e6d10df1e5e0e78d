"""A station that stops anywhere goes on where it stopped; and what it leaves behind holds no passcode."""

import asyncio
from dataclasses import replace

import pytest

from obis.matter.onboarding import parse_qr_code
from obis.refusal import Refused
from obis.v1.reason_pb2 import Reason
from station.actions import Mark, Result
from station.bench import Run
from station.session import Session
from tests.station.gate import Gate
from tests.station.orders import Making
from tests.station.test_session import Station

STEPS = (
    *("Identify", "LoadAgent", "MakeKey", "Ask", "Install", "Program", "ReadBack", "Print", "Burn", "SecureBoot"),
    *("Lock", "TakeReport", "Tell"),
)


class StoppedError(BaseException):
    """The process is gone: nothing after this is run, not even a handler of ours."""


class DyingRun(Run):
    """Dies just before, or just after, the first action of a kind."""

    kind, before = "", True

    async def _perform(self, action):
        if self.before and type(action).__name__ == self.kind:
            raise StoppedError
        following = await super()._perform(action)
        if type(action).__name__ == self.kind:
            raise StoppedError
        return following


async def die_at(station, socket, kind, *, before):
    run = DyingRun(station.bench, socket.chip, Session(station.bench.order, "20260922"), started=0.0)
    run.kind, run.before = kind, before
    with pytest.raises(StoppedError):
        await run.to_end(power_cuts_left=1)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("kind", STEPS)
async def test_a_station_killed_at_any_step_resumes_from_its_journal(tmp_path, chips, kind, before):
    gate = Gate()
    socket = chips("generic-wifi").socket(slot=4)
    await socket.place()
    async with Station(tmp_path, Making(), gate) as first:
        await die_at(first, socket, kind, before=before)
    async with Station(tmp_path, Making(), gate) as second:
        outcome = await second.bench.provision(socket.chip)

    assert outcome.finish.result is Result.PASS
    assert len(gate.issued) == len(gate.outcomes) == 1
    assert second.bench.journal.read(outcome.uid).mark is Mark.DONE


async def test_the_outcome_is_repeated_byte_for_byte(tmp_path, chips):
    gate = Gate()
    socket = chips("generic-wifi").socket(slot=4)
    await socket.place()
    async with Station(tmp_path, Making(), gate) as first:
        await die_at(first, socket, "Tell", before=False)
    async with Station(tmp_path, Making(), gate) as second:
        await second.bench.provision(socket.chip)

    steps = [step.outcome for message in gate.messages for step in message.steps if step.HasField("outcome")]
    assert len(steps) == 2
    assert steps[0].SerializeToString() == steps[1].SerializeToString()


async def test_a_failed_unit_may_be_tried_again(tmp_path, chips):
    gate = Gate(no={"firmware": Reason.REASON_DAY_LIMIT_REACHED})
    socket = chips("generic-wifi").socket(slot=4)
    await socket.place()
    async with Station(tmp_path, Making(), gate) as station:
        failed = await station.bench.provision(socket.chip)
        gate.no.clear()
        again = await station.bench.provision(socket.chip)

    assert (failed.finish.result, again.finish.result) == (Result.FAIL, Result.PASS)
    assert len(gate.issued) == 1


async def test_a_passcode_is_on_no_disk_and_in_no_message(tmp_path, chips, capfd):
    """What would give a passcode away: the number, the codes, the verifier; looked for in files, output and steps."""
    gate = Gate()
    async with Station(tmp_path, Making(), gate) as station:
        for _ in range(3):
            socket = chips("generic-wifi").socket(slot=4)
            await socket.place()
            assert (await station.bench.provision(socket.chip)).finish.result is Result.PASS
            socket.close()
    files = await asyncio.to_thread(lambda: [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()])
    said = "".join(capfd.readouterr()).encode()
    sent = [message.SerializeToString() for message in gate.messages]
    everything = b"\0".join([*files, said, *sent])

    assert len(station.labels) == 3
    assert gate.messages[0].steps[0].device.uid.hex().encode() in everything  # the search finds what is there
    for label in station.labels:
        passcode = parse_qr_code(label.qr_code).passcode
        for trace in secret_traces(label, passcode):
            assert trace not in everything
        assert str(passcode) not in repr(label)
        assert label.qr_code not in repr(label)


def secret_traces(label, passcode):
    yield f"{passcode:08}".encode()
    yield label.qr_code.encode()
    yield label.manual_code.encode()
    yield passcode.to_bytes(4, "little") + b"\0"


async def test_a_label_that_is_not_the_unit_s_stops_before_the_lock(tmp_path, chips):
    async with Station(tmp_path, Making()) as station:
        socket = chips("generic-wifi").socket(slot=4)
        await socket.place()
        chip = socket.chip

        class Swapping:
            """A chip whose neighbour's factory data are read back."""

            def __getattr__(self, name):
                return getattr(chip, name)

            async def read_factory_data(self, blinding):
                data = await chip.read_factory_data(blinding)
                return replace(data, discriminator=data.discriminator ^ 1)

        outcome = await station.bench.provision(Swapping())

    assert isinstance(outcome.finish.refusal, Refused)
    assert outcome.finish.refusal.reason == Reason.REASON_LABEL_MISMATCH
    assert not station.labels
    assert (await chip.identify()).lifecycle == 3  # programmed, not locked
