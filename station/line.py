"""The line: takes commands, puts units on sockets, has them provisioned side by side, and says how each ended.

A unit that is HELD stays where it is and is tried again until the line closes; nothing else takes its socket meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from obis.mesh.status import understood
from obis.refusal import Refused
from obis.v1.line_pb2 import RecordStatusRequest
from obis.v1.reason_pb2 import Reason
from station import events, rework
from station.actions import Mark, Result
from station.bench import Bench
from station.events import Event, Say, Tally
from station.journal import Journal
from station.label import Label
from station.silicon.adapter import SocAdapter
from station.sockets import Socket, Sockets
from station.stream import ProvisionStream
from station.work import Ready, Work

if TYPE_CHECKING:
    from obis.v1.line_pb2_grpc import LineAsyncStub

RECORDS_A_CALL: Final = 1000
HELD_SECONDS: Final = 1.0  # before a held unit is tried again


@dataclass(frozen=True)
class Batch:
    """What `provision` is asked: how many, on which sockets (any, if empty), and whether an ended order may be tried."""

    auth_id: bytes
    count: int = 1
    sockets: frozenset[str] = frozenset()
    force: bool = False
    wait_seconds: float = 60.0


@dataclass
class Line:
    """Everything a station works with."""

    sockets: Sockets
    work: Work
    stream: ProvisionStream
    reopen: rework.Opens
    records: LineAsyncStub
    journal: Journal
    print_label: Callable[[Label], None]
    patience_seconds: float
    closing: bool = False
    tally: Tally = field(default_factory=Tally)
    _good: dict[bytes, bytes] = field(default_factory=dict)
    _where: dict[bytes, str] = field(default_factory=dict)

    async def provision(self, batch: Batch, say: Say) -> Counter[str]:
        """`count` units, as many side by side as there are sockets."""
        ready = await self._ready(batch)
        left, counts = iter(range(batch.count)), Counter[str]()

        async def worker() -> None:
            for _ in left:
                counts[await self._new_unit(ready, batch.sockets, say)] += 1

        fit = self.sockets.fit(ready.order.soc, batch.sockets)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(max(1, min(batch.count, len(fit)))):
                    group.create_task(worker())
        except* Refused as group_of:
            raise group_of.exceptions[0] from None
        return counts

    async def retry_same(self, batch: Batch, say: Say) -> Counter[str]:
        """One unit whose first answer is lost."""
        ready = await self._ready(batch)
        async with self.sockets.one(ready.order.soc, batch.sockets) as socket:
            await socket.place()
            bench = replace(self._bench(ready), lose_first_answer=True)
            return Counter([await self._unit(bench, socket, say)])

    async def other_key(self, batch: Batch, say: Say) -> Counter[str]:
        """The last good unit, come back with another key."""
        ready = await self._ready(batch)
        uid = self._last_good(batch.auth_id)
        async with self.sockets.one(ready.order.soc, batch.sockets) as socket:
            await socket.place(uid)
            bench = replace(self._bench(ready), journal=self.journal.without(uid))
            return Counter([await self._unit(bench, socket, say)])

    async def fault(self, batch: Batch, kind: str, after: int, say: Say) -> Counter[str]:
        """One unit with a fault of its chip."""
        ready = await self._ready(batch)
        async with self.sockets.one(ready.order.soc, batch.sockets) as socket:
            await socket.place()
            await socket.arm(kind, after)
            return Counter([await self._unit(self._bench(ready), socket, say)])

    async def resume(self, batch: Batch, say: Say) -> Counter[str]:
        """Units of this order that a station before this one left unfinished."""
        ready = await self._ready(batch)
        counts = Counter[str]()
        for entry in list(self.journal.entries()):
            if entry.auth_id != batch.auth_id or entry.mark is Mark.DONE:
                continue
            async with self.sockets.holding(entry.uid, ready.order.soc, "") as socket:
                counts[await self._unit(self._bench(ready), socket, say)] += 1
        return counts

    async def rework(self, order: rework.Order, uid: bytes, say: Say) -> Counter[str]:
        """A locked unit's debug port, opened and closed."""
        ready = await self.work.wait_for(order.auth_id, 0.1)
        uid = uid or self._last_good(order.auth_id)
        async with self.sockets.holding(uid, ready.order.soc, self._where.get(uid, "")) as socket:
            try:
                done: rework.Reworked | Refused = await rework.rework(self.reopen, socket.chip, order, _look_around)
            except Refused as refused:
                done = refused
        event = events.reworked(order.auth_id, uid, done)
        say(event)
        return Counter([str(event["result"])])

    async def in_cloud(self) -> Event:
        """Whether the leaves of this run are in the cloud, over all EdgeHSMs."""
        event: Event = {"event": "records", "buffered_size": 0, "cosigned_size": 0, "asked": 0, "in_cloud": 0}
        for edgehsm_id, leaves in self.tally.leaves.items():
            for at in range(0, len(leaves), RECORDS_A_CALL):
                asked = RecordStatusRequest(edgehsm_id=edgehsm_id, log_indexes=leaves[at : at + RECORDS_A_CALL])
                with understood("factory"):
                    said = await self.records.RecordStatus(asked, timeout=10)
                event["buffered_size"], event["cosigned_size"] = said.buffered_size, said.cosigned_size
                event["asked"] += len(said.in_cloud)
                event["in_cloud"] += sum(said.in_cloud)
        return event

    async def _ready(self, batch: Batch) -> Ready:
        ready = await self.work.wait_for(batch.auth_id, batch.wait_seconds)
        if ready.ended and not batch.force:
            raise Refused(Reason.REASON_AUTHORIZATION_CLOSED, "the work order has ended", batch.auth_id.hex())
        return ready

    async def _new_unit(self, ready: Ready, names: frozenset[str], say: Say) -> str:
        async with self.sockets.one(ready.order.soc, names) as socket:
            await socket.place()
            return await self._unit(self._bench(ready), socket, say)

    async def _unit(self, bench: Bench, socket: Socket, say: Say) -> str:
        """The unit on this socket, to its end; tried again while it is HELD."""
        while True:
            outcome = await bench.provision(socket.chip)
            self.tally.add(bench.order.edgehsm_id, outcome)
            say(events.device(bench.order, socket, outcome))
            if outcome.finish.result is Result.PASS:
                self._good[bench.order.auth_id] = outcome.uid
                self._where[outcome.uid] = socket.plan.name
            if outcome.finish.result is not Result.HELD or self.closing:
                return outcome.finish.result.value
            await asyncio.sleep(HELD_SECONDS)

    def _bench(self, ready: Ready) -> Bench:
        return Bench(
            order=ready.order,
            materials=ready.materials,
            stream=self.stream,
            journal=self.journal,
            print_label=self.print_label,
            patience_seconds=self.patience_seconds,
        )

    def _last_good(self, auth_id: bytes) -> bytes:
        """The uid of the last unit that passed, in this run or before it. Raises Refused DEVICE_UNKNOWN."""
        if auth_id in self._good:
            return self._good[auth_id]
        for entry in self.journal.entries():
            if entry.auth_id == auth_id and entry.result == Result.PASS:
                return entry.uid
        raise Refused(Reason.REASON_DEVICE_UNKNOWN, "no unit of this order has passed here", auth_id.hex())


async def _look_around(chip: SocAdapter) -> None:
    """The rework itself, as far as a virtual chip has one: somebody looks."""
    await chip.identify()
