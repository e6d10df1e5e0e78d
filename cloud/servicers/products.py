"""Products and the workspaces around them."""

from __future__ import annotations

from typing import Any

from cloud import workspace
from cloud.service import CloudService
from cloud.viewer import find_product
from obis.v1 import products_pb2 as pb
from obis.v1 import products_pb2_grpc


class ProductsServicer(products_pb2_grpc.ProductsServicer):
    """For members."""

    def __init__(self, cloud: CloudService) -> None:
        self._cloud = cloud

    async def CreateProduct(self, request: pb.CreateProductRequest, context: Any) -> pb.CreateProductResponse:
        """Proposes a ProductRule."""
        cloud, now = self._cloud, self._cloud.now()
        row = await cloud.write(lambda s, who: workspace.create_product(s, cloud.roots, who, request, now=now))
        return pb.CreateProductResponse(product_id=row.subject, proposal_id=row.proposal_id)

    async def GetProduct(self, request: pb.GetProductRequest, context: Any) -> pb.GetProductResponse:
        """One product."""
        found = await self._cloud.read(
            lambda s, who: workspace.shown(s, who, find_product(s, who, request.product_id, invited=True))
        )
        return pb.GetProductResponse(product=found)

    async def ListProducts(self, request: pb.ListProductsRequest, context: Any) -> pb.ListProductsResponse:
        """Those the caller may see."""
        return pb.ListProductsResponse(products=await self._cloud.read(workspace.list_products))

    async def InviteOrganisation(
        self, request: pb.InviteOrganisationRequest, context: Any
    ) -> pb.InviteOrganisationResponse:
        """Invites an ODM."""
        now = self._cloud.now()
        member = await self._cloud.write(
            lambda s, who: workspace.invite(s, who, request.product_id, request.organisation_id, now=now)
        )
        return pb.InviteOrganisationResponse(member=member)

    async def AcceptInvitation(self, request: pb.AcceptInvitationRequest, context: Any) -> pb.AcceptInvitationResponse:
        """Accepts for the caller's organisation."""
        now = self._cloud.now()
        member = await self._cloud.write(lambda s, who: workspace.accept(s, who, request.product_id, now=now))
        return pb.AcceptInvitationResponse(member=member)
