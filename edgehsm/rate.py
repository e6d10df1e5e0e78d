"""A token bucket a station: who floods waits alone."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

_REMEMBERED: Final = 4096  # stations


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class StationRates:
    """`per_second` steps of each station, and two seconds' worth at once."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._burst = 2 * per_second
        self._buckets: OrderedDict[bytes, _Bucket] = OrderedDict()

    def allowed(self, station: bytes, steps: int, now: float) -> int:
        """How many of these steps may go on now; `now` in seconds of any clock that does not go back."""
        bucket = self._buckets.setdefault(station, _Bucket(self._burst, now))
        self._buckets.move_to_end(station)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        bucket.left = min(self._burst, bucket.left + (now - bucket.at) * self._per_second)
        bucket.at = now
        taken = min(steps, int(bucket.left))
        bucket.left -= taken
        return taken
