"""Tickets, approvals, and the sites as they stand."""

from __future__ import annotations

from typing import Any

from cloud import factories
from cloud.drafting import shown
from cloud.service import CloudService
from obis.v1 import factories_pb2 as pb
from obis.v1 import factories_pb2_grpc


class FactoriesServicer(factories_pb2_grpc.FactoriesServicer):
    """For the OEM's people; an ODM sees its own."""

    def __init__(self, cloud: CloudService) -> None:
        self._cloud = cloud

    async def ProposeTicket(self, request: pb.ProposeTicketRequest, context: Any) -> pb.ProposeTicketResponse:
        """Proposes an EnrolTicket."""
        cloud, now = self._cloud, self._cloud.now()
        proposal = await cloud.write(
            lambda s, who: shown(s, factories.propose_ticket(s, cloud.roots, who, request, now=now))
        )
        return pb.ProposeTicketResponse(proposal=proposal)

    async def ProposeApproval(self, request: pb.ProposeApprovalRequest, context: Any) -> pb.ProposeApprovalResponse:
        """Proposes an EnrolmentApproval."""
        cloud, now = self._cloud, self._cloud.now()
        proposal = await cloud.write(
            lambda s, who: shown(s, factories.propose_approval(s, cloud.roots, who, request, now=now))
        )
        return pb.ProposeApprovalResponse(proposal=proposal)

    async def ListFactories(self, request: pb.ListFactoriesRequest, context: Any) -> pb.ListFactoriesResponse:
        """By id."""
        cloud = self._cloud
        found = await cloud.read(lambda s, who: factories.list_factories(s, cloud.roots.view(s), who))
        return pb.ListFactoriesResponse(factories=found)
