"""Sites as people handle them: tickets and approvals proposed, factories listed.

1. A ticket is for a factory that an organisation runs and the trust root names as a site.
2. An approval is for the keys an EdgeHSM has shown, and only with the fingerprint people read off the appliance.
3. A new ticket for a known EdgeHSM begins its next epoch.
"""

from __future__ import annotations

from hashlib import sha256
from secrets import token_bytes
from typing import Final

from sqlmodel import Session, col, func, select

from cloud import proposal
from cloud.drafting import propose
from cloud.roots import Roots
from cloud.store.governance import ProposalRow
from cloud.store.production import BatchRow
from cloud.store.sites import EdgeHsmRow, FactoryRow
from cloud.viewer import Viewer, not_found
from obis.refusal import Refused
from obis.trust import payload
from obis.trust.trust_root import TrustRootView
from obis.v1.enrolment_objects_pb2 import EdgeHsmKeys, EnrolmentApproval, EnrolTicket, TicketSubject
from obis.v1.envelope_pb2 import Envelope
from obis.v1.factories_pb2 import EdgeHsm, EdgeHsmState, Factory, ProposeApprovalRequest, ProposeTicketRequest
from obis.v1.reason_pb2 import Reason

MAX_STATIONS: Final = 1000  # stations and supervisors one epoch may enrol, unless people say otherwise


def propose_ticket(
    session: Session, roots: Roots, viewer: Viewer, request: ProposeTicketRequest, *, now: int
) -> ProposalRow:
    """An EnrolTicket for a Factory Service or an EdgeHSM's next epoch. Raises Refused."""
    viewer.require_oem()
    is_edge = request.subject == TicketSubject.TICKET_SUBJECT_EDGEHSM
    if is_edge != bool(request.edgehsm_id):
        raise Refused(Reason.REASON_MALFORMED, "edgehsm_id goes with an EdgeHSM's ticket and no other", "edgehsm_id")
    _require_site(session, roots, request.factory_id)
    ticket = EnrolTicket(
        ticket_id=token_bytes(16),
        subject=request.subject,
        factory_id=request.factory_id,
        edgehsm_id=request.edgehsm_id,
        epoch=_next_epoch(session, request) if is_edge else 0,
        expires_at=now + request.valid_seconds,
        proposer=viewer.person_id,
        proposed_at=now,
    )
    return propose(
        session,
        roots,
        payload.ENROL_TICKET,
        ticket,
        proposer=viewer.person_id,
        subject=f"{request.factory_id}/{request.edgehsm_id}".encode(),
        title=proposal.ticket_title(ticket),
        now=now,
    )


def propose_approval(
    session: Session, roots: Roots, viewer: Viewer, request: ProposeApprovalRequest, *, now: int
) -> ProposalRow:
    """The EnrolmentApproval of an EdgeHSM that has shown its keys. Raises Refused."""
    viewer.require_oem()
    row = session.get(EdgeHsmRow, (request.edgehsm_id, request.epoch))
    if row is None:
        raise not_found("EdgeHSM has shown its keys", "edgehsm_id")
    if row.key_fingerprint != request.key_fingerprint:
        raise Refused(
            Reason.REASON_DIGEST_MISMATCH,
            "the appliance shows another fingerprint than the cloud was sent",
            "key_fingerprint",
            "do not approve; find out who sent the other keys",
        )
    if row.approval:
        raise Refused(Reason.REASON_STATE_CONFLICT, "it is approved already", "edgehsm_id")
    approval = _approval(row, viewer.person_id, request.outage_budget_seconds, now)
    return propose(
        session,
        roots,
        payload.ENROLMENT_APPROVAL,
        approval,
        proposer=viewer.person_id,
        subject=f"{row.edgehsm_id}/{row.epoch}".encode(),
        title=proposal.approval_title(approval, row.key_fingerprint),
        now=now,
    )


def list_factories(session: Session, view: TrustRootView, viewer: Viewer) -> list[Factory]:
    """By id; an ODM's own."""
    rows = session.exec(select(FactoryRow).order_by(col(FactoryRow.factory_id)))
    return [_shown(session, view, row) for row in rows if viewer.owns(row.organisation_id)]


def key_fingerprint(keys: EdgeHsmKeys) -> bytes:
    """32 bytes over the five key digests in field order: what people compare."""
    spkis = (
        keys.identity_spki_der,
        keys.log_spki_der,
        keys.hpke_spki_der,
        keys.site_ca_spki_der,
        keys.wrap_spki_der,
    )
    return sha256(b"".join(sha256(each).digest() for each in spkis)).digest()


def _require_site(session: Session, roots: Roots, factory_id: str) -> None:
    roots.view(session).site(factory_id)
    if session.get(FactoryRow, factory_id) is None:
        raise Refused(
            Reason.REASON_DEPENDENCY_MISSING,
            f"no organisation runs factory {factory_id}",
            "factory_id",
            "name it in CreateOrganisation.factory_ids",
        )


def _next_epoch(session: Session, request: ProposeTicketRequest) -> int:
    """One after the newest; an EdgeHSM does not move to another factory under its id."""
    rows = session.exec(select(EdgeHsmRow).where(EdgeHsmRow.edgehsm_id == request.edgehsm_id)).all()
    if any(row.factory_id != request.factory_id for row in rows):
        raise Refused(Reason.REASON_WRONG_FACTORY, "this EdgeHSM belongs to another factory", "edgehsm_id")
    return max((row.epoch for row in rows), default=0) + 1


def _approval(row: EdgeHsmRow, proposer: str, outage_budget_seconds: int, now: int) -> EnrolmentApproval:
    return EnrolmentApproval(
        factory_id=row.factory_id,
        edgehsm_id=row.edgehsm_id,
        epoch=row.epoch,
        keys=EdgeHsmKeys.FromString(row.keys),
        assurance=row.assurance,  # type: ignore[arg-type]  # an enum's number, as stored
        ticket_id=row.ticket_id,
        outage_budget_seconds=outage_budget_seconds,
        proposer=proposer,
        proposed_at=now,
        max_stations=MAX_STATIONS,
    )


def _shown(session: Session, view: TrustRootView, row: FactoryRow) -> Factory:
    sites = {site.factory_id: site for site in view.root.sites}
    site = sites.get(row.factory_id)
    edges = session.exec(
        select(EdgeHsmRow)
        .where(EdgeHsmRow.factory_id == row.factory_id)
        .order_by(col(EdgeHsmRow.edgehsm_id), col(EdgeHsmRow.epoch))
    )
    issued = session.exec(
        select(func.coalesce(func.sum(BatchRow.issued), 0)).where(BatchRow.factory_id == row.factory_id)
    ).one()
    return Factory(
        factory_id=row.factory_id,
        name=site.name if site else "",
        country=site.country if site else "",
        organisation_id=row.organisation_id,
        connected=row.connected,
        last_heard_at=row.last_heard_at,
        edgehsms=[_shown_edge(edge) for edge in edges],
        issued=int(issued),
    )


def _shown_edge(row: EdgeHsmRow) -> EdgeHsm:
    state: EdgeHsmState.ValueType = row.state  # type: ignore[assignment]  # an enum's number, as stored
    return EdgeHsm(
        edgehsm_id=row.edgehsm_id,
        factory_id=row.factory_id,
        epoch=row.epoch,
        state=state,
        key_fingerprint=row.key_fingerprint,
        assurance=row.assurance,  # type: ignore[arg-type]  # the same
        log_size=row.log_size,
        last_page_at=row.last_page_at,
        approval=Envelope.FromString(row.approval) if row.approval else None,
    )
