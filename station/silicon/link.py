"""The wire to one socket: sends a frame, waits for its answer, asks again for a damaged one.

It holds one connection and opens it when needed. An answer that does not come within `patience_seconds`, or a
connection that ends, is Refused CHIP_UNRESPONSIVE; the next call begins a new connection, before which the chip has
lost its power.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from typing import Final

from obis.refusal import Refused
from obis.v1.reason_pb2 import Reason
from station.silicon.frames import MAX_FRAME_BYTES, Fields, Frame, FrameDamaged, Op, Status, Tag, decode, encode

REPEATS: Final = 2  # how often a damaged answer is asked for again


@dataclass(frozen=True)
class Place:
    """Where a socket is: unix:PATH or tcp:HOST:PORT, and the slot there."""

    address: str
    slot: int = 0


class Link:
    """A connection to one slot."""

    def __init__(self, place: Place, patience_seconds: float = 5) -> None:
        self._place, self._patience = place, patience_seconds
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._sequence = 0

    async def ask(self, op: Op, fields: Fields | None = None) -> Fields:
        """The chip's answer; raises Refused CHIP_UNRESPONSIVE or CHIP_REFUSED."""
        try:
            async with asyncio.timeout(self._patience):
                answer = await self._exchange(op, fields or {})
        except (TimeoutError, OSError, EOFError, FrameDamaged) as error:
            self.close()
            raise Refused(
                Reason.REASON_CHIP_UNRESPONSIVE, f"no whole answer ({type(error).__name__})", op.name.lower()
            ) from None
        if answer.code != Status.OK:
            said = Status(answer.code).name if answer.code in set(Status) else "an unknown status"
            raise Refused(Reason.REASON_CHIP_REFUSED, f"the chip said {said}", op.name.lower())
        return answer.fields

    def close(self) -> None:
        """Hangs up."""
        if self._streams:
            self._streams[1].close()
        self._streams = None

    async def _exchange(self, op: Op, fields: Fields) -> Frame:
        if self._streams is None:
            self._streams = await self._open()
            await self._send_and_receive(Op.ATTACH, {Tag.SLOT: bytes([self._place.slot])})
        return await self._send_and_receive(op, fields)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        kind, _, where = self._place.address.partition(":")
        if kind == "unix":
            return await asyncio.open_unix_connection(where)
        host, _, port = where.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def _send_and_receive(self, op: Op, fields: Fields) -> Frame:
        if self._streams is None:
            raise EOFError
        self._sequence += 1
        asked = encode(Frame(self._sequence, op, fields))
        for attempt in range(REPEATS + 1):
            self._streams[1].write(asked)
            await self._streams[1].drain()
            try:
                return await self._receive(self._streams[0])
            except FrameDamaged:
                if attempt == REPEATS:
                    raise
        raise EOFError

    async def _receive(self, reader: asyncio.StreamReader) -> Frame:
        (length,) = struct.unpack(">I", await reader.readexactly(4))
        if length > MAX_FRAME_BYTES:
            raise EOFError
        answer = decode(await reader.readexactly(length))
        if answer.sequence != self._sequence:
            raise EOFError
        return answer
