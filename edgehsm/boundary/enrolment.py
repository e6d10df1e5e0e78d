"""How a boundary becomes an EdgeHSM of a mesh: keys made here, people's approval checked here.

Begin: the ticket names this factory and EdgeHSM (by configuration) and an epoch; the epoch's five keys are made, and an
EnrolRequest shows them, signed by identity, log and site CA key. The HPKE and wrap keys cannot sign; the others' signatures
cover them. Again with the same ticket: the same request. The ticket's own signatures are checked at the end, when the
trust roots are here.

Finish, each step with its reason:
 1. The trust roots walk from the fingerprint pinned in the configuration.            TRUST_ROOT_INVALID
 2. The ENROLMENT quorum signed the ticket and the approval.                          THRESHOLD_NOT_MET, ...
 3. The approval names this factory, EdgeHSM and epoch, and this ticket.              WRONG_...
 4. Its keys are exactly the ones in this element.                                    DIGEST_MISMATCH
 5. It claims no better protection than the element has.                              ASSURANCE_TOO_LOW
 6. Transport CA and site root have the keys the trust root names; the identity and the site CA certificate are for the
    keys in here and signed by them; the site CA is bound to this one site.           CERTIFICATE_LINT_FAILED
"""

from __future__ import annotations

from dataclasses import replace

from edgehsm.boundary.element import Element, KeyKind
from edgehsm.boundary.holdings import Enrolled, Place
from edgehsm.boundary.request import pkcs10
from edgehsm.boundary.signer import ElementSigner, EpochKeys
from edgehsm.boundary.site import require_certified, require_site_ca
from obis.refusal import Refused
from obis.trust.checkpoint import Checkpoint, log_origin, sign_note
from obis.trust.envelope import make_envelope
from obis.trust.merkle import EMPTY_ROOT
from obis.trust.payload import ENROL_REQUEST, ENROL_TICKET, ENROLMENT_APPROVAL, parse_closed
from obis.trust.trust_root import TrustRootView, walk
from obis.v1.enrolment_objects_pb2 import EdgeHsmKeys, EnrolmentApproval, EnrolRequest, EnrolTicket, TicketSubject
from obis.v1.enrolment_pb2 import GetEdgeHsmEnrolmentResponse
from obis.v1.envelope_pb2 import Envelope
from obis.v1.reason_pb2 import Reason

TICKET_KIND = "enrol-ticket"
REQUEST_KIND = "enrol-request"


def begin(place: Place, element: Element, ticket: Envelope, software_version: str, now: int) -> Envelope:
    """The EnrolRequest for this ticket. Raises Refused."""
    named = read_ticket(place, ticket)
    keys = EpochKeys(named.epoch)
    request = EnrolRequest(
        ticket=ticket,
        keys=make_keys(element, keys),
        identity_csr_der=_csr(element, place, keys, "identity"),
        site_ca_csr_der=_csr(element, place, keys, "site-ca"),
        assurance=element.assurance,
        software_version=software_version,
        first_checkpoint=_first_checkpoint(element, place, keys),
        requested_at=now,
    )
    signers = [
        ElementSigner(element, keys.identity),
        ElementSigner(element, keys.log, KeyKind.SIGN_ED25519),
        ElementSigner(element, keys.site_ca),
    ]
    return make_envelope(ENROL_REQUEST, request.SerializeToString(deterministic=True), signers)


def read_ticket(place: Place, ticket: Envelope) -> EnrolTicket:
    """The ticket's words; who signed it is checked by `finish`. Raises Refused."""
    if ticket.payload_type != ENROL_TICKET.text:
        raise Refused(Reason.REASON_PAYLOAD_TYPE_UNEXPECTED, "not an enrolment ticket", "ticket")
    named = parse_closed(ENROL_TICKET, ticket.payload)
    if named.subject != TicketSubject.TICKET_SUBJECT_EDGEHSM or not named.epoch:
        raise Refused(Reason.REASON_PAYLOAD_TYPE_UNEXPECTED, "the ticket admits no EdgeHSM", "ticket.subject")
    _require_place(place, named.factory_id, named.edgehsm_id)
    return named


def make_keys(element: Element, keys: EpochKeys) -> EdgeHsmKeys:
    """The public halves of the epoch's keys, made now where they are not there yet."""
    return EdgeHsmKeys(
        identity_spki_der=element.ensure(keys.identity, KeyKind.SIGN_P256),
        log_spki_der=element.ensure(keys.log, KeyKind.SIGN_ED25519),
        hpke_spki_der=element.ensure(keys.hpke, KeyKind.OPEN_HPKE),
        site_ca_spki_der=element.ensure(keys.site_ca, KeyKind.SIGN_P256),
        wrap_spki_der=element.ensure(keys.wrap, KeyKind.UNWRAP_RSA),
    )


def finish(
    place: Place, element: Element, ticket: Envelope, answer: GetEdgeHsmEnrolmentResponse, *, now: int | None
) -> tuple[Place, Enrolled, dict[int, TrustRootView]]:
    """Who this boundary is from now on; `now` (Unix seconds) is None for an enrolment read back. Raises Refused."""
    views = walk_all(list(answer.trust_roots), place.fingerprint)
    view = views[max(views)]
    named = view.verify(ticket, ENROL_TICKET, now=now).message
    approval = view.verify(answer.approval, ENROLMENT_APPROVAL, now=now).message
    _require_place(place, approval.factory_id, approval.edgehsm_id)
    _require_approved(element, named, approval)
    enrolled = Enrolled(
        approval,
        answer.identity_cert_der,
        answer.site_ca_cert_der,
        answer.site_root_cert_der,
        answer.transport_ca_cert_der,
    )
    require_certified(enrolled.transport_ca_cert, view.root.transport_ca_spki_der, None, "transport CA")
    require_certified(enrolled.site_root_cert, view.root.site_root_spki_der, None, "site root")
    require_certified(enrolled.identity_cert, approval.keys.identity_spki_der, enrolled.transport_ca_cert, "identity")
    require_certified(enrolled.site_ca_cert, approval.keys.site_ca_spki_der, enrolled.site_root_cert, "site CA")
    require_site_ca(enrolled.site_ca_cert, place.factory_id)
    return replace(place, epoch=approval.epoch), enrolled, views


def walk_all(envelopes: list[Envelope], fingerprint: bytes) -> dict[int, TrustRootView]:
    """Every version on the way, by its number. Raises Refused."""
    view = walk(envelopes[:1], fingerprint)
    views = {view.version: view}
    for envelope in envelopes[1:]:
        view = view.extend(envelope)
        views[view.version] = view
    return views


def _require_place(place: Place, factory_id: str, edgehsm_id: str) -> None:
    if factory_id != place.factory_id:
        raise Refused(Reason.REASON_WRONG_FACTORY, f"this boundary stands at {place.factory_id}", "factory_id")
    if edgehsm_id != place.edgehsm_id:
        raise Refused(Reason.REASON_WRONG_EDGEHSM, f"this boundary is {place.edgehsm_id}", "edgehsm_id")


def _require_approved(element: Element, ticket: EnrolTicket, approval: EnrolmentApproval) -> None:
    """Steps 3 to 5."""
    if approval.epoch != ticket.epoch:
        raise Refused(Reason.REASON_WRONG_EPOCH, f"the ticket is for epoch {ticket.epoch}", "approval.epoch")
    if approval.ticket_id != ticket.ticket_id:
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "the approval came with another ticket", "approval.ticket_id")
    if approval.keys != make_keys(element, EpochKeys(approval.epoch)):
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "the approval is of other keys than the ones here", "approval")
    if approval.assurance > element.assurance:
        raise Refused(Reason.REASON_ASSURANCE_TOO_LOW, "the approval takes the element for better", "approval")


def _csr(element: Element, place: Place, keys: EpochKeys, name: str) -> bytes:
    handle = keys.identity if name == "identity" else keys.site_ca
    label = f"{name} {place.edgehsm_id} {keys.epoch}"
    return pkcs10(label, element.public(handle), lambda tbs: element.sign(handle, tbs))


def _first_checkpoint(element: Element, place: Place, keys: EpochKeys) -> bytes:
    """The empty log, signed: proof of possession of the log key in the form in which it will be used."""
    empty = Checkpoint(log_origin(place.edgehsm_id, keys.epoch), 0, EMPTY_ROOT)
    return sign_note(empty, element.public(keys.log), lambda text: element.sign(keys.log, text))
