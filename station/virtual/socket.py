"""The sockets of one chip process: which unit is on which, and the frames between it and a station.

A connection attaches to a slot. In a pool, PLACE puts a new unit on the slot (with a uid of its own, or one named: a
clone) and RECALL brings back one that was there before, until the process ends. Without a pool a slot keeps the one
unit it began with: one device, one process.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from dataclasses import dataclass, field

from station.silicon.frames import MAX_FRAME_BYTES, Fields, Frame, FrameDamaged, Op, Status, Tag, decode, encode
from station.virtual.chip import Chip, No
from station.virtual.faults import Fault, Faults, flip
from station.virtual.sealed import Shelf


class Silent(Exception):
    """The chip gives no answer."""


class PowerLost(Exception):
    """The chip lost power in the middle of a conversation."""


@dataclass
class Slot:
    """One place for a unit."""

    unit: Chip
    faults: Faults = field(default_factory=Faults)


class Sockets:
    """All slots of this process, and the units that were on them."""

    def __init__(self, soc: str, uid_bytes: int, slots: int, shelf: Shelf, *, pool: bool, faults: bool) -> None:
        self._soc, self._uid_bytes, self._shelf = soc, uid_bytes, shelf
        self._pool, self._allow_faults = pool, faults
        before = None if pool or slots > 1 else shelf.first()
        self._slots = [Slot(before or self._new()) for _ in range(slots)]

    def _new(self) -> Chip:
        chip = Chip(self._soc, secrets.token_bytes(self._uid_bytes))
        self._shelf.put(chip)
        return chip

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        try:
            await Conversation(self, reader, writer).run()
        except (asyncio.IncompleteReadError, ConnectionError, FrameDamaged, PowerLost, asyncio.CancelledError):
            pass  # the station went away, speaks another protocol, a fault was asked for, or we stop: hang up
        finally:
            writer.close()

    def slot(self, number: int) -> Slot:
        """Raises No for a slot that is not there."""
        if not 0 <= number < len(self._slots):
            raise No(Status.NO_UNIT)
        return self._slots[number]

    def handle(self, slot: Slot, op: Op, asked: Fields) -> Fields:
        """The answer of handler or chip; raises No."""
        if op is Op.PLACE:
            return self._put(slot, self._placed(asked.get(Tag.UID, b"")))
        if op is Op.RECALL:
            return self._put(slot, self._recalled(asked[Tag.UID]))
        if op is Op.FAULT:
            return self._arm(slot, asked)
        answer = slot.unit.handle(op, asked)
        if self._shelf.get(slot.unit.uid) is slot.unit:
            self._shelf.changed(slot.unit, op)
        return answer

    def _placed(self, uid: bytes) -> Chip:
        if not self._pool or (uid and not self._allow_faults):
            raise No(Status.NOT_SUPPORTED)
        return Chip(self._soc, uid) if uid else self._new()  # a clone is on no shelf

    def _recalled(self, uid: bytes) -> Chip:
        try:
            unit = self._shelf.get(uid)
        except PermissionError:
            raise No(Status.SIGNATURE_INVALID) from None
        if unit is None:
            raise No(Status.NO_UNIT)
        return unit

    def _put(self, slot: Slot, unit: Chip) -> Fields:
        slot.unit.power_cycle()
        slot.faults.clear()
        slot.unit = unit
        return {Tag.UID: unit.uid}

    def _arm(self, slot: Slot, asked: Fields) -> Fields:
        if not self._allow_faults:
            raise No(Status.NOT_SUPPORTED)
        slot.faults.arm(Fault(asked[Tag.KIND].decode()), int.from_bytes(asked.get(Tag.OFFSET, b"")))
        return {}


class Conversation:
    """Frames in, frames out; the last answer is kept for a station that did not get it whole."""

    def __init__(self, sockets: Sockets, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sockets, self._reader, self._writer = sockets, reader, writer
        self._slot: Slot | None = None
        self._last = (0, b"")

    async def run(self) -> None:
        """Until the station hangs up."""
        while True:
            asked = await self._receive()
            if asked.sequence == self._last[0]:
                answer = self._last[1]
            else:
                answer = encode(self._answer(asked))
                self._last = (asked.sequence, answer)
                answer = self._spoilt(asked, answer)
            if answer:
                self._writer.write(answer)
                await self._writer.drain()

    async def _receive(self) -> Frame:
        (length,) = struct.unpack(">I", await self._reader.readexactly(4))
        if length > MAX_FRAME_BYTES:
            raise FrameDamaged("a frame is above 1 MiB")
        return decode(await self._reader.readexactly(length))

    def _answer(self, asked: Frame) -> Frame:
        try:
            return Frame(asked.sequence, Status.OK, self._done(Op(asked.code), asked.fields))
        except No as no:
            return Frame(asked.sequence, no.status)
        except KeyError:
            return Frame(asked.sequence, Status.BAD_VALUE)
        except ValueError:
            return Frame(asked.sequence, Status.UNKNOWN_OP)

    def _done(self, op: Op, asked: Fields) -> Fields:
        if op is Op.ATTACH:
            self._slot = self._sockets.slot(int.from_bytes(asked[Tag.SLOT]))
            self._slot.unit.power_cycle()
            return {}
        if self._slot is None:
            raise No(Status.NO_UNIT)
        return self._sockets.handle(self._slot, op, asked)

    def _spoilt(self, asked: Frame, answer: bytes) -> bytes:
        """What a fault leaves of the answer; raises PowerLost."""
        due = self._slot.faults.due() if self._slot and asked.code >= Op.IDENTIFY else None
        if due is Fault.POWER_CUT:
            raise PowerLost
        if due is Fault.SILENCE:
            return b""
        return flip(answer) if due is Fault.FLIPPED_FRAME else answer
