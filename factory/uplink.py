"""The one line to the cloud: what goes up, what comes down, and when.

1. A stream begins with what is held here; the cloud answers with where to go on. Nothing is remembered of a stream.
2. Pages go in order from the cloud's cursor, at most four ahead of the last cosignature. Small ones that wait are
   joined to pages of up to 500 leaves, without a proof for the whole: their leaves prove as much. After a refusal
   they go as EdgeHSM gave them. A log sends twice a second at most, so that the cloud has a transaction for many.
3. Results of deliveries go up until the cloud says, in its next cursor, that it has them.
4. What comes down is durable before the next message is read.
5. Either side says something every two seconds. Five seconds of silence end the stream; it is opened again with
   backoff, for ever.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import grpc
import structlog

from factory.bell import Bell
from factory.buffer import Buffer, LogId
from factory.carrying import FAILURES, HEARTBEAT_SECONDS, SILENCE_SECONDS, for_ever, together
from factory.outgoing import JOINED_LEAVES, LINGER_SECONDS, Outgoing, joined
from obis.mesh.backoff import Backoff
from obis.mesh.status import understood
from obis.refusal import Refused
from obis.v1.delivery_pb2 import Delivery, DeliveryResult, LogPage
from obis.v1.envelope_pb2 import Envelope
from obis.v1.factory_link_pb2 import (
    Cosignature,
    EdgeHsmCursor,
    FactoryHeartbeat,
    FactoryHello,
    LogFrozen,
    PageRefused,
    SyncRequest,
    SyncResponse,
    WorkOrder,
)
from obis.v1.factory_link_pb2_grpc import FactoryLinkStub
from obis.v1.reason_pb2 import Reason

if TYPE_CHECKING:
    from obis.v1.factory_link_pb2_grpc import FactoryLinkAsyncStub

PAGES_AHEAD: Final = 4
Call: TypeAlias = "grpc.aio.StreamStreamCall[SyncRequest, SyncResponse]"
_log = structlog.get_logger("factory")


class Uplink:
    """The Factory Service's end of `FactoryLink.Sync`."""

    def __init__(
        self,
        buffer: Buffer,
        bell: Bell,
        open_channel: Callable[[], grpc.aio.Channel],
        *,
        folder: Path,
        software_version: str,
        backoff: Backoff,
    ) -> None:
        """`folder` is on the disk whose free bytes are told."""
        self.connected = False
        self.last_heard_at = 0
        self.beacon: Envelope | None = None
        self.stub: FactoryLinkAsyncStub | None = None
        self._buffer, self._bell = buffer, bell
        self._open, self._backoff = open_channel, backoff
        self._folder, self._version = folder, software_version
        self._logs: dict[LogId, Outgoing] = {}
        self._told: list[LogId] = []

    async def run(self) -> None:
        """Carry until cancelled."""
        await for_ever("cloud", self._session, self._backoff)

    async def _session(self) -> None:
        self._logs, self._told = {}, self._buffer.logs()
        heard = False
        try:
            async with self._open() as channel:
                self.stub = FactoryLinkStub(channel)
                with understood("cloud"):
                    call = self.stub.Sync()
                    await _say(call, self._hello())
                    self._take(await _next(call))
                    heard = self.connected = True
                    await together(self._listen(call), self._talk(call))
        except FAILURES as failure:
            if not heard:
                raise
            _log.warning("link ended", why=str(failure) or type(failure).__name__)
        finally:
            self.connected, self.stub = False, None
            self._bell.ring()

    # ---- up

    async def _talk(self, call: Call) -> None:
        due = 0.0
        while True:
            if time.monotonic() >= due:
                await _say(call, SyncRequest(heartbeat=self._heartbeat()))
                due = time.monotonic() + HEARTBEAT_SECONDS / 2
            waiting = list(self._waiting())
            for message in waiting:
                await _say(call, message)
            if not waiting:
                await self._bell.heard(max(0.0, due - time.monotonic()))

    def _waiting(self) -> Iterator[SyncRequest]:
        if self._buffer.logs() != self._told:
            self._told = self._buffer.logs()
            yield self._hello()
        for log, outgoing in list(self._logs.items()):
            yield from self._results(log, outgoing)
            yield from self._pages(log, outgoing)

    def _hello(self) -> SyncRequest:
        cursors = [
            EdgeHsmCursor(
                edgehsm_id=log.edgehsm_id,
                epoch=log.epoch,
                size=self._buffer.size(log),
                delivered_up_to=self._buffer.delivered_up_to(log),
            )
            for log in self._told
        ]
        return SyncRequest(hello=FactoryHello(software_version=self._version, edgehsms=cursors))

    def _heartbeat(self) -> FactoryHeartbeat:
        free = shutil.disk_usage(self._folder).free
        return FactoryHeartbeat(buffered=self._buffer.waiting_leaves(), free_bytes=free)

    def _results(self, log: LogId, outgoing: Outgoing) -> Iterator[SyncRequest]:
        for number, result in self._buffer.results_after(log, outgoing.results_sent):
            outgoing.results_sent = number
            yield SyncRequest(result=DeliveryResult.FromString(result))

    def _pages(self, log: LogId, outgoing: Outgoing) -> Iterator[SyncRequest]:
        evidence = self._buffer.evidence(log)
        while not outgoing.stopped and outgoing.evidence_sent < len(evidence):
            yield SyncRequest(page=LogPage.FromString(evidence[outgoing.evidence_sent]))
            outgoing.evidence_sent += 1
        if time.monotonic() - outgoing.sent_at < LINGER_SECONDS:
            return
        while not outgoing.stopped and len(outgoing.ahead) < PAGES_AHEAD:
            limit = JOINED_LEAVES if outgoing.joins else 1
            page = joined(self._buffer, log, outgoing.next_index, limit)
            if page is None:
                return
            outgoing.next_index = page.first_index + len(page.leaves)
            outgoing.ahead.append(outgoing.next_index)
            outgoing.sent_at = 0.0 if len(page.leaves) > limit // 2 else time.monotonic()
            yield SyncRequest(page=page)

    # ---- down

    async def _listen(self, call: Call) -> None:
        while True:
            response = await _next(call)
            await asyncio.to_thread(self._keep, response)
            self._take(response)
            self._bell.ring()

    def _keep(self, response: SyncResponse) -> None:
        """Rule 4: what must survive this process."""
        match response.WhichOneof("message"):
            case "cosignature":
                self._keep_cosignature(response.cosignature)
            case "delivery":
                self._keep_delivery(response.delivery)
            case "work_order":
                self._keep_work(response.work_order)
            case "work_ended":
                self._buffer.end_work(response.work_ended.auth_id)
            case "page_refused":
                self._drop_damaged(response.page_refused)
            case "frozen":
                log = LogId(response.frozen.edgehsm_id, response.frozen.epoch)
                self._buffer.note_trouble(log, f"BROKEN_CHAIN: {response.frozen.what}")
            case _:
                pass  # a cursor or a heartbeat: nothing to keep

    def _keep_cosignature(self, cosignature: Cosignature) -> None:
        log = LogId(cosignature.edgehsm_id, cosignature.epoch)
        self._buffer.keep_cosignature(log, cosignature.size, cosignature.checkpoint)

    def _keep_delivery(self, delivery: Delivery) -> None:
        log = LogId(delivery.edgehsm_id, delivery.epoch)
        self._buffer.keep_delivery(log, delivery.number, delivery.SerializeToString())

    def _keep_work(self, order: WorkOrder) -> None:
        self._buffer.keep_work(order.auth_id, order.SerializeToString(deterministic=True))

    def _drop_damaged(self, refused: PageRefused) -> None:
        log = LogId(refused.edgehsm_id, refused.epoch)
        self._buffer.drop_from(log, refused.first_index)
        self._buffer.note_trouble(log, f"{refused.reason}: {refused.what}")

    def _take(self, response: SyncResponse) -> None:
        """What only this stream needs to know."""
        self.last_heard_at = int(time.time())
        match response.WhichOneof("message"):
            case "cursor":
                self._go_on(response.cursor)
            case "cosignature":
                cosigned = response.cosignature
                outgoing = self._logs.get(LogId(cosigned.edgehsm_id, cosigned.epoch))
                if outgoing:
                    outgoing.ahead = [end for end in outgoing.ahead if end > cosigned.size]
            case "heartbeat":
                self.beacon = response.heartbeat.beacon if response.heartbeat.HasField("beacon") else self.beacon
            case "page_refused":
                self._begin_again(response.page_refused)
            case "frozen":
                self._stop(response.frozen)
            case _:
                pass  # kept already

    def _go_on(self, cursor: EdgeHsmCursor) -> None:
        log = LogId(cursor.edgehsm_id, cursor.epoch)
        outgoing = self._logs.setdefault(log, Outgoing(cursor.size, cursor.delivered_up_to))
        if cursor.size in outgoing.ahead:  # kept, but not cosigned yet: the cloud is catching up with its witness
            outgoing.ahead = [end for end in outgoing.ahead if end > cursor.size]
        else:
            outgoing.next_index, outgoing.ahead = cursor.size, []

    def _begin_again(self, refused: PageRefused) -> None:
        outgoing = self._logs.get(LogId(refused.edgehsm_id, refused.epoch))
        if outgoing:
            outgoing.next_index, outgoing.ahead, outgoing.joins = refused.first_index, [], False

    def _stop(self, frozen: LogFrozen) -> None:
        log = LogId(frozen.edgehsm_id, frozen.epoch)
        self._logs.setdefault(log, Outgoing(0, 0)).stopped = True


async def _say(call: Call, message: SyncRequest) -> None:
    """Send; raises Refused UNREACHABLE where the stream has ended meanwhile (gRPC calls that an invalid state)."""
    try:
        await call.write(message)
    except asyncio.InvalidStateError:
        raise Refused(Reason.REASON_UNREACHABLE, "the stream to the cloud has ended") from None


async def _next(call: Call) -> SyncResponse:
    """The next message; raises TimeoutError after five seconds of silence, Refused UNREACHABLE at the end of the stream."""
    async with asyncio.timeout(SILENCE_SECONDS):
        response = await call.read()
    if not isinstance(response, SyncResponse):
        raise Refused(Reason.REASON_UNREACHABLE, "the cloud closed the stream")
    return response
