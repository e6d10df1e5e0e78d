"""What happens when a quorum is reached, in the transaction of the last signature.

| object | effect |
|---|---|
| ProductRule | the product lives: its rule and lifetime quantity are in force |
| Grant | its version is approved, each EdgeHSM it names gets a GrantDelivery, other open Grants of the product are void |
| EnrolTicket | none: the signed envelope is the ticket |
| EnrolmentApproval | the EdgeHSM waits for its certificates (`cloud.certification`) |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from google.protobuf.message import Message
from sqlalchemy import update
from sqlmodel import Session, col, select

from cloud import certificates, deliveries, proposal
from cloud.store.catalogue import ProductRow, VersionRow
from cloud.store.governance import GrantRow, GrantShareRow, ProposalRow
from cloud.store.sites import EdgeHsmRow
from cloud.store.wake import wake_after_commit
from obis.refusal import Refused
from obis.trust import payload
from obis.trust.grant import check_grant
from obis.trust.rule import check_rule
from obis.trust.trust_root import TrustRootView, Verified
from obis.v1.delivery_pb2 import Delivery, GrantDelivery
from obis.v1.enrolment_objects_pb2 import EnrolmentApproval
from obis.v1.envelope_pb2 import Envelope
from obis.v1.grant_pb2 import Grant
from obis.v1.grants_pb2 import ProposalState
from obis.v1.reason_pb2 import Reason
from obis.v1.rule_pb2 import ProductRule
from obis.v1.versions_pb2 import VersionState

ENROLMENTS: Final = "enrolments"

Effect = Callable[[Session, TrustRootView, Envelope, int], None]


def take_effect(session: Session, view: TrustRootView, row: ProposalRow, envelope: Envelope, *, now: int) -> None:
    """Close the proposal as signed and do what its object says. Raises Refused, also where the trust root has expired."""
    row.state, row.closed_at = ProposalState.PROPOSAL_STATE_SIGNED, now
    session.add(row)
    session.flush()
    _EFFECTS[row.payload_type](session, view, envelope, now)


def chain(session: Session, view: TrustRootView, product_id: bytes) -> list[Verified[Grant]]:
    """The product's signed Grants in order, each verified again."""
    rows = session.exec(
        select(GrantRow.envelope).where(GrantRow.product_id == product_id).order_by(col(GrantRow.sequence))
    )
    return [view.verify(Envelope.FromString(each), payload.GRANT) for each in rows]


def verified_rule(view: TrustRootView, product: ProductRow) -> Verified[ProductRule]:
    """The product's rule. Raises Refused STATE_CONFLICT while the quorum has not signed it."""
    if not product.rule:
        raise Refused(Reason.REASON_STATE_CONFLICT, "the product's rule is not signed yet", "product_id")
    return view.verify(Envelope.FromString(product.rule), payload.PRODUCT_RULE)


def _rule_signed(session: Session, view: TrustRootView, envelope: Envelope, now: int) -> None:
    rule = view.verify(envelope, payload.PRODUCT_RULE, now=now)
    check_rule(rule)
    product = session.get_one(ProductRow, rule.message.product_id)
    product.rule = envelope.SerializeToString(deterministic=True)
    product.rule_digest = rule.digest
    product.lifetime_quantity = rule.message.lifetime_quantity
    session.add(product)


def _grant_signed(session: Session, view: TrustRootView, envelope: Envelope, now: int) -> None:
    grant = view.verify(envelope, payload.GRANT, now=now)
    product = session.get_one(ProductRow, grant.message.product_id)
    version = session.get_one(VersionRow, grant.message.version_id)
    if version.state not in (VersionState.VERSION_STATE_SUBMITTED, VersionState.VERSION_STATE_APPROVED):
        raise Refused(Reason.REASON_STATE_CONFLICT, "the version was rejected meanwhile", "version_id")
    earlier = chain(session, view, product.product_id)
    proposal.require_in_place(grant.message, earlier)
    check_grant(verified_rule(view, product), grant, earlier)
    _promise(session, product.product_id, grant.message.total_quantity)
    _keep(session, grant, envelope, now)
    version.state, version.decided_at = VersionState.VERSION_STATE_APPROVED, now
    session.add(version)
    _void_others(session, grant.message.product_id, now)
    _deliver(session, product, version, grant, envelope, now)


def _promise(session: Session, product_id: bytes, quantity: int) -> None:
    """Guarded in one statement: whoever comes second sees the first."""
    done = session.exec(
        update(ProductRow)
        .where(
            col(ProductRow.product_id) == product_id,
            col(ProductRow.granted_quantity) + quantity <= col(ProductRow.lifetime_quantity),
        )
        .values(granted_quantity=col(ProductRow.granted_quantity) + quantity)
    )
    if done.rowcount != 1:
        raise Refused(Reason.REASON_LIFETIME_QUANTITY_EXCEEDED, "the lifetime quantity is promised", "total_quantity")


def _keep(session: Session, grant: Verified[Grant], envelope: Envelope, now: int) -> None:
    message = grant.message
    session.add(
        GrantRow(
            grant_digest=grant.digest,
            grant_id=message.grant_id,
            product_id=message.product_id,
            version_id=message.version_id,
            sequence=message.sequence,
            total_quantity=message.total_quantity,
            envelope=envelope.SerializeToString(deterministic=True),
            signed_at=now,
        )
    )
    session.flush()
    for cap in message.edge_caps:
        session.add(
            GrantShareRow(
                grant_digest=grant.digest,
                edgehsm_id=cap.edgehsm_id,
                epoch=cap.epoch,
                factory_id=cap.factory_id,
                max_quantity=cap.max_quantity,
            )
        )


def _void_others(session: Session, product_id: bytes, now: int) -> None:
    """Open Grants of the product stand on a chain that has just moved on."""
    query = select(ProposalRow).where(
        ProposalRow.payload_type == payload.GRANT.text, ProposalRow.state == ProposalState.PROPOSAL_STATE_PROPOSED
    )
    for row in session.exec(query):
        if Grant.FromString(row.payload).product_id == product_id:
            row.state, row.closed_at = ProposalState.PROPOSAL_STATE_WITHDRAWN, now
            session.add(row)


def _deliver(
    session: Session, product: ProductRow, version: VersionRow, grant: Verified[Grant], envelope: Envelope, now: int
) -> None:
    content = GrantDelivery(
        rule=Envelope.FromString(product.rule),
        grant=envelope,
        version_manifest=version.manifest,
        paa_cert_der=certificates.paa(session, product.paa_cert_digest),
    )
    for cap in grant.message.edge_caps:
        deliveries.enqueue(session, cap.edgehsm_id, cap.epoch, Delivery(grant=content), now=now, subject=grant.digest)


def _ticket_signed(_session: Session, view: TrustRootView, envelope: Envelope, now: int) -> None:
    view.verify(envelope, payload.ENROL_TICKET, now=now)


def _approval_signed(session: Session, view: TrustRootView, envelope: Envelope, now: int) -> None:
    approval: Verified[EnrolmentApproval] = view.verify(envelope, payload.ENROLMENT_APPROVAL, now=now)
    row = session.get_one(EdgeHsmRow, (approval.message.edgehsm_id, approval.message.epoch))
    if row.keys != approval.message.keys.SerializeToString(deterministic=True):
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "the EdgeHSM has shown other keys than these", "keys")
    row.approval = envelope.SerializeToString(deterministic=True)
    row.approval_digest = approval.digest
    session.add(row)
    wake_after_commit(session, ENROLMENTS)


_EFFECTS: Final[dict[str, Effect]] = {
    payload.PRODUCT_RULE.text: _rule_signed,
    payload.GRANT.text: _grant_signed,
    payload.ENROL_TICKET.text: _ticket_signed,
    payload.ENROLMENT_APPROVAL.text: _approval_signed,
}
TYPES: Final[dict[str, payload.PayloadType[Message]]] = {
    each.text: each  # type: ignore[misc]  # four types under one roof: only their text and role are used
    for each in (payload.PRODUCT_RULE, payload.GRANT, payload.ENROL_TICKET, payload.ENROLMENT_APPROVAL)
}
