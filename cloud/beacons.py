"""Beacons: the cloud's word for what time it is at least, signed by the BEACON key.

The sequence is Unix milliseconds, raised by one where two fall together, so it keeps rising over a restart. One beacon
serves everybody for a second.
"""

from __future__ import annotations

import time

from obis.trust.envelope import Signer, make_envelope
from obis.trust.payload import BEACON
from obis.v1.envelope_pb2 import Envelope
from obis.v1.revocation_pb2 import Beacon


class Beacons:
    """Makes beacons, one a second at most."""

    def __init__(self, key: Signer) -> None:
        self._key = key
        self._sequence = 0
        self._newest: Envelope | None = None
        self._second = 0

    def fresh(self) -> Envelope:
        """A beacon of this second."""
        now_ms = time.time_ns() // 10**6
        if self._newest is None or now_ms // 1000 > self._second:
            self._second = now_ms // 1000
            self._sequence = max(self._sequence + 1, now_ms)
            beacon = Beacon(time=self._second, sequence=self._sequence)
            self._newest = make_envelope(BEACON, beacon.SerializeToString(deterministic=True), [self._key])
        return self._newest
