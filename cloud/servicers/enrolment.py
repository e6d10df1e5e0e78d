"""Enrolment stands on two ports: for newcomers without certificate, and (Renew) for those who have one."""

from __future__ import annotations

from typing import Any

from cloud import enrolment
from cloud.service import CloudService
from obis.mesh.identity import calling_peer
from obis.v1 import enrolment_pb2 as pb
from obis.v1 import enrolment_pb2_grpc


class EnrolmentServicer(enrolment_pb2_grpc.EnrolmentServicer):
    """Each request carries its own proof."""

    def __init__(self, cloud: CloudService) -> None:
        self._cloud = cloud

    async def GetTrust(self, request: pb.GetTrustRequest, context: Any) -> pb.GetTrustResponse:
        """What everybody may know."""
        return await self._cloud.store.read(lambda session: enrolment.trust(session, self._cloud.ca))

    async def EnrolPerson(self, request: pb.EnrolPersonRequest, context: Any) -> pb.EnrolPersonResponse:
        """By token or by a trust root key."""
        cloud, now = self._cloud, self._cloud.now()
        if request.WhichOneof("proof") == "invitation_token":
            return await cloud.store.write(
                lambda s: enrolment.person_by_token(
                    s, cloud.roots, cloud.ca, request.csr_der, request.invitation_token, now=now
                )
            )
        return await cloud.store.write(
            lambda s: enrolment.person_by_request(
                s, cloud.roots, cloud.ca, request.csr_der, request.person_request, now=now
            )
        )

    async def EnrolFactory(self, request: pb.EnrolFactoryRequest, context: Any) -> pb.EnrolFactoryResponse:
        """By ticket."""
        cloud, now = self._cloud, self._cloud.now()
        chain = await cloud.store.write(
            lambda s: enrolment.factory(s, cloud.roots, cloud.ca, request.ticket, request.csr_der, now=now)
        )
        return pb.EnrolFactoryResponse(certificate_chain_der=chain)

    async def EnrolEdgeHsm(self, request: pb.EnrolEdgeHsmRequest, context: Any) -> pb.EnrolEdgeHsmResponse:
        """Shows its keys."""
        cloud, now = self._cloud, self._cloud.now()
        fingerprint = await cloud.store.write(lambda s: enrolment.edgehsm(s, cloud.roots, request.request, now=now))
        return pb.EnrolEdgeHsmResponse(key_fingerprint=fingerprint)

    async def GetEdgeHsmEnrolment(
        self, request: pb.GetEdgeHsmEnrolmentRequest, context: Any
    ) -> pb.GetEdgeHsmEnrolmentResponse:
        """Once people approved."""
        return await self._cloud.store.read(
            lambda s: enrolment.edgehsm_result(s, self._cloud.ca, request.edgehsm_id, request.epoch)
        )

    async def Renew(self, request: pb.RenewRequest, context: Any) -> pb.RenewResponse:
        """For the caller's own name."""
        cloud, now, peer = self._cloud, self._cloud.now(), calling_peer()
        chain = await cloud.store.write(lambda s: enrolment.renew(s, cloud.ca, peer, request.csr_der, now=now))
        return pb.RenewResponse(certificate_chain_der=chain)
