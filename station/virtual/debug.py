"""The debug port: one challenge at a time, one attempt a challenge, a time-box once open.

The time-box is the chip's own: it counts by `clock`, seconds that never go back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from google.protobuf.message import DecodeError

from obis.v1.device_objects_pb2 import DebugChallenge, DebugResponse, Lifecycle
from obis.v1.scope_pb2 import DeviceId


@dataclass
class DebugPort:
    """The port of one chip; a new one is a closed one."""

    clock: Callable[[], float] = time.monotonic
    outstanding: bytes = b""
    permissions: int = 0
    open_until: float | None = field(default=None)

    @property
    def is_open(self) -> bool:
        """Open, and its time-box not over."""
        return self.open_until is not None and self.clock() < self.open_until

    def challenge(self, device: DeviceId, lifecycle: Lifecycle.ValueType, nonce: bytes) -> bytes:
        """The exact DebugChallenge bytes, remembered until an attempt; `nonce` is 32 random bytes."""
        asked = DebugChallenge(device=device, nonce=nonce, lifecycle=lifecycle, port=0)
        self.outstanding = asked.SerializeToString(deterministic=True)
        return self.outstanding

    def open(self, payload: bytes | None, device: DeviceId) -> bool:
        """Opens for a response (signature already checked, or None) to the outstanding challenge, which is used up."""
        asked, self.outstanding = self.outstanding, b""
        if not asked or payload is None:
            return False
        try:
            answer = DebugResponse.FromString(payload)
        except DecodeError:
            return False
        if answer.challenge_digest != sha256(asked).digest() or answer.device != device:
            return False
        self.permissions, self.open_until = answer.permissions, self.clock() + answer.time_box_seconds
        return True
