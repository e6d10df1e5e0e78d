"""What the Factory Service does for the site's people and its MES: enrol a station, show the site, hand out records.

`EnrolStation` is served on the enrolment port too, where callers have no certificate: the ticket is the proof, and
EdgeHSM checks it, not this service.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from cryptography.hazmat.primitives.serialization import Encoding
from typing_extensions import override

from factory.artifacts import Artifacts
from factory.bell import Bell
from factory.buffer import Buffer, LogId
from factory.carrying import HEARTBEAT_SECONDS
from factory.custody import Custodian
from factory.site import Site
from factory.uplink import Uplink
from obis.mesh.calls import Context
from obis.refusal import Refused
from obis.v1 import supervisor_pb2_grpc
from obis.v1.custody_pb2 import CustodyEnrolStationRequest
from obis.v1.delivery_pb2 import LogPage
from obis.v1.reason_pb2 import Reason
from obis.v1.supervisor_pb2 import (
    EdgeHsmSite,
    EnrolStationRequest,
    EnrolStationResponse,
    StatusRequest,
    StatusResponse,
    WatchRecordsRequest,
    WatchRecordsResponse,
)


class SupervisorServicer(supervisor_pb2_grpc.SupervisorServicer):
    """For supervisors and the MES; on the enrolment port, for stations to be."""

    def __init__(
        self,
        factory_id: str,
        site: Site,
        buffer: Buffer,
        bell: Bell,
        artifacts: Artifacts,
        uplink: Uplink,
        custodians: Mapping[str, Custodian],
    ) -> None:
        self._factory_id, self._site = factory_id, site
        self._buffer, self._bell, self._artifacts = buffer, bell, artifacts
        self._uplink, self._custodians = uplink, custodians

    @override
    async def EnrolStation(self, request: EnrolStationRequest, context: Context) -> EnrolStationResponse:
        """Pass ticket and request to an EdgeHSM of the site."""
        passed = CustodyEnrolStationRequest(ticket=request.ticket, csr_der=request.csr_der)
        answer = await self._custodian(request.edgehsm_id).enrol_station(passed)
        return EnrolStationResponse(
            certificate_chain_der=answer.certificate_chain_der,
            site_root_cert_der=self._site.site_root.public_bytes(Encoding.DER),
            transport_ca_cert_der=self._site.transport_ca.public_bytes(Encoding.DER),
        )

    @override
    async def Status(self, request: StatusRequest, context: Context) -> StatusResponse:
        """The site as it is now."""
        return StatusResponse(
            factory_id=self._factory_id,
            cloud_connected=self._uplink.connected,
            cloud_last_heard_at=self._uplink.last_heard_at,
            edgehsms=[self._describe(each) for each in self._custodians.values()],
            work_orders=sum(1 for work in self._buffer.work_after(0) if not work.ended),
            artifacts=self._artifacts.count(),
        )

    @override
    async def WatchRecords(self, request: WatchRecordsRequest, context: Context) -> AsyncIterator[WatchRecordsResponse]:
        """Leaves of the present epoch from an index on, then as they come, a heartbeat in between."""
        index = request.from_index
        while True:
            log = self._buffer.latest(request.edgehsm_id)
            page = self._buffer.page_with(log, index) if log else None
            if log and not page and index < self._buffer.size(log):
                raise Refused(
                    Reason.REASON_NOT_FOUND, f"leaf {index} is not here any more: ask the cloud", "from_index"
                )
            if log and page:
                for response in self._leaves(log, LogPage.FromString(page.content), index):
                    yield response
                index = page.end_index
            elif not await self._bell.heard(HEARTBEAT_SECONDS / 2):
                yield WatchRecordsResponse(index=index, cosigned_size=self._buffer.cosignature(log)[0] if log else 0)

    def _leaves(self, log: LogId, page: LogPage, index: int) -> list[WatchRecordsResponse]:
        cosigned = self._buffer.cosignature(log)[0]
        return [
            WatchRecordsResponse(index=at, leaf=leaf, cosigned_size=cosigned)
            for at, leaf in enumerate(page.leaves, page.first_index)
            if at >= index
        ]

    def _describe(self, custodian: Custodian) -> EdgeHsmSite:
        log = self._buffer.latest(custodian.edgehsm_id)
        if log is None:
            return EdgeHsmSite(edgehsm_id=custodian.edgehsm_id, connected=custodian.connected)
        return EdgeHsmSite(
            edgehsm_id=log.edgehsm_id,
            epoch=log.epoch,
            connected=custodian.connected,
            buffered_size=self._buffer.size(log),
            cosigned_size=self._buffer.cosignature(log)[0],
            waiting_deliveries=self._buffer.waiting_deliveries(log),
            last_refusal=self._buffer.trouble(log),
        )

    def _custodian(self, edgehsm_id: str) -> Custodian:
        chosen = self._custodians.get(edgehsm_id or next(iter(self._custodians), ""))
        if chosen is None:
            raise Refused(Reason.REASON_NOT_FOUND, "no such EdgeHSM at this site", "edgehsm_id")
        return chosen
