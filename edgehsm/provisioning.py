"""The Provisioning service: stations' steps and debug requests, passed to the boundary with the key TLS saw."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from typing_extensions import override

from edgehsm.boundary_link import BoundaryLink
from edgehsm.drain import Drain, refusal
from edgehsm.rate import StationRates
from obis.mesh.identity import calling_peer
from obis.refusal import Refused
from obis.v1.boundary_pb2 import BoundaryRequest, StationDebugClose, StationDebugOpen, StationStep
from obis.v1.provisioning_pb2 import (
    DeviceStep,
    ProvisionRequest,
    ProvisionResponse,
    ReopenDebugRequest,
    ReopenDebugResponse,
    StepRefusal,
    StepReply,
)
from obis.v1.provisioning_pb2_grpc import ProvisioningServicer
from obis.v1.reason_pb2 import Reason

MAX_STEP_BYTES: Final = 4096
MESSAGES_UNDER_WAY: Final = 8  # of one stream; more wait in the network


class Provisioning(ProvisioningServicer):
    """What an EdgeHSM does for stations."""

    def __init__(self, link: BoundaryLink, drain: Drain, rates: StationRates) -> None:
        self._link = link
        self._drain = drain
        self._rates = rates

    @override
    async def Provision(
        self, request_iterator: AsyncIterator[ProvisionRequest], context: Any
    ) -> AsyncIterator[ProvisionResponse]:
        """Each message is answered by one, in order; several may be under way."""
        del context
        station = calling_peer().key_digest
        under_way: asyncio.Queue[list[asyncio.Future[StepReply]] | None] = asyncio.Queue(MESSAGES_UNDER_WAY)

        async def read() -> None:
            try:
                async for request in request_iterator:
                    await under_way.put(self._submit(station, request.steps))
            finally:
                await under_way.put(None)

        reader = asyncio.create_task(read())
        try:
            while (waiting := await under_way.get()) is not None:
                yield ProvisionResponse(replies=[await each for each in waiting])
            await reader
        finally:
            reader.cancel()

    @override
    async def ReopenDebug(
        self, request_iterator: AsyncIterator[ReopenDebugRequest], context: Any
    ) -> AsyncIterator[ReopenDebugResponse]:
        """Open, then close, on the same or a later stream; a refusal is an answer."""
        del context
        station = calling_peer().key_digest
        async for request in request_iterator:
            try:
                yield await self._debug(station, request)
            except Refused as refused:
                yield ReopenDebugResponse(refused=_said(refused))
            self._drain.note_change()

    def _submit(self, station: bytes, steps: Any) -> list[asyncio.Future[StepReply]]:
        """Steps over the size or over the station's rate are answered here."""
        may_go = self._rates.allowed(station, len(steps), time.monotonic())
        fits = [step.ByteSize() <= MAX_STEP_BYTES and place < may_go for place, step in enumerate(steps)]
        going = [StationStep(station_key_digest=station, step=step) for step, go in zip(steps, fits, strict=True) if go]
        answers = iter(self._drain.submit(going))
        return [next(answers) if go else _refused_here(step) for step, go in zip(steps, fits, strict=True)]

    async def _debug(self, station: bytes, request: ReopenDebugRequest) -> ReopenDebugResponse:
        if request.HasField("open"):
            opening = StationDebugOpen(station_key_digest=station, open=request.open)
            reply = await self._link.ask(BoundaryRequest(open_debug=opening))
            return ReopenDebugResponse(opened=reply.opened)
        closing = StationDebugClose(station_key_digest=station, close=request.close)
        reply = await self._link.ask(BoundaryRequest(close_debug=closing))
        return ReopenDebugResponse(closed=reply.closed)


def _refused_here(step: DeviceStep) -> asyncio.Future[StepReply]:
    reply: asyncio.Future[StepReply] = asyncio.get_running_loop().create_future()
    if step.ByteSize() > MAX_STEP_BYTES:
        why = Refused(Reason.REASON_TOO_LARGE, f"a step has at most {MAX_STEP_BYTES} bytes", "step")
    else:
        why = Refused(Reason.REASON_RATE_LIMITED, "this station asks too fast", "front")
    reply.set_result(refusal(step.step_id, why))
    return reply


def _said(refused: Refused) -> StepRefusal:
    return refusal(0, refused).refused
