"""Who is asking, and what is theirs to see.

1. The OEM sees everything. An ODM sees itself, its factories, its versions and batches, and the products whose
   workspace it was invited to.
2. What is not the asker's to see is answered like what does not exist: NOT_FOUND, after the same look-up.
3. A person acts for the organisation in the cloud's records, never for one a certificate or request names. A backend's
   id is its organisation's.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session

from cloud.store.catalogue import MembershipRow, ProductRow, VersionRow
from cloud.store.people import OrganisationRow, PersonRow
from cloud.store.production import BatchRow
from obis.mesh.identity import Peer, Role
from obis.refusal import Refused
from obis.v1.organisations_pb2 import OrganisationKind
from obis.v1.products_pb2 import MembershipState
from obis.v1.reason_pb2 import Reason


@dataclass(frozen=True)
class Viewer:
    """One asker. `person_id` is empty for a backend, which decides nothing that a person must."""

    person_id: str
    organisation_id: str
    is_oem: bool

    def require_oem(self) -> None:
        """Raises Refused ROLE_NOT_ALLOWED for an ODM's people."""
        if not self.is_oem:
            raise Refused(Reason.REASON_ROLE_NOT_ALLOWED, "this is for the OEM's people")

    def require_odm(self) -> None:
        """Raises Refused ROLE_NOT_ALLOWED for the OEM's people."""
        if self.is_oem:
            raise Refused(Reason.REASON_ROLE_NOT_ALLOWED, "this is for an ODM's people")

    def owns(self, organisation_id: str) -> bool:
        """Whether what this organisation owns is theirs to see."""
        return self.is_oem or self.organisation_id == organisation_id


def viewer_of(session: Session, peer: Peer) -> Viewer:
    """The asker behind a certificate. Raises Refused IDENTITY_UNKNOWN for one the cloud has no record of."""
    organisation_id = peer.id
    if peer.role is Role.PERSON:
        person = session.get(PersonRow, peer.id)
        organisation_id = person.organisation_id if person else ""
    organisation = session.get(OrganisationRow, organisation_id)
    if organisation is None:
        raise Refused(Reason.REASON_IDENTITY_UNKNOWN, "the caller belongs to no organisation here", next_step="enrol")
    is_oem = organisation.kind == OrganisationKind.ORGANISATION_KIND_OEM
    return Viewer(peer.id if peer.role is Role.PERSON else "", organisation_id, is_oem)


def find_product(session: Session, viewer: Viewer, product_id: bytes, *, invited: bool = False) -> ProductRow:
    """The product, for a member (or, with `invited`, an invited ODM). Raises Refused NOT_FOUND."""
    product = session.get(ProductRow, product_id)
    member = session.get(MembershipRow, (product_id, viewer.organisation_id))
    states = {MembershipState.MEMBERSHIP_STATE_MEMBER}
    if invited:
        states.add(MembershipState.MEMBERSHIP_STATE_INVITED)
    if product is None or not (viewer.is_oem or (member is not None and member.state in states)):
        raise not_found("product", "product_id")
    return product


def find_version(session: Session, viewer: Viewer, version_id: bytes) -> VersionRow:
    """The version, for the OEM and the ODM that made it. Raises Refused NOT_FOUND."""
    version = session.get(VersionRow, version_id)
    if version is None or not viewer.owns(version.organisation_id):
        raise not_found("version", "version_id")
    return version


def find_batch(session: Session, viewer: Viewer, batch_id: bytes) -> BatchRow:
    """The batch, for the OEM and the ODM that created it. Raises Refused NOT_FOUND."""
    batch = session.get(BatchRow, batch_id)
    if batch is None or not viewer.owns(batch.organisation_id):
        raise not_found("batch", "batch_id")
    return batch


def not_found(what: str, where: str) -> Refused:
    """The one answer for absent and for foreign."""
    return Refused(Reason.REASON_NOT_FOUND, f"no such {what}", where)
