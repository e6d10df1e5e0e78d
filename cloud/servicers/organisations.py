"""Organisations: the OEM, its ODMs, their people."""

from __future__ import annotations

from typing import Any

from cloud import organisations
from cloud.service import CloudService
from obis.v1 import organisations_pb2 as pb
from obis.v1 import organisations_pb2_grpc


class OrganisationsServicer(organisations_pb2_grpc.OrganisationsServicer):
    """For people."""

    def __init__(self, cloud: CloudService) -> None:
        self._cloud = cloud

    async def CreateOrganisation(
        self, request: pb.CreateOrganisationRequest, context: Any
    ) -> pb.CreateOrganisationResponse:
        """Adds an ODM."""
        now = self._cloud.now()
        made = await self._cloud.write(lambda s, who: organisations.create(s, who, request.organisation, now=now))
        return pb.CreateOrganisationResponse(organisation=made)

    async def ListOrganisations(
        self, request: pb.ListOrganisationsRequest, context: Any
    ) -> pb.ListOrganisationsResponse:
        """All the caller may see."""
        return pb.ListOrganisationsResponse(organisations=await self._cloud.read(organisations.list_all))

    async def InvitePerson(self, request: pb.InvitePersonRequest, context: Any) -> pb.InvitePersonResponse:
        """A token, shown once."""
        now = self._cloud.now()
        token, expires_at = await self._cloud.write(
            lambda s, who: organisations.invite(s, who, request.organisation_id, request.person_id, now=now)
        )
        return pb.InvitePersonResponse(invitation_token=token, expires_at=expires_at)
