"""The site CA: transport certificates for the front, stations and supervisors of this one site. They authorize nothing.

A station's certificate needs a StationTicket:
 1. signed by a SITE key of this very factory (the trust root says which);         ROLE_NOT_HELD, WRONG_FACTORY
 2. not expired, by the boundary's time;                                           EXPIRED
 3. for the key in the CSR, whose possession is proved;                            DIGEST_MISMATCH, CSR_...
 4. used once: again with the same key gives the same certificate and no leaf;     TICKET_USED
 5. within the number of stations that the EnrolmentApproval allows.               QUOTA_EXCEEDED
It is valid for the granted outage budget and 30 days, so that stations come through a fortnight without the cloud.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from edgehsm.boundary.book import Book
from edgehsm.boundary.gate import Station
from edgehsm.boundary.holdings import Enrolled, Place
from edgehsm.boundary.issuer import refused_by
from edgehsm.boundary.signer import EpochKeys
from obis.matter.csr import PublicKey, parse_csr
from obis.matter.errors import MatterError
from obis.mesh.certificate import leaf, sign_by
from obis.mesh.identity import Identity, Role
from obis.refusal import Refused
from obis.trust.payload import STATION_TICKET
from obis.trust.trust_root import Verified
from obis.v1.enrolment_objects_pb2 import SiteRole, StationTicket
from obis.v1.envelope_pb2 import Envelope
from obis.v1.leaf_pb2 import FrontCertifiedLeaf, LogLeaf, StationEnrolledLeaf
from obis.v1.reason_pb2 import Reason

FRONT_LIFE: Final = timedelta(hours=24)
STATION_GRACE: Final = timedelta(days=30)  # beyond the outage budget
CLOCK_SKEW: Final = timedelta(minutes=5)
TICKET_KIND: Final = "station-ticket"
CERTIFICATE_KIND: Final = "station-certificate"

_ROLES: Final = {SiteRole.SITE_ROLE_STATION: Role.STATION, SiteRole.SITE_ROLE_SUPERVISOR: Role.SUPERVISOR}


def certify_front(book: Book, enrolled: Enrolled, csr_der: bytes) -> bytes:
    """DER certificate for the front's transport key. Raises Refused."""
    key, place = _key_of(csr_der), book.holdings.place
    certificate = _certify(book, enrolled, Identity(Role.FRONT, place.edgehsm_id, place.factory_id), key, FRONT_LIFE)
    not_after = int(certificate.not_valid_after_utc.timestamp())
    book.write(LogLeaf(front_certified=FrontCertifiedLeaf(spki_digest=key.spki_digest, not_after=not_after)))
    return certificate.public_bytes(Encoding.DER)


def enrol_station(book: Book, enrolled: Enrolled, ticket: Envelope, csr_der: bytes) -> bytes:
    """DER certificate for a station or supervisor, by rules 1 to 5. Raises Refused."""
    verified, key = book.holdings.view.verify(ticket, STATION_TICKET), _key_of(csr_der)
    named = verified.message
    _require_usable(book, enrolled, named, key)
    if given := book.holdings.tickets.get(named.ticket_id):
        return given
    identity = Identity(_ROLES[named.role], named.station_id, named.factory_id)
    life = timedelta(seconds=enrolled.approval.outage_budget_seconds) + STATION_GRACE
    certificate = _certify(book, enrolled, identity, key, life).public_bytes(Encoding.DER)
    hold_station(book, named, certificate)
    version = max(book.holdings.views)
    book.keep(TICKET_KIND, named.ticket_id, ticket.SerializeToString(deterministic=True), version)
    book.keep(CERTIFICATE_KIND, named.ticket_id, certificate)
    book.write(LogLeaf(station_enrolled=_leaf(verified, certificate)), key.spki_digest)
    return certificate


def hold_station(book: Book, ticket: StationTicket, certificate: bytes) -> None:
    """A station from here on."""
    stopped = ticket.spki_digest in book.holdings.revocations.station_spki_digests
    station = Station(ticket.station_id, ticket.role, frozenset(ticket.product_ids), revoked=stopped)
    book.holdings.stations[ticket.spki_digest] = station
    book.holdings.tickets[ticket.ticket_id] = certificate


def require_certified(certificate_der: bytes, spki_der: bytes, issuer_der: bytes | None, what: str) -> None:
    """Raises Refused CERTIFICATE_LINT_FAILED unless the certificate is for this key and signed by the issuer (itself)."""
    try:
        certificate = x509.load_der_x509_certificate(certificate_der)
        issuer = x509.load_der_x509_certificate(issuer_der or certificate_der)
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, "its issuer did not sign it", what) from None
    if certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != spki_der:
        raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, "it is for another key", what)


def require_site_ca(certificate_der: bytes, factory_id: str) -> None:
    """Raises Refused unless it is a CA for this site's host alone: what we sign elsewhere must be worth nothing."""
    extensions = x509.load_der_x509_certificate(certificate_der).extensions
    host = f"{factory_id}.site.obis"
    try:
        basic = extensions.get_extension_for_class(x509.BasicConstraints).value
        names = extensions.get_extension_for_class(x509.NameConstraints)
    except x509.ExtensionNotFound:
        raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, "constraints are missing", "site CA") from None
    permitted = set(names.value.permitted_subtrees or ())
    wanted = {x509.UniformResourceIdentifier(host), x509.DNSName(host)}
    if not basic.ca or basic.path_length != 0 or not names.critical or permitted != wanted:
        raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, f"it is not bound to {host} alone", "site CA")


def _require_usable(book: Book, enrolled: Enrolled, ticket: StationTicket, key: PublicKey) -> None:
    place: Place = book.holdings.place
    if ticket.factory_id != place.factory_id:
        raise Refused(Reason.REASON_WRONG_FACTORY, "the ticket is for another factory", "ticket.factory_id")
    if book.now >= ticket.expires_at:
        raise Refused(Reason.REASON_EXPIRED, "the ticket has expired", "ticket.expires_at")
    if key.spki_digest != ticket.spki_digest:
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "the ticket is for another key", "csr_der")
    given = book.holdings.tickets.get(ticket.ticket_id)
    if given is not None and sha256(_spki(given)).digest() != ticket.spki_digest:
        raise Refused(Reason.REASON_TICKET_USED, "the ticket was used for another key", "ticket.ticket_id")
    if given is None and len(book.holdings.tickets) >= enrolled.approval.max_stations:
        raise Refused(Reason.REASON_QUOTA_EXCEEDED, "the approval allows no more stations", "ticket")


def _certify(book: Book, enrolled: Enrolled, identity: Identity, key: PublicKey, life: timedelta) -> x509.Certificate:
    now = datetime.fromtimestamp(book.now, UTC)
    public, issuer = load_der_public_key(key.spki_der), x509.load_der_x509_certificate(enrolled.site_ca_cert)
    if not isinstance(public, EllipticCurvePublicKey):
        raise Refused(Reason.REASON_CSR_CURVE_UNSUPPORTED, "not a P-256 key", "csr_der")
    handle = EpochKeys(book.holdings.place.epoch).site_ca
    builder = leaf(identity, public, issuer, not_before=now - CLOCK_SKEW, not_after=now + life)
    return sign_by(builder, lambda tbs: book.element.sign(handle, tbs))


def _key_of(csr_der: bytes) -> PublicKey:
    try:
        return parse_csr(csr_der)
    except MatterError as error:
        raise refused_by(error, "csr_der") from None


def _spki(certificate_der: bytes) -> bytes:
    key = x509.load_der_x509_certificate(certificate_der).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _leaf(ticket: Verified[StationTicket], certificate: bytes) -> StationEnrolledLeaf:
    named = ticket.message
    return StationEnrolledLeaf(
        ticket_id=named.ticket_id,
        station_id=named.station_id,
        spki_digest=named.spki_digest,
        cert_digest=sha256(certificate).digest(),
        signed_by=min(ticket.keys),
        line_id=named.line_id,
    )
