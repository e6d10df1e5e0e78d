"""The clock's numbered rules."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgehsm.boundary.clock import MAX_BOOTS_WITHOUT_BEACON, Clocks, Mark, beacon, read
from obis.v1.scope_pb2 import TimeQuality

DAY = 86_400
NOON = Clocks(1_800_000_000, 5_000, "boot-1")


def quality(reading) -> str:
    return TimeQuality.Name(reading.quality).removeprefix("TIME_QUALITY_")


@pytest.fixture
def mark() -> Mark:
    return read(Mark(), NOON)[1]


def later(seconds: int, wall: int | None = None) -> Clocks:
    return Clocks(NOON.wall + (seconds if wall is None else wall), NOON.boottime + seconds, "boot-1")


def test_rule_6_a_new_boundary_has_its_wall_clock_alone():
    reading, kept = read(Mark(), NOON)

    assert (reading.now, quality(reading), kept.high_water) == (NOON.wall, "WALL_CLOCK", NOON.wall)


@settings(deadline=None)  # a busy machine is not a failure
@given(st.lists(st.tuples(st.integers(-10 * DAY, 10 * DAY), st.integers(0, DAY), st.booleans()), max_size=20))
def test_rule_1_time_never_goes_back_whatever_the_clocks_say(steps):
    kept, clocks, before = Mark(), NOON, 0
    for jump, passed, reboots in steps:
        boot, boottime = (clocks.boot_id + "x", passed) if reboots else (clocks.boot_id, clocks.boottime + passed)
        clocks = Clocks(max(1, clocks.wall + jump), boottime, boot)
        reading, kept = read(Mark.decode(kept.encode()), clocks)
        assert reading.now >= before
        before = reading.now


def test_rule_2_after_a_reboot_time_goes_on_from_the_mark(mark):
    reading, _ = read(mark, Clocks(1, 600, "boot-2"))

    assert (reading.now, quality(reading)) == (NOON.wall + 600, "REGRESSED")


def test_rule_3_the_wall_clock_moves_the_mark_within_a_day(mark):
    reading, kept = read(mark, later(10, wall=DAY))

    assert (reading.now, kept.high_water) == (NOON.wall + DAY, NOON.wall + DAY)


def test_rule_4_a_wall_clock_that_went_back_stops_nothing(mark):
    reading, _ = read(mark, later(100, wall=-30 * DAY))

    assert (reading.now, quality(reading)) == (NOON.wall + 100, "REGRESSED")


def test_rule_5_one_forward_jump_closes_no_window_for_ever(mark):
    far = later(10, wall=400 * DAY)
    reading, kept = read(mark, far)

    assert (reading.now, reading.claimed, quality(reading)) == (NOON.wall + 10, far.wall, "SUSPECT")
    assert read(kept, later(20))[0].now == NOON.wall + 20


def test_rule_5_a_beacon_ends_the_doubt(mark):
    away = Clocks(NOON.wall + 3 * DAY, 60, "boot-2")  # switched off over a long weekend
    assert read(mark, away)[0].suspect

    reading, _ = read(beacon(mark, away, away.wall - 5), away)

    assert (reading.now, quality(reading)) == (away.wall, "BEACONED")


def test_a_beacon_is_a_lower_bound_and_never_moves_time_back(mark):
    old = beacon(mark, NOON, NOON.wall - 100 * DAY)

    assert read(old, NOON)[0].now == NOON.wall


def test_time_that_was_beaconed_is_held_after_a_reboot(mark):
    told = beacon(mark, NOON, NOON.wall + 10)

    assert quality(read(told, Clocks(NOON.wall + 400, 60, "boot-2"))[0]) == "HELD"


def test_rule_7_power_cycling_does_not_freeze_time_for_ever(mark):
    for number in range(MAX_BOOTS_WITHOUT_BEACON + 1):
        reading, mark = read(mark, Clocks(NOON.wall + number, 1, f"boot-{number + 2}"))
    assert reading.suspect

    told = beacon(mark, replace(NOON, boot_id="boot-66"), NOON.wall + 1000)
    assert not read(told, Clocks(NOON.wall + 1000, 2, "boot-66"))[0].suspect
