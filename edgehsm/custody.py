"""The Custody service: what the Factory Service of this site carries in and out. It is trusted with nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from typing_extensions import override

from edgehsm.boundary_link import BoundaryLink
from edgehsm.drain import Drain
from obis.mesh.identity import calling_peer
from obis.refusal import Refused
from obis.v1.boundary_pb2 import BoundaryRequest, ReadLog
from obis.v1.custody_pb2 import (
    CosignedRequest,
    CosignedResponse,
    CustodyEnrolStationRequest,
    CustodyEnrolStationResponse,
    CustodyStatusRequest,
    CustodyStatusResponse,
    DeliverRequest,
    DeliverResponse,
    FollowLogRequest,
    FollowLogResponse,
)
from obis.v1.custody_pb2_grpc import CustodyServicer
from obis.v1.reason_pb2 import Reason

HEARTBEAT_SECONDS: Final = 2.0
PAGE_LEAVES: Final = 500
GATHER_SECONDS: Final = 0.3  # between two pages of a growing log: each costs signatures and fsyncs all the way up


class Custody(CustodyServicer):
    """One RPC, one intent."""

    def __init__(self, link: BoundaryLink, drain: Drain, factory_id: str) -> None:
        self._link = link
        self._drain = drain
        self._factory_id = factory_id

    @override
    async def Deliver(self, request: DeliverRequest, context: Any) -> DeliverResponse:
        """A refusal is a result."""
        del context
        self._require_own_site()
        reply = await self._link.ask(BoundaryRequest(deliver=request.delivery))
        self._drain.note_change()
        return DeliverResponse(result=reply.delivered)

    @override
    async def FollowLog(self, request: FollowLogRequest, context: Any) -> AsyncIterator[FollowLogResponse]:
        """Full pages as long as there are, then what was gathered as it grows, or an empty one every two seconds."""
        del context
        self._require_own_site()
        from_index = request.from_index
        while True:
            changed = self._drain.next_change
            page = (await self._link.ask(_read(from_index))).page
            yield FollowLogResponse(page=page)
            from_index += len(page.leaves)
            if not page.leaves:
                await _within(HEARTBEAT_SECONDS, changed)
            if len(page.leaves) < PAGE_LEAVES:
                await asyncio.sleep(GATHER_SECONDS)

    @override
    async def Cosigned(self, request: CosignedRequest, context: Any) -> CosignedResponse:
        """The witness's word."""
        del context
        self._require_own_site()
        return (await self._link.ask(BoundaryRequest(cosigned=request))).cosigned

    @override
    async def EnrolStation(self, request: CustodyEnrolStationRequest, context: Any) -> CustodyEnrolStationResponse:
        """The ticket is the proof; this service only passes it on."""
        del context
        self._require_own_site()
        reply = await self._link.ask(BoundaryRequest(enrol_station=request))
        self._drain.note_change()
        return CustodyEnrolStationResponse(certificate_chain_der=reply.chain.certificates_der)

    @override
    async def Status(self, request: CustodyStatusRequest, context: Any) -> CustodyStatusResponse:
        """How the EdgeHSM is."""
        del context
        self._require_own_site()
        return (await self._link.ask(BoundaryRequest(status=request))).status

    def _require_own_site(self) -> None:
        """The transport CA names every factory; only this site's may carry for us."""
        if calling_peer().factory_id != self._factory_id:
            raise Refused(Reason.REASON_WRONG_FACTORY, "this EdgeHSM stands at another site", "caller")


async def _within(seconds: float, event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _read(from_index: int) -> BoundaryRequest:
    return BoundaryRequest(read_log=ReadLog(from_index=from_index, limit=PAGE_LEAVES))
