"""Organisations and their people: who is added by whom.

1. The OEM is made at `init-root`; its people of the trust root are known from then on. ODMs are added by OEM people,
   together with the factories they run; a factory belongs to one organisation.
2. An invitation is a single-use token, shown once; only its SHA-256 is kept.
3. A person belongs to one organisation for good: an invitation elsewhere is refused.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256
from secrets import token_bytes
from typing import Final

from sqlmodel import Session, col, select

from cloud.store.people import InvitationRow, OrganisationRow, PersonRow
from cloud.store.sites import FactoryRow
from cloud.viewer import Viewer, not_found
from obis.refusal import Refused
from obis.trust.trust_root import TrustRootView
from obis.v1.organisations_pb2 import Organisation, OrganisationKind
from obis.v1.reason_pb2 import Reason

INVITATION_SECONDS: Final = 7 * 86400


def begin_oem(session: Session, view: TrustRootView, organisation_id: str, name: str, *, now: int) -> None:
    """The OEM and its people of the trust root; again with a newer root: its new people."""
    kind = OrganisationKind.ORGANISATION_KIND_OEM
    session.merge(OrganisationRow(organisation_id=organisation_id, name=name, kind=kind, created_at=now))
    session.flush()
    for person_id in view.persons:
        if session.get(PersonRow, person_id) is None:
            session.add(PersonRow(person_id=person_id, organisation_id=organisation_id, enrolled_at=0))


def create(session: Session, viewer: Viewer, organisation: Organisation, *, now: int) -> Organisation:
    """Add an ODM and its factories; the same again is the same. Raises Refused ALREADY_EXISTS."""
    viewer.require_oem()
    if organisation.kind not in (OrganisationKind.ORGANISATION_KIND_ODM, 0):
        raise Refused(Reason.REASON_STATE_CONFLICT, "a mesh has one OEM: add ODMs", "organisation.kind")
    row = OrganisationRow(
        organisation_id=organisation.organisation_id,
        name=organisation.name,
        kind=OrganisationKind.ORGANISATION_KIND_ODM,
        created_at=now,
    )
    known = session.get(OrganisationRow, organisation.organisation_id)
    if known is not None and (known.name, known.kind) != (row.name, row.kind):
        raise Refused(Reason.REASON_ALREADY_EXISTS, "an organisation of this id exists", "organisation.organisation_id")
    if known is None:
        session.add(row)
        session.flush()
    for factory_id in organisation.factory_ids:
        _give_factory(session, factory_id, row.organisation_id, now)
    session.flush()
    return shown(session, known or row)


def list_all(session: Session, viewer: Viewer) -> list[Organisation]:
    """By id; an ODM sees itself."""
    rows = session.exec(select(OrganisationRow).order_by(col(OrganisationRow.organisation_id)))
    return [shown(session, row) for row in rows if viewer.owns(row.organisation_id)]


def invite(session: Session, viewer: Viewer, organisation_id: str, person_id: str, *, now: int) -> tuple[str, int]:
    """The token (43 characters of base64url) and when it expires. Raises Refused NOT_FOUND or ALREADY_EXISTS."""
    if not viewer.owns(organisation_id) or session.get(OrganisationRow, organisation_id) is None:
        raise not_found("organisation", "organisation_id")
    person = session.get(PersonRow, person_id)
    if person is not None and person.organisation_id != organisation_id:
        raise Refused(Reason.REASON_ALREADY_EXISTS, "this person id is taken", "person_id", "choose another")
    token = urlsafe_b64encode(token_bytes(32)).decode().rstrip("=")
    expires_at = now + INVITATION_SECONDS
    session.add(
        InvitationRow(
            token_digest=sha256(token.encode()).digest(),
            organisation_id=organisation_id,
            person_id=person_id,
            invited_by=viewer.person_id,
            expires_at=expires_at,
        )
    )
    return token, expires_at


def shown(session: Session, row: OrganisationRow) -> Organisation:
    """As the contract shows it."""
    factories = session.exec(
        select(FactoryRow.factory_id)
        .where(FactoryRow.organisation_id == row.organisation_id)
        .order_by(col(FactoryRow.factory_id))
    )
    return Organisation(
        organisation_id=row.organisation_id,
        name=row.name,
        kind=row.kind,  # type: ignore[arg-type]  # an enum's number, as stored
        factory_ids=list(factories),
    )


def _give_factory(session: Session, factory_id: str, organisation_id: str, now: int) -> None:
    factory = session.get(FactoryRow, factory_id)
    if factory is None:
        session.add(FactoryRow(factory_id=factory_id, organisation_id=organisation_id, created_at=now))
    elif factory.organisation_id != organisation_id:
        raise Refused(
            Reason.REASON_ALREADY_EXISTS, f"factory {factory_id} is another organisation's", "organisation.factory_ids"
        )
