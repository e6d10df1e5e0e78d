"""The wire between front and boundary: each message a 4-byte big-endian length, then so many bytes of protobuf."""

from __future__ import annotations

import struct
from typing import Final

LENGTH: Final = struct.Struct(">I")
MAX_FRAME_BYTES: Final = 2 << 20  # 256 steps of 4 KiB, or a sealed package and its envelopes, with room to spare


class FrameTooLarge(Exception):
    """A length beyond the limit: the peer is not what it claims, so the connection ends."""


def framed(message: bytes) -> bytes:
    """The message behind its length. Raises FrameTooLarge."""
    if len(message) > MAX_FRAME_BYTES:
        raise FrameTooLarge(f"{len(message)} bytes")
    return LENGTH.pack(len(message)) + message


def length_of(head: bytes) -> int:
    """The length in 4 bytes. Raises FrameTooLarge."""
    (length,) = LENGTH.unpack(head)
    if length > MAX_FRAME_BYTES:
        raise FrameTooLarge(f"{length} bytes")
    return int(length)
