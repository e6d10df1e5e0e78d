"""Frames between a station and a generic chip, over any byte stream.

    frame  = u32 length of the rest | u32 CRC-32 of what follows | u32 sequence | u8 code | fields
    field  = u8 tag | u32 length | value          (all big-endian)

A request's code is an Op, a reply's a Status. A reply repeats the request's sequence. A frame that arrives damaged is
asked for again with the same sequence; the chip answers a sequence it has answered before from memory, so that nothing
is done twice.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

MAX_FRAME_BYTES: Final = 1 << 20
_HEAD: Final = struct.Struct(">IIB")  # CRC, sequence, code
_FIELD: Final = struct.Struct(">BI")


class Op(IntEnum):
    """What is asked: of the handler that puts units on sockets (below 0x10), or of the chip."""

    ATTACH = 0x01
    PLACE = 0x02
    RECALL = 0x03
    FAULT = 0x04
    IDENTIFY = 0x10
    LOAD_AGENT = 0x11
    MAKE_KEY = 0x12
    READ_CSR = 0x13
    WRITE_DATA = 0x14
    READ_DATA = 0x15
    BEGIN_IMAGE = 0x16
    WRITE_IMAGE = 0x17
    END_IMAGE = 0x18
    SET_ROOTS = 0x19
    SECURE_BOOT = 0x1A
    LOCK = 0x1B
    REPORT = 0x1C
    CHALLENGE = 0x1D
    UNLOCK = 0x1E
    CLOSE = 0x1F


class Status(IntEnum):
    """The chip's answer in one octet."""

    OK = 0
    UNKNOWN_OP = 1
    BAD_VALUE = 2
    WRONG_STATE = 3
    LOCKED = 4
    KEY_EXISTS = 5
    NO_KEY = 6
    DIGEST_MISMATCH = 7
    SIGNATURE_INVALID = 8
    CHALLENGE_INVALID = 9
    FUSED = 10
    NOT_SUPPORTED = 11
    NO_UNIT = 12


class Tag(IntEnum):
    """Names of fields."""

    SOC = 1
    UID = 2
    REVISION = 3
    LIFECYCLE = 4
    DEBUG = 5
    DIGEST = 6
    DATA = 7
    SALT = 8
    OFFSET = 9
    SIZE = 10
    SIGNATURE = 11
    SECURE_BOOT_SPKI = 12
    DEBUG_SPKI = 13
    AUTH_ID = 14
    NONCE = 15
    SLOT = 16
    KIND = 17
    MINIMUM_VERSION = 18
    FUSES = 19
    KEY_AGREEMENT = 20


Fields = Mapping[Tag, bytes]


class FrameDamaged(Exception):
    """The frame's check sum, length or fields are wrong."""


@dataclass(frozen=True)
class Frame:
    """One request or reply."""

    sequence: int
    code: int
    fields: Fields = field(default_factory=dict)


def encode(frame: Frame) -> bytes:
    """The frame behind its length; raises ValueError above 1 MiB."""
    body = b"".join(_FIELD.pack(tag, len(value)) + value for tag, value in frame.fields.items())
    checked = struct.pack(">IB", frame.sequence, frame.code) + body
    whole = struct.pack(">I", zlib.crc32(checked)) + checked
    if len(whole) > MAX_FRAME_BYTES:
        raise ValueError("a frame is above 1 MiB")
    return struct.pack(">I", len(whole)) + whole


def decode(octets: bytes) -> Frame:
    """The frame in what follows the length; raises FrameDamaged."""
    if len(octets) < _HEAD.size or zlib.crc32(octets[4:]) != int.from_bytes(octets[:4]):
        raise FrameDamaged("the check sum of a frame is wrong")
    _, sequence, code = _HEAD.unpack_from(octets)
    try:
        return Frame(sequence, code, dict(_fields(octets, _HEAD.size)))
    except (struct.error, ValueError):
        raise FrameDamaged("the fields of a frame do not add up") from None


def _fields(octets: bytes, at: int) -> list[tuple[Tag, bytes]]:
    found = []
    while at < len(octets):
        tag, length = _FIELD.unpack_from(octets, at)
        at += _FIELD.size
        if at + length > len(octets):
            raise ValueError(tag)
        found.append((Tag(tag), octets[at : at + length]))
        at += length
    return found
