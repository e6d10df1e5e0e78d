"""Which certificates stand behind a product."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from cloud import certificates
from cloud.service import CloudService
from cloud.store.production import PaiRow
from cloud.store.sites import EdgeHsmRow, FactoryRow
from cloud.viewer import Viewer, find_product
from obis.v1 import keys_pb2 as pb
from obis.v1 import keys_pb2_grpc
from obis.v1.envelope_pb2 import Envelope


class KeysServicer(keys_pb2_grpc.KeysServicer):
    """For members."""

    def __init__(self, cloud: CloudService) -> None:
        self._cloud = cloud

    async def ListCertificates(self, request: pb.ListCertificatesRequest, context: Any) -> pb.ListCertificatesResponse:
        """PAA and PAIs of a product."""
        return await self._cloud.read(lambda s, who: _certificates(s, who, request.product_id))


def _certificates(session: Session, viewer: Viewer, product_id: bytes) -> pb.ListCertificatesResponse:
    """An ODM's are those of the EdgeHSMs at its own factories."""
    product = find_product(session, viewer, product_id)
    rows = session.exec(
        select(PaiRow, FactoryRow.organisation_id)
        .join(
            EdgeHsmRow,
            (col(EdgeHsmRow.edgehsm_id) == col(PaiRow.edgehsm_id)) & (col(EdgeHsmRow.epoch) == col(PaiRow.epoch)),
        )
        .join(FactoryRow, col(FactoryRow.factory_id) == col(EdgeHsmRow.factory_id))
        .where(PaiRow.product_id == product_id)
        .order_by(col(PaiRow.edgehsm_id), col(PaiRow.epoch))
    )
    return pb.ListCertificatesResponse(
        paa_cert_der=certificates.paa(session, product.paa_cert_digest),
        pais=[
            pb.PaiCertificate(
                edgehsm_id=row.edgehsm_id,
                epoch=row.epoch,
                pai_cert_der=row.cert_der,
                request=Envelope.FromString(row.request),
                grant_digest=row.grant_digest,
            )
            for row, organisation_id in rows
            if viewer.owns(organisation_id)
        ],
    )
