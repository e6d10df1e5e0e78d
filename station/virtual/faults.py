"""Faults on demand, for tests and the demo; a server takes them only when it was started with --faults.

power_cut       after the chip has done the next N operations it loses power: RAM gone, connection gone
flipped_frame   one bit of the next reply is turned
silence         the chip answers nothing more until power comes back
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """Which."""

    POWER_CUT = "power_cut"
    FLIPPED_FRAME = "flipped_frame"
    SILENCE = "silence"


@dataclass
class Faults:
    """What is armed on one socket: each goes off once, `after` operations from now."""

    kind: Fault | None = None
    after: int = 0

    def arm(self, kind: Fault, after: int) -> None:
        """From now on."""
        self.kind, self.after = kind, after

    def due(self) -> Fault | None:
        """What happens to this operation; a silence stays."""
        if self.kind is None:
            return None
        if self.after > 0:
            self.after -= 1
            return None
        due = self.kind
        if due is not Fault.SILENCE:
            self.kind = None
        return due

    def clear(self) -> None:
        """Another unit."""
        self.kind = None


def flip(frame: bytes) -> bytes:
    """The frame with one bit turned behind its length."""
    return frame[:-1] + bytes([frame[-1] ^ 0x10])
