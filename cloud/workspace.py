"""Product Workspaces: products as their members see them, and how an ODM comes in.

An ODM sees of a product what concerns itself: its own membership, and the quantities of its own Grants and batches.
"""

from __future__ import annotations

from secrets import token_bytes

from sqlmodel import Session, col, func, select

from cloud import certificates
from cloud import product as products
from cloud.drafting import propose
from cloud.roots import Roots
from cloud.store.catalogue import MembershipRow, ProductRow, VersionRow
from cloud.store.governance import GrantRow, ProposalRow
from cloud.store.people import OrganisationRow
from cloud.store.production import BatchRow
from cloud.viewer import Viewer, find_product, not_found
from obis.refusal import Refused
from obis.trust import payload
from obis.trust.envelope import digest
from obis.trust.signature import load_public_key
from obis.v1.envelope_pb2 import Envelope, SigScheme
from obis.v1.organisations_pb2 import OrganisationKind
from obis.v1.products_pb2 import CreateProductRequest, MembershipState, Product, WorkspaceMember
from obis.v1.reason_pb2 import Reason
from obis.v1.rule_pb2 import ProductRule


def create_product(
    session: Session, roots: Roots, viewer: Viewer, request: CreateProductRequest, *, now: int
) -> ProposalRow:
    """Propose a ProductRule under the PAA of its vendor id. Raises Refused."""
    viewer.require_oem()
    for spki_der in request.cd_signer_spki_der:
        load_public_key(spki_der, SigScheme.SIG_SCHEME_P256)
    paa_digest = digest(certificates.paa_for(session, request.vendor_id))
    rule = products.first_rule(
        token_bytes(16),
        request.name,
        request.vendor_id,
        request.product_code,
        request.lifetime_quantity,
        list(request.keys),
        list(request.cd_signer_spki_der),
        paa_cert_digest=paa_digest,
        proposer=viewer.person_id,
        now=now,
    )
    session.add(
        ProductRow(
            product_id=rule.product_id,
            name=rule.name,
            vendor_id=rule.vendor_id,
            product_code=rule.product_code,
            paa_cert_digest=paa_digest,
            created_at=now,
        )
    )
    return propose(
        session,
        roots,
        payload.PRODUCT_RULE,
        rule,
        proposer=viewer.person_id,
        subject=rule.product_id,
        title=products.title(rule),
        now=now,
    )


def list_products(session: Session, viewer: Viewer) -> list[Product]:
    """By name; an ODM's are those it is in or was invited to."""
    query = select(ProductRow).order_by(col(ProductRow.name), col(ProductRow.product_id))
    if not viewer.is_oem:
        mine = select(MembershipRow.product_id).where(MembershipRow.organisation_id == viewer.organisation_id)
        query = query.where(col(ProductRow.product_id).in_(mine))
    return [shown(session, viewer, row) for row in session.exec(query)]


def invite(session: Session, viewer: Viewer, product_id: bytes, organisation_id: str, *, now: int) -> WorkspaceMember:
    """Invite an ODM; one that is in stays in. Raises Refused NOT_FOUND."""
    viewer.require_oem()
    find_product(session, viewer, product_id)
    organisation = session.get(OrganisationRow, organisation_id)
    if organisation is None or organisation.kind != OrganisationKind.ORGANISATION_KIND_ODM:
        raise not_found("ODM", "organisation_id")
    member = session.get(MembershipRow, (product_id, organisation_id))
    if member is None:
        state = MembershipState.MEMBERSHIP_STATE_INVITED
        member = MembershipRow(product_id=product_id, organisation_id=organisation_id, state=state, changed_at=now)
        session.add(member)
    return _shown_member(member)


def accept(session: Session, viewer: Viewer, product_id: bytes, *, now: int) -> WorkspaceMember:
    """Accept for the caller's organisation; again changes nothing. Raises Refused NOT_FOUND where none was sent."""
    viewer.require_odm()
    member = session.get(MembershipRow, (product_id, viewer.organisation_id))
    if member is None:
        raise not_found("invitation", "product_id")
    if member.state != MembershipState.MEMBERSHIP_STATE_MEMBER:
        member.state, member.changed_at = MembershipState.MEMBERSHIP_STATE_MEMBER, now
        session.add(member)
    return _shown_member(member)


def forget_unsigned(session: Session, product_id: bytes) -> None:
    """A product whose rule was withdrawn before anybody could build on it leaves nothing; a live one stays."""
    row = session.get(ProductRow, product_id)
    if row is not None and not row.rule:
        for member in session.exec(select(MembershipRow).where(MembershipRow.product_id == product_id)):
            session.delete(member)
        session.flush()
        session.delete(row)


def shown(session: Session, viewer: Viewer, row: ProductRow) -> Product:
    """As the contract shows it, to this viewer."""
    granted, batched, issued = _quantities(session, viewer, row)
    found = Product(
        product_id=row.product_id,
        name=row.name,
        vendor_id=row.vendor_id,
        product_code=row.product_code,
        lifetime_quantity=row.lifetime_quantity,
        granted_quantity=granted,
        batched_quantity=batched,
        issued_quantity=issued,
        members=_members(session, viewer, row.product_id),
    )
    if row.rule:
        found.rule.CopyFrom(Envelope.FromString(row.rule))
        found.keys.extend(ProductRule.FromString(found.rule.payload).keys)
    return found


def require_live(row: ProductRow) -> ProductRule:
    """The rule in force. Raises Refused STATE_CONFLICT while the quorum has not signed it."""
    if not row.rule:
        raise Refused(Reason.REASON_STATE_CONFLICT, "the product's rule is not signed yet", "product_id")
    return ProductRule.FromString(Envelope.FromString(row.rule).payload)


def _quantities(session: Session, viewer: Viewer, row: ProductRow) -> tuple[int, int, int]:
    """Granted, batched, issued: of all for the OEM, of its own for an ODM."""
    if viewer.is_oem:
        return row.granted_quantity, row.batched_quantity, row.issued_quantity
    own = viewer.organisation_id
    granted = session.exec(
        select(func.coalesce(func.sum(GrantRow.total_quantity), 0))
        .join(VersionRow, col(VersionRow.version_id) == col(GrantRow.version_id))
        .where(GrantRow.product_id == row.product_id, VersionRow.organisation_id == own)
    ).one()
    batched, issued = session.exec(
        select(func.coalesce(func.sum(BatchRow.quantity), 0), func.coalesce(func.sum(BatchRow.issued), 0)).where(
            BatchRow.product_id == row.product_id, BatchRow.organisation_id == own
        )
    ).one()
    return int(granted), int(batched), int(issued)


def _members(session: Session, viewer: Viewer, product_id: bytes) -> list[WorkspaceMember]:
    rows = session.exec(
        select(MembershipRow).where(MembershipRow.product_id == product_id).order_by(col(MembershipRow.organisation_id))
    )
    return [_shown_member(row) for row in rows if viewer.owns(row.organisation_id)]


def _shown_member(row: MembershipRow) -> WorkspaceMember:
    return WorkspaceMember(
        organisation_id=row.organisation_id,
        state=row.state,  # type: ignore[arg-type]  # an enum's number, as stored
    )
