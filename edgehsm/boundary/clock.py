"""What time it is where nobody can be asked: a mark that never goes back, carried by the boot-time clock.

Rules (docs/threat-model.md, "whoever moves the clock"):
 1. now >= the high-water mark, and never goes back with kept state.
 2. The estimate is the greatest of the mark, the anchor plus the boot-time clock's delta, and the last beacon. After a
    reboot the anchor is the mark itself at boot-time 0: at least that much time has passed.
 3. The wall clock is a hint. Within a day after the estimate it is taken, and the mark moves with it.
 4. A wall clock before the estimate (by more than a minute) is REGRESSED: the estimate counts. No stop: batteries die.
 5. A wall clock more than a day after the estimate is SUSPECT: the estimate counts, the mark stays, until a beacon
    speaks. Whether an answer may depend on it is the gate's rule 8.
 6. With neither mark nor beacon (a new boundary) the wall clock is all there is: WALL_CLOCK.
 7. Too many boots without a beacon are SUSPECT: power-cycling must not freeze time for ever.
There is no knob. What the clocks say is handed in; time can only shorten authority.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, replace
from typing import Final

from obis.v1.scope_pb2 import TimeQuality

MAX_STEP_SECONDS: Final = 86_400  # rule 5
REGRESSION_TOLERANCE_SECONDS: Final = 60  # rule 4: an NTP step is not an attack
MAX_BOOTS_WITHOUT_BEACON: Final = 64  # rule 7


_SUSPECT: Final = TimeQuality.TIME_QUALITY_SUSPECT


@dataclass(frozen=True, slots=True)
class Clocks:
    """What the machine says: wall clock and boot-time clock in seconds, and which boot this is."""

    wall: int
    boottime: int
    boot_id: str


@dataclass(frozen=True, slots=True)
class Mark:
    """What is kept: durable with every commit."""

    high_water: int = 0
    anchor_time: int = 0
    anchor_boottime: int = 0
    boot_id: str = ""
    beacon_time: int = 0
    beacon_boot_id: str = ""
    boots_since_beacon: int = 0

    def encode(self) -> bytes:
        """For the store."""
        return json.dumps(astuple(self), separators=(",", ":")).encode()

    @classmethod
    def decode(cls, kept: bytes) -> Mark:
        """From the store; raises ValueError or TypeError for what `encode` did not write."""
        return cls(*json.loads(kept))


@dataclass(frozen=True, slots=True)
class Reading:
    """The time, in Unix seconds; `claimed` is the wall clock's, which differs from `now` where it is not believed."""

    now: int
    claimed: int
    quality: TimeQuality.ValueType

    @property
    def suspect(self) -> bool:
        """Whether time may be much later than `now`."""
        return self.quality == _SUSPECT


def read(mark: Mark, clocks: Clocks) -> tuple[Reading, Mark]:
    """The time and the mark to keep."""
    mark = _in_this_boot(mark, clocks)
    estimate = max(mark.high_water, mark.beacon_time, mark.anchor_time + clocks.boottime - mark.anchor_boottime)
    quality = _quality(mark, clocks, estimate)
    believed = quality not in (TimeQuality.TIME_QUALITY_SUSPECT, TimeQuality.TIME_QUALITY_REGRESSED)
    now = max(estimate, clocks.wall) if believed else estimate
    return Reading(now, clocks.wall, quality), replace(mark, high_water=now)


def beacon(mark: Mark, clocks: Clocks, time: int) -> Mark:
    """The mark after a verified beacon (a lower bound for time, Unix seconds). One far ahead ends rule 5's doubt."""
    mark = _in_this_boot(mark, clocks)
    known = max(mark.beacon_time, time)
    return replace(mark, beacon_time=known, beacon_boot_id=clocks.boot_id, boots_since_beacon=0)


def _in_this_boot(mark: Mark, clocks: Clocks) -> Mark:
    """Rule 2, and rule 6's beginning: a mark that was never set is anchored at the wall clock."""
    if not mark.high_water:
        return replace(
            mark,
            high_water=clocks.wall,
            anchor_time=clocks.wall,
            anchor_boottime=clocks.boottime,
            boot_id=clocks.boot_id,
        )
    if mark.boot_id == clocks.boot_id:
        return mark
    return replace(
        mark,
        anchor_time=mark.high_water,
        anchor_boottime=0,
        boot_id=clocks.boot_id,
        boots_since_beacon=mark.boots_since_beacon + 1,
    )


def _quality(mark: Mark, clocks: Clocks, estimate: int) -> TimeQuality.ValueType:
    if clocks.wall > estimate + MAX_STEP_SECONDS or mark.boots_since_beacon > MAX_BOOTS_WITHOUT_BEACON:
        return TimeQuality.TIME_QUALITY_SUSPECT
    if clocks.wall < estimate - REGRESSION_TOLERANCE_SECONDS:
        return TimeQuality.TIME_QUALITY_REGRESSED
    if mark.beacon_boot_id and mark.beacon_boot_id == clocks.boot_id:
        return TimeQuality.TIME_QUALITY_BEACONED
    return TimeQuality.TIME_QUALITY_HELD if mark.beacon_time else TimeQuality.TIME_QUALITY_WALL_CLOCK
