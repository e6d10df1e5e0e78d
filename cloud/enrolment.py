"""Transport identities for newcomers: each shows a proof that people signed or a token they gave.

1. Persons: a single-use invitation token, or a PersonRequest signed by a trust root key of that very person, for this
   transport key, not more than ten minutes old. A person of the trust root comes by the second alone.
2. Factory Services: a ticket of the ENROLMENT quorum, used once; the same key may ask again (a reply can be lost).
3. EdgeHSMs: an EnrolRequest with its ticket, signed by the identity, log and site CA keys it names. It gets nothing
   until people have approved those keys.
4. `renew` gives a caller a new certificate for the name it proved on this connection, and no other.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from sqlmodel import Session

from cloud import certificates
from cloud.factories import key_fingerprint
from cloud.roots import Roots
from cloud.store.people import InvitationRow, OrganisationRow, PersonRow
from cloud.store.sites import EdgeHsmRow, FactoryRow, UsedTicketRow
from cloud.transport_ca import TransportCa, read_request
from cloud.viewer import not_found
from obis.matter.csr import PublicKey
from obis.mesh.identity import Identity, Peer, Role
from obis.refusal import Refused
from obis.trust import payload
from obis.trust.envelope import verify_with_keys
from obis.trust.signature import load_public_key
from obis.trust.trust_root import TrustRootView
from obis.v1.enrolment_objects_pb2 import EdgeHsmKeys, EnrolRequest, EnrolTicket, TicketSubject
from obis.v1.enrolment_pb2 import EnrolPersonResponse, GetEdgeHsmEnrolmentResponse, GetTrustResponse
from obis.v1.envelope_pb2 import Envelope, SigScheme
from obis.v1.factories_pb2 import EdgeHsmState
from obis.v1.reason_pb2 import Reason

REQUEST_AGE_SECONDS: Final = 600
WRAP_KEY_BITS: Final = 3072
_P256, _ED25519 = SigScheme.SIG_SCHEME_P256, SigScheme.SIG_SCHEME_ED25519


def trust(session: Session, ca: TransportCa) -> GetTrustResponse:
    """What everybody may know. Raises Refused DEPENDENCY_MISSING while the vault has not been seen."""
    return GetTrustResponse(
        trust_roots=Roots.envelopes(session),
        transport_ca_cert_der=ca.cert_der,
        site_root_cert_der=certificates.one(session, certificates.SITE_ROOT),
    )


def person_by_token(
    session: Session, roots: Roots, ca: TransportCa, csr_der: bytes, token: str, *, now: int
) -> EnrolPersonResponse:
    """Raises Refused NOT_FOUND, EXPIRED, TICKET_USED, ROLE_NOT_ALLOWED for somebody of the trust root."""
    key = read_request(csr_der)
    invitation = session.get(InvitationRow, sha256(token.encode()).digest())
    if invitation is None:
        raise not_found("invitation", "invitation_token")
    if invitation.used_at is not None:
        raise Refused(Reason.REASON_TICKET_USED, "the invitation was used already", "invitation_token")
    if now >= invitation.expires_at:
        raise Refused(Reason.REASON_EXPIRED, "the invitation has expired", "invitation_token")
    if invitation.person_id in roots.view(session).persons:
        # Whoever invited could come as a colleague, propose in that name, and count as a signer of it.
        what = "a person of the trust root enrols by their own key"
        raise Refused(Reason.REASON_ROLE_NOT_ALLOWED, what, "invitation_token", "send a PersonRequest")
    person = session.get(PersonRow, invitation.person_id)
    if person is not None and person.organisation_id != invitation.organisation_id:
        raise Refused(Reason.REASON_ALREADY_EXISTS, "this person id is taken", "invitation_token")
    invitation.used_at = now
    session.add(invitation)
    if person is None:
        person = PersonRow(person_id=invitation.person_id, organisation_id=invitation.organisation_id, enrolled_at=now)
        session.add(person)
    return _person_certificate(session, ca, person, key, "invitation", now)


def person_by_request(
    session: Session, roots: Roots, ca: TransportCa, csr_der: bytes, envelope: Envelope, *, now: int
) -> EnrolPersonResponse:
    """Raises Refused: signature reasons, EXPIRED, DIGEST_MISMATCH, NOT_FOUND."""
    key = read_request(csr_der)
    request = roots.view(session).verify_person(envelope).message
    if abs(now - request.requested_at) > REQUEST_AGE_SECONDS:
        raise Refused(Reason.REASON_EXPIRED, "the request is not of these ten minutes", "person_request.requested_at")
    if request.spki_digest != key.spki_digest:
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "it was signed for another key", "person_request.spki_digest")
    person = session.get(PersonRow, request.person_id)
    if person is None:
        raise not_found("person", "person_request.person_id")
    return _person_certificate(session, ca, person, key, "person-request", now)


def factory(
    session: Session, roots: Roots, ca: TransportCa, ticket: Envelope, csr_der: bytes, *, now: int
) -> list[bytes]:
    """The Factory Service's certificate chain. Raises Refused."""
    key = read_request(csr_der)
    found = _ticket(roots.view(session), ticket, TicketSubject.TICKET_SUBJECT_FACTORY, now)
    _use_ticket(session, found, key.spki_digest, now)
    identity = Identity(Role.FACTORY, found.factory_id)
    return [ca.issue(session, identity, key, proof="ticket", now=now), ca.cert_der]


def edgehsm(session: Session, roots: Roots, envelope: Envelope, *, now: int) -> bytes:
    """Keep what a new EdgeHSM showed; returns its key fingerprint, 32 bytes. Raises Refused."""
    request = read_enrol_request(envelope)
    ticket = _ticket(roots.view(session), request.ticket, TicketSubject.TICKET_SUBJECT_EDGEHSM, now)
    _require_holds_keys(request)
    digest = sha256(envelope.payload).digest()
    _use_ticket(session, ticket, digest, now)
    fingerprint = key_fingerprint(request.keys)
    known = session.get(EdgeHsmRow, (ticket.edgehsm_id, ticket.epoch))
    if known is not None and known.request_digest != digest:
        raise Refused(Reason.REASON_ALREADY_EXISTS, "this epoch has shown other keys", "request", "use a new ticket")
    if known is None:
        session.add(
            EdgeHsmRow(
                edgehsm_id=ticket.edgehsm_id,
                epoch=ticket.epoch,
                factory_id=ticket.factory_id,
                state=EdgeHsmState.EDGE_HSM_STATE_REQUESTED,
                request=envelope.SerializeToString(deterministic=True),
                request_digest=digest,
                keys=request.keys.SerializeToString(deterministic=True),
                key_fingerprint=fingerprint,
                assurance=request.assurance,
                ticket_id=ticket.ticket_id,
                requested_at=now,
            )
        )
    return fingerprint


def edgehsm_result(session: Session, ca: TransportCa, edgehsm_id: str, epoch: int) -> GetEdgeHsmEnrolmentResponse:
    """What an approved EdgeHSM begins with. Raises Refused NOT_FOUND or APPROVAL_PENDING."""
    row = session.get(EdgeHsmRow, (edgehsm_id, epoch))
    if row is None:
        raise not_found("EdgeHSM", "edgehsm_id")
    if not (row.identity_cert_der and row.site_ca_cert_der):
        raise Refused(
            Reason.REASON_APPROVAL_PENDING, "people have not approved its keys yet", "edgehsm_id", "ask again later"
        )
    return GetEdgeHsmEnrolmentResponse(
        trust_roots=Roots.envelopes(session),
        approval=Envelope.FromString(row.approval),
        identity_cert_der=row.identity_cert_der,
        site_ca_cert_der=row.site_ca_cert_der,
        site_root_cert_der=certificates.one(session, certificates.SITE_ROOT),
        transport_ca_cert_der=ca.cert_der,
    )


def renew(session: Session, ca: TransportCa, peer: Peer, csr_der: bytes, *, now: int) -> list[bytes]:
    """A new certificate for the caller's own name; a caller the cloud no longer knows gets none. Raises Refused."""
    key = read_request(csr_der)
    known = {
        Role.PERSON: lambda: session.get(PersonRow, peer.id),
        Role.FACTORY: lambda: session.get(FactoryRow, peer.id),
        Role.BACKEND: lambda: session.get(OrganisationRow, peer.id),
    }.get(peer.role, lambda: peer)()
    if known is None:
        raise Refused(Reason.REASON_IDENTITY_UNKNOWN, "the caller is no longer known here", next_step="enrol again")
    identity = Identity(peer.role, peer.id)
    return [ca.issue(session, identity, key, proof="renewal", now=now), ca.cert_der]


def read_enrol_request(envelope: Envelope) -> EnrolRequest:
    """The request, signed by the identity, log and site CA keys in it. Raises Refused."""
    unproven = payload.parse_closed(payload.ENROL_REQUEST, envelope.payload)
    keys = unproven.keys
    signers = [(keys.identity_spki_der, _P256), (keys.log_spki_der, _ED25519), (keys.site_ca_spki_der, _P256)]
    return verify_with_keys(envelope, payload.ENROL_REQUEST, signers)


def _person_certificate(
    session: Session, ca: TransportCa, person: PersonRow, key: PublicKey, proof: str, now: int
) -> EnrolPersonResponse:
    leaf = ca.issue(session, Identity(Role.PERSON, person.person_id), key, proof=proof, now=now)
    return EnrolPersonResponse(
        certificate_chain_der=[leaf, ca.cert_der],
        person_id=person.person_id,
        organisation_id=person.organisation_id,
    )


def _ticket(view: TrustRootView, envelope: Envelope, subject: TicketSubject.ValueType, now: int) -> EnrolTicket:
    ticket = view.verify(envelope, payload.ENROL_TICKET, now=now).message
    if ticket.subject != subject:
        raise Refused(Reason.REASON_PAYLOAD_TYPE_UNEXPECTED, "the ticket admits something else", "ticket.subject")
    if now >= ticket.expires_at:
        raise Refused(Reason.REASON_EXPIRED, "the ticket has expired", "ticket.expires_at")
    return ticket


def _use_ticket(session: Session, ticket: EnrolTicket, user_digest: bytes, now: int) -> None:
    """Once; the same user may come again."""
    used = session.get(UsedTicketRow, ticket.ticket_id)
    if used is not None and used.user_digest != user_digest:
        raise Refused(Reason.REASON_TICKET_USED, "the ticket was used already", "ticket.ticket_id")
    if session.get(FactoryRow, ticket.factory_id) is None:
        raise Refused(Reason.REASON_WRONG_FACTORY, "no organisation runs this factory", "ticket.factory_id")
    if used is None:
        session.add(
            UsedTicketRow(
                ticket_id=ticket.ticket_id,
                subject=ticket.subject,
                factory_id=ticket.factory_id,
                edgehsm_id=ticket.edgehsm_id,
                user_digest=user_digest,
                used_at=now,
            )
        )


def _require_holds_keys(request: EnrolRequest) -> None:
    """CSRs for the keys they claim; the other two of the right kind."""
    keys: EdgeHsmKeys = request.keys
    for csr_der, spki_der, where in (
        (request.identity_csr_der, keys.identity_spki_der, "identity_csr_der"),
        (request.site_ca_csr_der, keys.site_ca_spki_der, "site_ca_csr_der"),
    ):
        if read_request(csr_der).spki_der != spki_der:
            raise Refused(Reason.REASON_DIGEST_MISMATCH, "the request is for another key", where)
    load_public_key(keys.hpke_spki_der, _P256)
    wrap = load_der_public_key(keys.wrap_spki_der)
    if not isinstance(wrap, RSAPublicKey) or wrap.key_size != WRAP_KEY_BITS:
        raise Refused(Reason.REASON_SCHEME_MISMATCH, "the wrapping key is not RSA-3072", "keys.wrap_spki_der")
