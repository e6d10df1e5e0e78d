"""Carries for one EdgeHSM, in both directions, and understands none of it.

1. The log is followed from where the buffer ends, and each page is durable here before the next is asked for.
2. Deliveries go in order; the next one goes when the answer to the one before is durable. A refusal is an answer.
3. The largest cosigned checkpoint is handed back; a fresh Beacon is handed in at the start and every minute.
4. An EdgeHSM whose log is shorter than what it gave before went back: its present pages are kept as evidence for the
   cloud, beside the others, and nothing else is asked of it.
5. A link that says nothing for five seconds is dead.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final

import grpc

from factory.bell import Bell
from factory.buffer import Buffer, LogId, PageDoesNotFit, StoredPage
from factory.carrying import FAILURES, SILENCE_SECONDS, for_ever, together
from obis.mesh.backoff import Backoff
from obis.mesh.status import understood
from obis.refusal import Kind, Refused
from obis.v1.custody_pb2 import (
    CosignedRequest,
    CustodyEnrolStationRequest,
    CustodyEnrolStationResponse,
    CustodyStatusRequest,
    CustodyStatusResponse,
    DeliverRequest,
    FollowLogRequest,
    FollowLogResponse,
)
from obis.v1.custody_pb2_grpc import CustodyStub
from obis.v1.delivery_pb2 import Delivery, DeliveryResult, LogPage
from obis.v1.envelope_pb2 import Envelope
from obis.v1.reason_pb2 import Reason

if TYPE_CHECKING:
    from obis.v1.custody_pb2_grpc import CustodyAsyncStub

ON_SITE: Final = Backoff(first_seconds=0.5, longest_seconds=5)
_BEACON_EVERY: Final = 60.0
_CALL_SECONDS: Final = 30.0
_LOOK_AGAIN: Final = 30.0


class Custodian:
    """The carrier of one EdgeHSM."""

    def __init__(
        self,
        edgehsm_id: str,
        buffer: Buffer,
        bell: Bell,
        open_channel: Callable[[], grpc.aio.Channel],
        beacon: Callable[[], Envelope | None],
    ) -> None:
        """`open_channel` raises while the site's CA is not known; `beacon` is the newest that came down."""
        self.edgehsm_id = edgehsm_id
        self.connected = False
        self._buffer, self._bell = buffer, bell
        self._open, self._beacon = open_channel, beacon
        self._stub: CustodyAsyncStub | None = None

    async def run(self) -> None:
        """Carry until cancelled."""
        await for_ever(f"EdgeHSM {self.edgehsm_id}", self._session, ON_SITE)

    async def enrol_station(self, request: CustodyEnrolStationRequest) -> CustodyEnrolStationResponse:
        """Pass a station's ticket on; raises Refused: what EdgeHSM answers, or UNREACHABLE."""
        if self._stub is None:
            raise Refused(Reason.REASON_UNREACHABLE, f"EdgeHSM {self.edgehsm_id} does not answer")
        with understood(self.edgehsm_id):
            return await self._stub.EnrolStation(request, timeout=_CALL_SECONDS)

    async def _session(self) -> None:
        worked = False
        try:
            async with self._open() as channel:
                stub = CustodyStub(channel)
                with understood(self.edgehsm_id):
                    status = await stub.Status(CustodyStatusRequest(), timeout=SILENCE_SECONDS)
                    log = self._recognise(status)
                    await self._require_grown(stub, log, status)
                    worked = self.connected = True
                    self._stub = stub
                    self._buffer.note_trouble(log, "")
                    await self._carry(stub, log, status)
        except FAILURES as failure:
            self._note(failure)
            if not worked:
                raise
        finally:
            self.connected, self._stub = False, None

    async def _carry(self, stub: CustodyAsyncStub, log: LogId, status: CustodyStatusResponse) -> None:
        await together(
            self._follow(stub, log),
            self._deliver(stub, log),
            self._hand_back(stub, log, status.cosigned_size),
            self._tell_time(stub, log),
        )

    def _recognise(self, status: CustodyStatusResponse) -> LogId:
        """The log it says it is writing; raises Refused for another EdgeHSM than the configured one."""
        if status.edgehsm_id != self.edgehsm_id:
            raise Refused(
                Reason.REASON_WRONG_EDGEHSM, f"{status.edgehsm_id} answers where {self.edgehsm_id} should", "address"
            )
        log = LogId(status.edgehsm_id, status.epoch)
        if self._buffer.know(log):
            self._bell.ring()
        return log

    async def _require_grown(self, stub: CustodyAsyncStub, log: LogId, status: CustodyStatusResponse) -> None:
        """Raises Refused after keeping the evidence if the log is shorter than it was."""
        held = max(self._buffer.size(log), self._buffer.cosignature(log)[0])
        if status.log_size >= held:
            return
        async for page in _pages(stub, max(0, status.log_size - 1)):
            if page.leaves:
                self._buffer.keep_evidence(log, page.SerializeToString())
                self._bell.ring()
                break
        raise Refused(
            Reason.REASON_BROKEN_CHAIN,
            f"the log went back from {held} to {status.log_size} leaves",
            f"{log.edgehsm_id}/{log.epoch}",
        )

    async def _follow(self, stub: CustodyAsyncStub, log: LogId) -> None:
        """Rule 1. Begins again where the buffer ends whenever that moves: the cloud may have found a page damaged."""
        while True:
            expected = self._buffer.size(log)
            async for page in _pages(stub, expected):
                if self._buffer.size(log) != expected:
                    break
                if page.leaves:
                    expected = await self._keep(log, page)

    async def _keep(self, log: LogId, page: LogPage) -> int:
        end = page.first_index + len(page.leaves)
        try:
            stored = StoredPage(page.first_index, end, page.SerializeToString())
            await asyncio.to_thread(self._buffer.append_page, log, stored, int(time.time()))
        except PageDoesNotFit as misfit:
            raise Refused(Reason.REASON_SEQUENCE_GAP, str(misfit), f"{log.edgehsm_id}/{log.epoch}") from None
        self._bell.ring()
        return end

    async def _deliver(self, stub: CustodyAsyncStub, log: LogId) -> None:
        """Rule 2."""
        while True:
            waiting = self._buffer.next_delivery(log)
            if waiting is None:
                await self._bell.heard(_LOOK_AGAIN)
                continue
            number, content = waiting
            result = await self._answer(stub, Delivery.FromString(content))
            await asyncio.to_thread(self._buffer.keep_result, log, number, result.SerializeToString())
            self._bell.ring()

    async def _answer(self, stub: CustodyAsyncStub, delivery: Delivery) -> DeliveryResult:
        """What EdgeHSM answers. What its door refuses will be refused again, so that is an answer too."""
        try:
            with understood(self.edgehsm_id):
                response = await stub.Deliver(DeliverRequest(delivery=delivery), timeout=_CALL_SECONDS)
            return response.result
        except Refused as refusal:
            if refusal.kind in {Kind.UNREACHABLE, Kind.TIMED_OUT}:
                raise
            return DeliveryResult(
                number=delivery.number,
                edgehsm_id=delivery.edgehsm_id,
                epoch=delivery.epoch,
                reason=refusal.word,
                what=refusal.what,
            )

    async def _hand_back(self, stub: CustodyAsyncStub, log: LogId, handed: int) -> None:
        """Rule 3, upwards."""
        while True:
            size, checkpoint = self._buffer.cosignature(log)
            if size > handed:
                await stub.Cosigned(CosignedRequest(checkpoint=checkpoint), timeout=_CALL_SECONDS)
                handed = size
            else:
                await self._bell.heard(_LOOK_AGAIN)

    async def _tell_time(self, stub: CustodyAsyncStub, log: LogId) -> None:
        """Rule 3, downwards. A Beacon protects itself and is worth nothing tomorrow, so it is not kept."""
        told = -_BEACON_EVERY
        while True:
            beacon = self._beacon()
            if beacon and time.monotonic() - told >= _BEACON_EVERY:
                told = time.monotonic()
                await self._answer(stub, Delivery(number=1, edgehsm_id=log.edgehsm_id, epoch=log.epoch, beacon=beacon))
            await asyncio.sleep(1)

    def _note(self, failure: BaseException) -> None:
        log = self._buffer.latest(self.edgehsm_id)
        if log:
            self._buffer.note_trouble(log, str(failure) or type(failure).__name__)


async def _pages(stub: CustodyAsyncStub, from_index: int) -> AsyncIterator[LogPage]:
    """Pages and heartbeats of a log; raises TimeoutError after five seconds without either."""
    call = stub.FollowLog(FollowLogRequest(from_index=from_index))
    try:
        while True:
            async with asyncio.timeout(SILENCE_SECONDS):
                response = await call.read()
            if not isinstance(response, FollowLogResponse):
                return  # the end of the stream
            yield response.page
    finally:
        call.cancel()
