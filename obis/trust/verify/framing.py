"""Files that hold many objects: each behind its length, 4 bytes, big-endian."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from obis.refusal import Refused
from obis.trust.envelope import MAX_ENVELOPE_BYTES
from obis.v1.reason_pb2 import Reason

_LENGTH_BYTES: Final = 4


def frames(content: bytes, path: str) -> Iterator[bytes]:
    """The objects in order. Raises Refused MALFORMED for a length that does not fit."""
    position = 0
    while position < len(content):
        begin = position + _LENGTH_BYTES
        length = int.from_bytes(content[position:begin])
        position = begin + length
        if position > len(content) or not 0 < length <= MAX_ENVELOPE_BYTES:
            raise Refused(Reason.REASON_MALFORMED, f"a length at offset {begin - _LENGTH_BYTES} does not fit", path)
        yield content[begin:position]
