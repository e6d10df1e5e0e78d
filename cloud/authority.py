"""Creates Production Batches: quota, Authorization and package in one transaction, or nothing.

1. The same request_id of an organisation is the same batch; with other content it is refused.
2. Quantity is taken by guarded UPDATEs (product, Grant, share), so that no number of callers at once can pass it.
3. Authorizations of an EdgeHSM and epoch are numbered without a gap: the number is taken in the same transaction.
4. What is signed is checked against its Grant once more, as the EdgeHSM will.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from secrets import token_bytes

from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import Mapped
from sqlmodel import Session, col, select

from cloud import deliveries, pais
from cloud.batch import BatchIds, Candidate, authorization, choose_grant, draw_prefix
from cloud.keystore import P256Signer
from cloud.packaging import seal_package, sign_package
from cloud.product import Room
from cloud.store.catalogue import ProductRow, VersionRow
from cloud.store.governance import GrantRow, GrantShareRow
from cloud.store.production import BatchRow, PaiRow
from cloud.store.sites import EdgeHsmRow, FactoryRow
from cloud.viewer import Viewer, find_version, not_found
from obis.matter.certificate import read_certificate
from obis.refusal import Refused
from obis.trust import payload
from obis.trust.authorization import check_authorization
from obis.trust.envelope import digest, make_envelope
from obis.trust.trust_root import Verified
from obis.v1.authorization_pb2 import Authorization
from obis.v1.batches_pb2 import BatchState, CreateBatchRequest
from obis.v1.delivery_pb2 import AuthorizationDelivery, Delivery
from obis.v1.enrolment_objects_pb2 import EdgeHsmKeys
from obis.v1.envelope_pb2 import Envelope
from obis.v1.factories_pb2 import EdgeHsmState
from obis.v1.grant_pb2 import Grant
from obis.v1.package_pb2 import BatchPackage
from obis.v1.reason_pb2 import Reason
from obis.v1.versions_pb2 import VersionState


@dataclass(frozen=True)
class _Order:
    """What a batch is made of, once everything about it is decided."""

    viewer: Viewer
    request: CreateBatchRequest
    version: VersionRow
    candidate: Candidate
    edge: EdgeHsmRow
    pai: PaiRow
    now: int


def create_batch(
    session: Session, online: P256Signer, viewer: Viewer, request: CreateBatchRequest, *, now: int
) -> BatchRow:
    """The new batch, or the one this request_id made before. Raises Refused."""
    viewer.require_odm()
    repeated = _repeated(session, viewer, request)
    if repeated is not None:
        return repeated
    version = find_version(session, viewer, request.version_id)
    if version.state != VersionState.VERSION_STATE_APPROVED:
        raise Refused(Reason.REASON_STATE_CONFLICT, "the version is not approved", "version_id")
    edge = _edge(session, viewer, request)
    candidate = _choose(session, version, edge, request, now)
    order = _Order(viewer, request, version, candidate, edge, _pai(session, edge, version.product_id), now)
    _take(session, order)
    return _authorize(session, online, order)


def _repeated(session: Session, viewer: Viewer, request: CreateBatchRequest) -> BatchRow | None:
    row = session.exec(
        select(BatchRow).where(
            BatchRow.organisation_id == viewer.organisation_id, BatchRow.request_id == request.request_id
        )
    ).first()
    if row is not None and row.request_digest != _digest(request):
        raise Refused(Reason.REASON_ALREADY_EXISTS, "this request_id made another batch", "request_id")
    return row


def _digest(request: CreateBatchRequest) -> bytes:
    return sha256(request.SerializeToString(deterministic=True)).digest()


def _edge(session: Session, viewer: Viewer, request: CreateBatchRequest) -> EdgeHsmRow:
    """The EdgeHSM in its newest epoch, at a factory of the caller's. Raises Refused."""
    factory = session.get(FactoryRow, request.factory_id)
    if factory is None or factory.organisation_id != viewer.organisation_id:
        raise not_found("factory", "factory_id")
    row = session.exec(
        select(EdgeHsmRow)
        .where(EdgeHsmRow.edgehsm_id == request.edgehsm_id, EdgeHsmRow.factory_id == request.factory_id)
        .order_by(col(EdgeHsmRow.epoch).desc())
    ).first()
    if row is None:
        raise not_found("EdgeHSM at this factory", "edgehsm_id")
    if row.state == EdgeHsmState.EDGE_HSM_STATE_FROZEN:
        raise Refused(Reason.REASON_BROKEN_CHAIN, "its log forked or went back: nothing is authorized", "edgehsm_id")
    if row.state != EdgeHsmState.EDGE_HSM_STATE_ENROLLED:
        raise Refused(Reason.REASON_NOT_ENROLLED, "its newest epoch is not enrolled yet", "edgehsm_id")
    return row


def _choose(
    session: Session, version: VersionRow, edge: EdgeHsmRow, request: CreateBatchRequest, now: int
) -> Candidate:
    rows = session.exec(
        select(GrantRow, GrantShareRow)
        .join(GrantShareRow, col(GrantShareRow.grant_digest) == col(GrantRow.grant_digest))
        .where(
            GrantRow.version_id == version.version_id,
            GrantShareRow.edgehsm_id == edge.edgehsm_id,
            GrantShareRow.epoch == edge.epoch,
        )
        .order_by(col(GrantRow.sequence))
    )
    candidates = [_candidate(grant, share) for grant, share in rows]
    product = session.get_one(ProductRow, version.product_id)
    room = Room(product.granted_quantity, product.batched_quantity)
    return choose_grant(candidates, room, request.quantity, request.window, now)


def _candidate(grant: GrantRow, share: GrantShareRow) -> Candidate:
    message = Grant.FromString(Envelope.FromString(grant.envelope).payload)
    of_grant = Room(grant.total_quantity, grant.batched_quantity)
    return Candidate(grant.grant_digest, message, of_grant, Room(share.max_quantity, share.batched_quantity))


def _pai(session: Session, edge: EdgeHsmRow, product_id: bytes) -> PaiRow:
    row = pais.certified(session, edge.edgehsm_id, edge.epoch, product_id)
    if row is None:
        raise Refused(
            Reason.REASON_PAI_NOT_READY,
            f"the PAI of this product at {edge.edgehsm_id} is not certified yet",
            "edgehsm_id",
            "ask again: it needs the factory's link and the vault",
        )
    return row


def _take(session: Session, order: _Order) -> None:
    """Rule 2. Raises Refused QUOTA_EXCEEDED where somebody was quicker."""
    quantity, digest_of_grant, edge = order.request.quantity, order.candidate.grant_digest, order.edge
    share = (
        col(GrantShareRow.grant_digest) == digest_of_grant,
        col(GrantShareRow.edgehsm_id) == edge.edgehsm_id,
        col(GrantShareRow.epoch) == edge.epoch,
    )
    product = col(ProductRow.product_id) == order.version.product_id
    taken = (
        _take_from(session, ProductRow, col(ProductRow.granted_quantity), quantity, product),
        _take_from(
            session, GrantRow, col(GrantRow.total_quantity), quantity, col(GrantRow.grant_digest) == digest_of_grant
        ),
        _take_from(session, GrantShareRow, col(GrantShareRow.max_quantity), quantity, *share),
    )
    if not all(taken):
        raise Refused(Reason.REASON_QUOTA_EXCEEDED, "another batch took what was left", "quantity")


def _take_from(
    session: Session,
    table: type[ProductRow | GrantRow | GrantShareRow],
    limit: Mapped[int],
    quantity: int,
    *where: ColumnElement[bool],
) -> bool:
    """One guarded statement: whether there was room."""
    batched = col(table.batched_quantity)
    done = session.exec(
        update(table).where(*where, batched + quantity <= limit).values(batched_quantity=batched + quantity)
    )
    return done.rowcount == 1


def _authorize(session: Session, online: P256Signer, order: _Order) -> BatchRow:
    """Package, Authorization, delivery and row: all of it in the caller's transaction."""
    edge = order.edge
    ids = BatchIds(token_bytes(16), token_bytes(16), draw_prefix(token_bytes(8)))
    package = sign_package(_package(order, ids), online)
    signed = _sign(_authorization(session, order, ids, package.digest), order.candidate, online)
    sealed = seal_package(package, EdgeHsmKeys.FromString(edge.keys).hpke_spki_der, edge.edgehsm_id, ids.auth_id)
    content = Delivery(authorization=AuthorizationDelivery(authorization=signed, package=sealed))
    number = deliveries.enqueue(session, edge.edgehsm_id, edge.epoch, content, now=order.now, subject=ids.auth_id)
    row = _row(order, signed, number)
    session.add(row)
    session.flush()
    return row


def _package(order: _Order, ids: BatchIds) -> BatchPackage:
    return BatchPackage(
        auth_id=ids.auth_id,
        edgehsm_id=order.edge.edgehsm_id,
        epoch=order.edge.epoch,
        version_manifest=order.version.manifest,
        pai_cert_der=order.pai.cert_der,
    )


def _authorization(session: Session, order: _Order, ids: BatchIds, package_digest: bytes) -> Authorization:
    return authorization(
        order.candidate,
        ids,
        factory_id=order.edge.factory_id,
        edgehsm_id=order.edge.edgehsm_id,
        epoch=order.edge.epoch,
        sequence=_next_sequence(session, order.edge),
        quantity=order.request.quantity,
        window=order.request.window,
        organisation_id=order.viewer.organisation_id,
        pai_cert_digest=sha256(order.pai.cert_der).digest(),
        dac_not_before=_not_before(order.pai.cert_der),
        package_digest=package_digest,
        now=order.now,
    )


def _sign(message: Authorization, candidate: Candidate, online: P256Signer) -> Envelope:
    """Rule 4, then the ONLINE key."""
    envelope = make_envelope(payload.AUTHORIZATION, message.SerializeToString(deterministic=True), [online])
    grant = Verified(candidate.grant, b"", candidate.grant_digest, frozenset())
    check_authorization(grant, Verified(message, envelope.payload, digest(envelope.payload), frozenset()))
    return envelope


def _next_sequence(session: Session, edge: EdgeHsmRow) -> int:
    number: int = session.exec(
        update(EdgeHsmRow)
        .where(col(EdgeHsmRow.edgehsm_id) == edge.edgehsm_id, col(EdgeHsmRow.epoch) == edge.epoch)
        .values(authorization_sequence=col(EdgeHsmRow.authorization_sequence) + 1)
        .returning(col(EdgeHsmRow.authorization_sequence))
    ).scalar_one()
    return number


def _not_before(pai_der: bytes) -> int:
    """DACs begin with their PAI: a device may be older than its batch's clock says, never older than its issuer."""
    at = read_certificate(pai_der).not_before.at
    if at is None:
        raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, "the PAI's notBefore is not a date", "pai")
    return int(at.timestamp())


def _row(order: _Order, envelope: Envelope, number: int) -> BatchRow:
    """What is signed is what is kept."""
    message = Authorization.FromString(envelope.payload)
    return BatchRow(
        batch_id=message.batch_id,
        request_id=order.request.request_id,
        request_digest=_digest(order.request),
        organisation_id=message.organisation_id,
        created_by=order.viewer.person_id,
        created_at=order.now,
        product_id=message.product_id,
        version_id=order.version.version_id,
        grant_digest=message.grant_digest,
        factory_id=message.factory_id,
        edgehsm_id=message.edgehsm_id,
        epoch=message.epoch,
        quantity=message.quantity,
        starts_at=message.window.starts_at,
        ends_at=message.window.ends_at,
        state=BatchState.BATCH_STATE_AUTHORIZED,
        auth_id=message.auth_id,
        sequence=message.sequence,
        serial_prefix=message.serial_prefix,
        authorization=envelope.SerializeToString(deterministic=True),
        delivery_number=number,
    )
