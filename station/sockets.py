"""The sockets of a station: where units are put, one at a time, and which is free.

A pooled socket takes new units as long as there are any; the handler (an operator, a robot, here the virtual pool)
places them. A single socket holds one unit and is done with it; it is used where it is named, or nothing else is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from obis.refusal import Refused
from obis.v1.reason_pb2 import Reason
from station.silicon.adapter import SocAdapter
from station.silicon.frames import Op, Tag
from station.silicon.generic import GenericAdapter
from station.silicon.link import Link, Place
from station.silicon.registry import family


@dataclass(frozen=True)
class SocketPlan:
    """A socket as the configuration names it."""

    name: str
    soc: str
    place: Place
    pool: bool


class Socket:
    """One socket."""

    def __init__(self, plan: SocketPlan, patience_seconds: float) -> None:
        self.plan = plan
        self._link = Link(plan.place, patience_seconds)
        self.chip: SocAdapter = GenericAdapter(family(plan.soc), self._link)
        self.in_use = False
        self.used_up = False

    async def place(self, uid: bytes = b"") -> None:
        """Asks the handler for a new unit; one with a given uid is a clone, for tests. Raises Refused."""
        if self.plan.pool:
            await self._link.ask(Op.PLACE, {Tag.UID: uid} if uid else {})

    async def recall(self, uid: bytes) -> None:
        """Asks the handler for a unit that was here before. Raises Refused."""
        if self.plan.pool:
            await self._link.ask(Op.RECALL, {Tag.UID: uid})

    async def arm(self, fault: str, after: int) -> None:
        """Orders a fault of the virtual chip, `after` operations from now. Raises Refused."""
        await self._link.ask(Op.FAULT, {Tag.KIND: fault.encode(), Tag.OFFSET: after.to_bytes(2)})

    def close(self) -> None:
        """Hangs up; the next use begins anew."""
        self._link.close()

    def release(self) -> None:
        """The unit is taken off."""
        self.in_use = False
        self.used_up = not self.plan.pool


class Sockets:
    """All sockets of the station."""

    def __init__(self, plans: Iterable[SocketPlan], patience_seconds: float) -> None:
        self.all = [Socket(plan, patience_seconds) for plan in plans]
        self._freed = asyncio.Condition()

    def close(self) -> None:
        """Hangs up everywhere."""
        for each in self.all:
            each.close()

    def fit(self, soc: str, names: frozenset[str] = frozenset()) -> list[Socket]:
        """Sockets for this chip family that still have units: those named, or else the pooled ones, or else all."""
        usable = [each for each in self.all if each.plan.soc == soc and not each.used_up]
        if names:
            return [each for each in usable if each.plan.name in names]
        return [each for each in usable if each.plan.pool] or usable

    @asynccontextmanager
    async def one(self, soc: str, names: frozenset[str] = frozenset()) -> AsyncIterator[Socket]:
        """A free one of `fit`; waits for one. Raises Refused PREFLIGHT_FAILED where there is none."""
        socket = await self._take(lambda: self.fit(soc, names))
        try:
            yield socket
        finally:
            await self._free(socket)

    @asynccontextmanager
    async def holding(self, uid: bytes, soc: str, name: str) -> AsyncIterator[Socket]:
        """The socket of that name with this unit on it; without a name, the first whose handler has it."""
        for candidate in [each for each in self.all if each.plan.soc == soc and name in ("", each.plan.name)]:
            socket = await self._take(lambda: [candidate])  # noqa: B023  # awaited before the loop goes on
            try:
                await socket.recall(uid)
                if (await socket.chip.identify()).uid == uid:
                    yield socket
                    return
            except Refused as refused:
                if refused.where != "recall":
                    raise
            finally:
                await self._free(socket)
        raise Refused(Reason.REASON_DEVICE_UNKNOWN, "no socket here has this unit", uid.hex())

    async def _take(self, candidates: Callable[[], list[Socket]]) -> Socket:
        async with self._freed:
            while True:
                usable = candidates()
                if not usable:
                    raise Refused(Reason.REASON_PREFLIGHT_FAILED, "no socket for this chip has a unit left", "sockets")
                if free := [each for each in usable if not each.in_use]:
                    free[0].in_use = True
                    return free[0]
                await self._freed.wait()

    async def _free(self, socket: Socket) -> None:
        socket.release()
        async with self._freed:
            self._freed.notify_all()
