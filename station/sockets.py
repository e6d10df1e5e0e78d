"""The sockets of a station: where units are put, one at a time, and which is free.

A pooled socket takes new units as long as there are any; the handler (an operator, a robot, here the virtual pool)
places them. A single socket holds one unit and is done with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
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

    @asynccontextmanager
    async def one(self, soc: str, names: frozenset[str] = frozenset()) -> AsyncIterator[Socket]:
        """A free socket for this chip family, single ones first; waits for one. Raises Refused PREFLIGHT_FAILED."""
        socket = await self._take(soc, names)
        try:
            yield socket
        finally:
            socket.release()
            async with self._freed:
                self._freed.notify_all()

    async def _take(self, soc: str, names: frozenset[str]) -> Socket:
        async with self._freed:
            while True:
                fit = [
                    each for each in self.all if each.plan.soc == soc and not (names and each.plan.name not in names)
                ]
                usable = [each for each in fit if not each.used_up]
                if not usable:
                    raise Refused(Reason.REASON_PREFLIGHT_FAILED, "no socket for this chip has a unit left", soc)
                if free := [each for each in usable if not each.in_use]:
                    chosen = min(free, key=lambda each: each.plan.pool)
                    chosen.in_use = True
                    return chosen
                await self._freed.wait()
