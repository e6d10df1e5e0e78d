"""A unit's way through the station, with real chips in their own processes and a gate that a test can bend."""

import asyncio
from dataclasses import replace

import pytest

from obis.refusal import word
from obis.v1.reason_pb2 import Reason
from station.actions import Mark, Result
from station.bench import Bench, Materials
from station.journal import Journal
from station.silicon.registry import FAMILIES
from station.stream import ProvisionStream
from tests.station.gate import Gate
from tests.station.orders import AGENT, IMAGE, Making

SOCS = [each.soc for each in FAMILIES]


class Station:
    """A bench with its gate; `labels` is what was printed."""

    def __init__(self, folder, making, gate=None):
        self.gate, self.labels = gate or Gate(), []
        self.stream = ProvisionStream(self.gate)
        self.bench = Bench(
            order=making.order(),
            materials=Materials(IMAGE, making.agent),
            stream=self.stream,
            journal=Journal(folder / "journal"),
            print_label=self.labels.append,
            patience_seconds=5,
        )

    async def __aenter__(self):
        self.running = asyncio.create_task(self.stream.run())
        return self

    async def __aexit__(self, *_):
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)


@pytest.fixture
def at(tmp_path):
    return lambda soc="generic-wifi", gate=None, **making: Station(tmp_path, Making(soc=soc, **making), gate)


@pytest.mark.parametrize("soc", SOCS)
async def test_a_unit_of_every_family_passes_in_two_round_trips(at, chips, soc):
    async with at(soc) as station:
        socket = chips(soc).socket()
        await socket.place()
        outcome = await station.bench.provision(socket.chip)

    assert (outcome.finish.result, outcome.trips) == (Result.PASS, 2)
    assert len(station.gate.messages) == 2
    assert len(station.labels) == 1
    assert station.gate.outcomes[outcome.uid].passed
    assert station.bench.journal.read(outcome.uid).mark is Mark.DONE


async def test_a_chip_without_agent_and_secure_boot_passes_too(at, chips):
    async with at(agent=b"", secure_boot=False) as station:
        socket = chips("generic-wifi").socket()
        await socket.place()
        outcome = await station.bench.provision(socket.chip)

    assert outcome.finish.result is Result.PASS


async def test_units_of_many_sockets_share_messages(at, chips):
    async with at() as station:
        sockets = [chips("generic-wifi").socket(slot) for slot in range(8)]
        for each in sockets:
            await each.place()
        outcomes = await asyncio.gather(*(station.bench.provision(each.chip) for each in sockets))

    assert [each.finish.result for each in outcomes] == [Result.PASS] * 8
    assert len(station.gate.messages) < 16
    assert station.stream.counters.steps == 24


async def test_no_certificate_no_factory_data(at, chips):
    async with at(gate=Gate(no={"issue": Reason.REASON_QUANTITY_SPENT})) as station:
        socket = chips("generic-wifi").socket()
        await socket.place()
        outcome = await station.bench.provision(socket.chip)
        identity = await socket.chip.identify()

    assert (outcome.finish.result, word(outcome.finish.refusal.reason)) == (Result.REFUSED, "QUANTITY_SPENT")
    assert identity.lifecycle == 2  # keyed, nothing more
    assert not station.gate.outcomes
    assert not station.labels


async def test_a_unit_that_got_a_certificate_is_told_of_when_it_fails(at, chips):
    async with at(gate=Gate(no={"firmware": Reason.REASON_FIRMWARE_NOT_GRANTED})) as station:
        socket = chips("generic-wifi").socket()
        await socket.place()
        outcome = await station.bench.provision(socket.chip)

    assert outcome.finish.result is Result.FAIL
    told = station.gate.outcomes[outcome.uid]
    assert (told.passed, word(told.reason)) == (False, "FIRMWARE_NOT_GRANTED")
    assert not station.labels


async def test_a_certificate_for_another_key_is_not_written(at, chips):
    class Swapped(Gate):
        def issue(self, step):
            reply = super().issue(step)
            other = replace(self, issued={}).issued
            assert other == {}
            first = next(iter(self.issued.values()))[1]
            reply.issued.dac_der = first.dac_der
            return reply

    async with at(gate=Swapped()) as station:
        sockets = [chips("generic-wifi").socket(slot) for slot in (0, 1)]
        outcomes = []
        for each in sockets:
            await each.place()
            outcomes.append(await station.bench.provision(each.chip))

    assert [each.finish.result for each in outcomes] == [Result.PASS, Result.FAIL]
    assert word(outcomes[1].finish.refusal.reason) == "CERTIFICATE_LINT_FAILED"


async def test_a_lost_answer_is_asked_again_and_gives_the_same_certificate(at, chips):
    async with at() as station:
        socket = chips("generic-wifi").socket()
        await socket.place()
        outcome = await replace(station.bench, lose_first_answer=True).provision(socket.chip)

    assert outcome.finish.result is Result.PASS
    assert outcome.finish.repeated
    assert len(station.gate.issued) == 1


async def test_a_stream_that_breaks_is_opened_again_and_asked_the_same(at, chips):
    async with at(gate=Gate(break_after_messages=1)) as station:
        socket = chips("generic-wifi").socket()
        await socket.place()
        outcome = await station.bench.provision(socket.chip)

    assert outcome.finish.result is Result.PASS
    first, second = station.gate.messages[:2]
    assert [each.SerializeToString() for each in first.steps] == [each.SerializeToString() for each in second.steps]


async def test_not_now_is_asked_again(at, chips):
    gate = Gate(no={"issue": Reason.REASON_BOUNDARY_UNAVAILABLE})
    async with at(gate=gate) as station:
        socket = chips("generic-wifi").socket()
        await socket.place()
        asyncio.get_running_loop().call_later(0.3, gate.no.clear)
        outcome = await station.bench.provision(socket.chip)

    assert outcome.finish.result is Result.PASS


async def test_no_answer_at_all_leaves_the_unit_held_and_a_second_visit_ends_it(at, chips):
    gate = Gate(no={"outcome": Reason.REASON_BOUNDARY_UNAVAILABLE})
    async with at(gate=gate) as station:
        socket = chips("generic-wifi").socket()
        await socket.place()
        held = await replace(station.bench, patience_seconds=0.4).provision(socket.chip)
        gate.no.clear()
        again = await station.bench.provision(socket.chip)

    assert (held.finish.result, again.finish.result) == (Result.HELD, Result.PASS)
    assert again.finish.dac_digest == held.finish.dac_digest
    assert len(station.labels) == 1


async def test_a_clone_with_another_key_is_refused(at, chips):
    async with at() as station:
        socket = chips("generic-wifi").socket()
        await socket.place()
        first = await station.bench.provision(socket.chip)
        await socket.place(first.uid)
        clone = replace(station.bench, journal=station.bench.journal.without(first.uid))
        outcome = await clone.provision(socket.chip)

    assert (outcome.finish.result, word(outcome.finish.refusal.reason)) == (Result.REFUSED, "DEVICE_KEY_CHANGED")


async def test_a_finished_unit_is_not_made_twice(at, chips):
    async with at() as station:
        socket = chips("generic-wifi").socket()
        await socket.place()
        await station.bench.provision(socket.chip)
        again = await station.bench.provision(socket.chip)

    assert (again.finish.result, word(again.finish.refusal.reason)) == (Result.REFUSED, "STATE_CONFLICT")
    assert again.trips == 0


async def test_a_locked_unit_of_somebody_else_is_left_alone(at, chips, tmp_path):
    async with at() as station:
        socket = chips("generic-wifi").socket()
        await socket.place()
        await station.bench.provision(socket.chip)
        stranger = replace(station.bench, journal=Journal(tmp_path / "other"))
        outcome = await stranger.provision(socket.chip)

    assert (outcome.finish.result, word(outcome.finish.refusal.reason)) == (Result.FAIL, "CHIP_REFUSED")


@pytest.mark.parametrize("after", range(14))
async def test_power_cut_between_any_two_steps_is_survived(at, chips, after):
    """After N operations the chip loses power; the session goes on, one device is counted, one label stays valid."""
    async with at() as station:
        socket = chips("generic-wifi").socket()
        await socket.place()
        await socket.arm("power_cut", after)
        outcome = await station.bench.provision(socket.chip)

    assert outcome.finish.result is Result.PASS
    assert len(station.gate.issued) == 1


async def test_a_flipped_bit_on_the_wire_is_asked_for_again(at, chips):
    async with at() as station:
        socket = chips("generic-wifi").socket()
        await socket.place()
        await socket.arm("flipped_frame", 2)
        outcome = await station.bench.provision(socket.chip)

    assert (outcome.finish.result, outcome.trips) == (Result.PASS, 2)


async def test_a_silent_chip_fails_by_its_name(at, chips):
    async with at() as station:
        socket = chips("generic-wifi").socket(patience=0.2)
        await socket.place()
        await socket.arm("silence", 0)
        outcome = await station.bench.provision(socket.chip)

    assert word(outcome.finish.refusal.reason) == "CHIP_UNRESPONSIVE"
    assert outcome.finish.result is Result.FAIL
    assert AGENT  # nothing was loaded
