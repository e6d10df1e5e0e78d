"""One connected Factory Service: pages, results and heartbeats up; everything else down.

1. A hello is answered, for each EdgeHSM of that factory, with a cursor and the last cosignature. Nothing is remembered
   of a stream but what is in the database.
2. Pages and results are handled one at a time, in the order they came, and answered after they are durable.
3. Deliveries go down in the order of their number, once a stream, and none to an EdgeHSM whose log is frozen; work
   orders once a stream, and again as ended.
4. Five seconds of silence end a stream.
5. What one EdgeHSM sends wrong stops neither the stream nor the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import func
from sqlmodel import Session, col, select

from cloud import deliveries
from cloud.artifacts import Artifacts
from cloud.beacons import Beacons
from cloud.receiving import Receiver, cursor, find_edgehsm, frozen
from cloud.store import Store
from cloud.store.evidence import LogRow
from cloud.store.production import DeliveryRow
from cloud.store.sites import FactoryRow
from cloud.store.wake import Listener, wake_after_commit
from cloud.workorders import batches_at, work_order
from obis.refusal import Refused
from obis.v1.delivery_pb2 import DeliveryResult
from obis.v1.factories_pb2 import EdgeHsmState
from obis.v1.factory_link_pb2 import (
    CloudHeartbeat,
    EdgeHsmCursor,
    FactoryHello,
    SyncRequest,
    SyncResponse,
    WorkEnded,
)
from obis.v1.reason_pb2 import Reason

SILENCE_SECONDS: Final = 5.0
_BEAT_SECONDS: Final = 1.0  # half of what the contract promises
_LOOK_EVERY: Final = 4.0  # for what another replica queued
_NOTE_EVERY: Final = 10.0
_QUEUED: Final = 64
_log = structlog.get_logger("cloud")


@dataclass(frozen=True)
class LinkParts:
    """What every stream works with."""

    store: Store
    receiver: Receiver
    beacons: Beacons
    artifacts: Artifacts


class Stream:
    """One stream, from its hello to its end."""

    def __init__(self, parts: LinkParts, factory_id: str) -> None:
        self._parts, self._factory_id = parts, factory_id
        self._out: asyncio.Queue[SyncResponse] = asyncio.Queue(_QUEUED)
        self._delivered: dict[tuple[str, int], int] = {}  # by log: the last delivery number sent, or answered before
        self._work: dict[bytes, bool] = {}  # work orders sent, and whether as ended
        self._superseded = asyncio.Event()
        self._name = f"stream:{factory_id}"
        self._beat = 0.0
        self._greeted = asyncio.Event()  # what is due is known only after the hello

    def supersede(self) -> None:
        """The same factory came again."""
        self._superseded.set()

    async def run(self, requests: AsyncIterator[SyncRequest]) -> AsyncIterator[SyncResponse]:
        """What goes down, until the factory hangs up, falls silent or comes again. Raises Refused."""
        works = (self._listen(requests), self._push(), self._superseded.wait())
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(each) for each in works]
        try:
            while response := await self._next(tasks):
                yield response
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if not self._superseded.is_set():
                with suppress(RuntimeError):  # the store of a cloud that stops may be closed before its last stream
                    await self._note(connected=False)

    async def _next(self, tasks: Sequence[asyncio.Future[Any]]) -> SyncResponse | None:
        """The next answer, or None when a task has ended the stream; raises what it raised."""
        waiting = asyncio.ensure_future(self._out.get())
        try:
            await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
        finally:
            waiting.cancel()
        for task in tasks:
            if task.done():
                task.result()
        return None

    # ---- up

    async def _listen(self, requests: AsyncIterator[SyncRequest]) -> None:
        noted = 0.0
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    request = await anext(requests)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise Refused(
                    Reason.REASON_UNREACHABLE, f"nothing was heard for {SILENCE_SECONDS:g} seconds", "Sync"
                ) from None
            if time.monotonic() - noted > _NOTE_EVERY:
                noted = time.monotonic()
                await self._note(connected=True)
            await self._handle(request)

    async def _handle(self, request: SyncRequest) -> None:
        match request.WhichOneof("message"):
            case "hello":
                await self._greet(request.hello)
            case "page":
                answer = await self._parts.receiver.take(request.page, self._factory_id)
                if answer.HasField("frozen"):
                    self._delivered.pop((request.page.edgehsm_id, request.page.epoch), None)
                await self._out.put(answer)
            case "result":
                await self._take_result(request.result)
            case _:
                pass  # a heartbeat: it was heard

    async def _greet(self, hello: FactoryHello) -> None:
        for each in hello.edgehsms:
            for response in await self._parts.store.read(partial(self._welcome, told=each)):
                await self._out.put(response)
            known = (each.edgehsm_id, each.epoch) in self._delivered
            if known:
                answer = await self._parts.receiver.catch_up(each.edgehsm_id, each.epoch)
                if answer.HasField("cosignature"):
                    await self._out.put(answer)
        self._parts.store.notifier.wake({self._name})
        self._greeted.set()

    def _welcome(self, session: Session, told: EdgeHsmCursor) -> list[SyncResponse]:
        """Where one EdgeHSM goes on. One that is not this factory's, or not approved yet, is passed over."""
        try:
            edgehsm = find_edgehsm(session, told.edgehsm_id, told.epoch, self._factory_id)
        except Refused as refusal:
            _log.warning("unknown EdgeHSM", factory=self._factory_id, edgehsm=told.edgehsm_id, why=refusal.what)
            return []
        if edgehsm.state == EdgeHsmState.EDGE_HSM_STATE_FROZEN:
            return [frozen(edgehsm)]
        place = (told.edgehsm_id, told.epoch)
        self._delivered[place] = max(told.delivered_up_to, self._delivered.get(place, 0))
        log = session.get(LogRow, place)
        return [cursor(*place, log.size if log else 0, _answered_up_to(session, *place))]

    async def _take_result(self, result: DeliveryResult) -> None:
        """A result the cloud cannot place is told to people and dropped: it must not come again for ever."""

        def work(session: Session) -> None:
            find_edgehsm(session, result.edgehsm_id, result.epoch, self._factory_id)
            deliveries.record_result(session, result, now=int(time.time()))
            wake_after_commit(session, deliveries.topic(result.edgehsm_id))

        try:
            await self._parts.store.write(work)
        except Refused as refusal:
            _log.error("delivery result dropped", edgehsm=result.edgehsm_id, number=result.number, why=str(refusal))

    # ---- down

    async def _push(self) -> None:
        """Listens for the EdgeHSMs the hellos named, and for its own name: a later hello may name more."""
        while True:
            topics = self._topics()
            with self._parts.store.notifier.listening(*topics) as listener:
                await self._push_as_it_comes(listener, topics)

    async def _push_as_it_comes(self, listener: Listener, topics: set[str]) -> None:
        looked = 0.0
        woken = True
        while self._topics() == topics:
            if woken or time.monotonic() - looked >= _LOOK_EVERY:
                looked = time.monotonic()
                for response in await self._parts.store.read(self._due):
                    await self._out.put(response)
            if time.monotonic() - self._beat >= _BEAT_SECONDS:
                self._beat = time.monotonic()
                await self._out.put(SyncResponse(heartbeat=CloudHeartbeat(beacon=self._parts.beacons.fresh())))
            woken = await listener.wait(_BEAT_SECONDS)

    def _topics(self) -> set[str]:
        return {self._name, *(deliveries.topic(edgehsm_id) for edgehsm_id, _ in self._delivered)}

    def _due(self, session: Session) -> list[SyncResponse]:
        due = []
        for (edgehsm_id, epoch), sent in list(self._delivered.items()):
            for delivery in deliveries.after(session, edgehsm_id, epoch, sent):
                due.append(SyncResponse(delivery=delivery))
                self._delivered[edgehsm_id, epoch] = delivery.number
        for auth_id, ended in batches_at(session, self._factory_id):
            if self._work.get(auth_id) != ended:
                self._work[auth_id] = ended
                due += self._order(session, auth_id, ended=ended)
        return due

    def _order(self, session: Session, auth_id: bytes, *, ended: bool) -> list[SyncResponse]:
        """The order, or that it ended; nothing, and a word to people, where it cannot be put together."""
        if ended:
            return [SyncResponse(work_ended=WorkEnded(auth_id=auth_id))]
        try:
            return [SyncResponse(work_order=work_order(session, auth_id))]
        except Refused as refusal:
            _log.error("no work order", factory=self._factory_id, auth_id=auth_id.hex(), why=str(refusal))
            return []

    async def _note(self, *, connected: bool) -> None:
        """For the list of factories."""

        def work(session: Session) -> None:
            row = session.get(FactoryRow, self._factory_id)
            if row is not None:
                row.connected, row.last_heard_at = connected, int(time.time()) if connected else row.last_heard_at
                session.add(row)

        await self._parts.store.write(work)


def _answered_up_to(session: Session, edgehsm_id: str, epoch: int) -> int:
    """The highest delivery number with a result; they come in order."""
    query = select(func.max(DeliveryRow.number)).where(
        DeliveryRow.edgehsm_id == edgehsm_id, DeliveryRow.epoch == epoch, col(DeliveryRow.accepted).is_not(None)
    )
    return session.exec(query).one() or 0
