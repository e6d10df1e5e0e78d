"""What the stations of a factory are told: one WorkOrder a batch that EdgeHSM holds, and which batches ended.

Everything in a WorkOrder is a copy of something signed; the station verifies it against its own pinned root.
"""

from __future__ import annotations

from sqlmodel import Session, col, select

from cloud import certificates
from cloud.pais import certified
from cloud.roots import Roots
from cloud.store.catalogue import ProductRow, VersionRow
from cloud.store.governance import GrantRow
from cloud.store.production import BatchRow
from cloud.store.sites import EdgeHsmRow
from obis.v1.batches_pb2 import BatchState
from obis.v1.enrolment_objects_pb2 import PaiRequest
from obis.v1.envelope_pb2 import Envelope
from obis.v1.factory_link_pb2 import WorkOrder

_OPEN = (BatchState.BATCH_STATE_DELIVERED, BatchState.BATCH_STATE_ACTIVE)


def batches_at(session: Session, factory_id: str) -> list[tuple[bytes, bool]]:
    """(auth_id, ended) of every batch EdgeHSMs of this factory hold or held, oldest first."""
    query = select(BatchRow.auth_id, BatchRow.state).where(
        BatchRow.factory_id == factory_id, col(BatchRow.state).in_([*_OPEN, BatchState.BATCH_STATE_CLOSED])
    )
    rows = session.exec(query.order_by(col(BatchRow.created_at), col(BatchRow.sequence)))
    return [(auth_id, state == BatchState.BATCH_STATE_CLOSED) for auth_id, state in rows]


def work_order(session: Session, auth_id: bytes) -> WorkOrder:
    """The order of one batch. Raises Refused DEPENDENCY_MISSING while the vault has not shown its PAA."""
    batch = session.exec(select(BatchRow).where(BatchRow.auth_id == auth_id)).one()
    product = session.get_one(ProductRow, batch.product_id)
    edgehsm = session.get_one(EdgeHsmRow, (batch.edgehsm_id, batch.epoch))
    order = WorkOrder(
        auth_id=auth_id,
        grant=_envelope(session.get_one(GrantRow, batch.grant_digest).envelope),
        authorization=_envelope(batch.authorization),
        version_manifest=session.get_one(VersionRow, batch.version_id).manifest,
        paa_cert_der=certificates.paa(session, product.paa_cert_digest),
        product_name=product.name,
        trust_roots=Roots.envelopes(session),
        enrolment_approval=_envelope(edgehsm.approval),
        product_rule=_envelope(product.rule),
    )
    pai = certified(session, batch.edgehsm_id, batch.epoch, batch.product_id)
    if pai is not None:
        order.pai_cert_der = pai.cert_der
        order.pai_request.CopyFrom(_envelope(pai.request))
        order.debug_spki_der = PaiRequest.FromString(order.pai_request.payload).debug_spki_der
    return order


def _envelope(content: bytes) -> Envelope:
    return Envelope.FromString(content)
