"""Proposals and signatures."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from cloud import grants
from cloud.drafting import shown
from cloud.service import CloudService
from cloud.store.catalogue import VersionRow
from cloud.store.governance import GrantRow
from cloud.viewer import Viewer, find_product
from obis.v1 import grants_pb2 as pb
from obis.v1 import grants_pb2_grpc
from obis.v1.envelope_pb2 import Envelope


class GrantsServicer(grants_pb2_grpc.GrantsServicer):
    """For the OEM's people; `ListGrants` for members."""

    def __init__(self, cloud: CloudService) -> None:
        self._cloud = cloud

    async def ProposeGrant(self, request: pb.ProposeGrantRequest, context: Any) -> pb.ProposeGrantResponse:
        """A Grant for a submitted version."""
        cloud, now = self._cloud, self._cloud.now()
        proposal = await cloud.write(
            lambda s, who: shown(s, grants.propose_grant(s, cloud.roots, who, request, now=now))
        )
        return pb.ProposeGrantResponse(proposal=proposal)

    async def ListProposals(self, request: pb.ListProposalsRequest, context: Any) -> pb.ListProposalsResponse:
        """Oldest first."""
        proposals = await self._cloud.read(
            lambda s, who: [shown(s, row) for row in grants.list_proposals(s, who, open_only=request.open_only)]
        )
        return pb.ListProposalsResponse(proposals=proposals)

    async def GetProposal(self, request: pb.GetProposalRequest, context: Any) -> pb.GetProposalResponse:
        """One proposal."""
        proposal = await self._cloud.read(lambda s, who: shown(s, grants.find_proposal(s, who, request.proposal_id)))
        return pb.GetProposalResponse(proposal=proposal)

    async def SignProposal(self, request: pb.SignProposalRequest, context: Any) -> pb.SignProposalResponse:
        """Adds a signature; the last one takes effect."""
        cloud, now = self._cloud, self._cloud.now()
        proposal = await cloud.write(
            lambda s, who: shown(s, grants.sign_proposal(s, cloud.roots, who, request, now=now))
        )
        return pb.SignProposalResponse(proposal=proposal)

    async def WithdrawProposal(self, request: pb.WithdrawProposalRequest, context: Any) -> pb.WithdrawProposalResponse:
        """Its proposer takes it back."""
        now = self._cloud.now()
        proposal = await self._cloud.write(
            lambda s, who: shown(s, grants.withdraw_proposal(s, who, request.proposal_id, now=now))
        )
        return pb.WithdrawProposalResponse(proposal=proposal)

    async def ListGrants(self, request: pb.ListGrantsRequest, context: Any) -> pb.ListGrantsResponse:
        """The chain, by sequence."""
        return pb.ListGrantsResponse(grants=await self._cloud.read(lambda s, who: _grants(s, who, request.product_id)))


def _grants(session: Session, viewer: Viewer, product_id: bytes) -> list[pb.SignedGrant]:
    """An ODM's are those of its own versions."""
    find_product(session, viewer, product_id)
    rows = session.exec(
        select(GrantRow, VersionRow.organisation_id)
        .join(VersionRow, col(VersionRow.version_id) == col(GrantRow.version_id))
        .where(GrantRow.product_id == product_id)
        .order_by(col(GrantRow.sequence))
    )
    return [
        pb.SignedGrant(
            envelope=Envelope.FromString(row.envelope),
            grant_digest=row.grant_digest,
            batched_quantity=row.batched_quantity,
        )
        for row, organisation_id in rows
        if viewer.owns(organisation_id)
    ]
