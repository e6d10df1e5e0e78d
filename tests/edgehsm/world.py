"""Everything around an EdgeHSM that it believes or serves: people, cloud, vault, supervisors, chips. Real keys, no mesh."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from obis.matter.ids import ProductId, VendorId
from obis.matter.paa import PaaProfile, build_paa
from obis.matter.pai import PaiProfile, build_pai
from obis.matter.profile import Subject
from obis.mesh import certificate
from obis.mesh.identity import CLOUD_HOST, Identity, Role
from obis.trust.checkpoint import cosign_note, witness_name
from obis.trust.envelope import digest, make_envelope
from obis.trust.package import seal
from obis.trust.payload import (
    AUTHORIZATION,
    BATCH_PACKAGE,
    BEACON,
    DEVICE_REPORT,
    ENROL_REQUEST,
    ENROL_TICKET,
    ENROLMENT_APPROVAL,
    GRANT,
    PAI_REQUEST,
    PRODUCT_RULE,
    REVOCATION_LIST,
    STATION_TICKET,
    parse_closed,
)
from obis.v1.delivery_pb2 import AuthorizationDelivery, GrantDelivery, PaiDelivery
from obis.v1.device_objects_pb2 import DebugChallenge, DebugState, DeviceReport, Lifecycle
from obis.v1.enrolment_objects_pb2 import EnrolmentApproval, EnrolTicket, SiteRole, StationTicket, TicketSubject
from obis.v1.enrolment_pb2 import GetEdgeHsmEnrolmentResponse
from obis.v1.envelope_pb2 import Envelope
from obis.v1.package_pb2 import BatchPackage, ChipSecurity, FactoryDataTemplate, VersionManifest
from obis.v1.revocation_pb2 import Beacon, RevocationList
from obis.v1.scope_pb2 import Assurance, DeviceId, Operation, Window
from tests.obis.trust import objects, people
from tests.obis.trust.keys import Key, p256

FACTORY, EDGE, EPOCH, SOC = "th-1", "edge-th", 1, "generic-wifi"
PAA = p256("paa")
CERT_SERIAL = itertools.count(0x1000000000000001)


def exact(message) -> bytes:
    return message.SerializeToString(deterministic=True)


def signed(payload_type, message, *signers: Key) -> Envelope:
    return make_envelope(payload_type, exact(message), signers)


@dataclass
class Chip:
    """A device: its key never leaves it, and it says what it is under that key."""

    uid: bytes
    key: Key = field(default_factory=lambda: Key(ec.generate_private_key(ec.SECP256R1())))
    soc: str = SOC

    @property
    def id(self) -> DeviceId:
        return DeviceId(soc=self.soc, uid=self.uid)

    def report(self, auth_id: bytes, nonce: bytes, **changed) -> Envelope:
        said = {
            "firmware_digest": b"f" * 32,
            "lifecycle": Lifecycle.LIFECYCLE_LOCKED,
            "debug_state": DebugState.DEBUG_STATE_LOCKED,
        }
        report = DeviceReport(auth_id=auth_id, device=self.id, boundary_nonce=nonce, **(said | changed))
        return signed(DEVICE_REPORT, report, self.key)

    def challenge(self, nonce: bytes) -> bytes:
        return exact(DebugChallenge(device=self.id, nonce=nonce, lifecycle=Lifecycle.LIFECYCLE_LOCKED, port=1))


def chip(number: int) -> Chip:
    return Chip(b"uid-%012d" % number)


class World:
    """`now` in Unix seconds is the middle of everything's validity."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.window = Window(starts_at=now - 3600, ends_at=now + 30 * 86400)
        self.root = people.signed_root(people.trust_root())
        self.fingerprint = digest(self.root.payload)
        self.transport_ca = self._ca(people.TRANSPORT_CA, CLOUD_HOST)
        self.site_root = self._site_root()
        self.paa_der = self._paa()
        self.keys = None  # the EdgeHSM's, once it has shown them

    # ---- enrolment

    def ticket(self, **changed) -> Envelope:
        said = {
            "ticket_id": b"t" * 16,
            "subject": TicketSubject.TICKET_SUBJECT_EDGEHSM,
            "factory_id": FACTORY,
            "edgehsm_id": EDGE,
            "epoch": EPOCH,
            "expires_at": self.now + 86400,
            "proposer": "alice",
            "proposed_at": self.now - 100,
        }
        return signed(ENROL_TICKET, EnrolTicket(**(said | changed)), people.BOB, people.CAROL)

    def approve(self, request: Envelope, *signers: Key, **changed) -> GetEdgeHsmEnrolmentResponse:
        """What people and vault make of an EnrolRequest."""
        asked = parse_closed(ENROL_REQUEST, request.payload)
        self.keys = asked.keys
        said = {
            "factory_id": FACTORY,
            "edgehsm_id": EDGE,
            "epoch": EPOCH,
            "keys": asked.keys,
            "assurance": Assurance.ASSURANCE_SOFTWARE,
            "ticket_id": b"t" * 16,
            "outage_budget_seconds": 14 * 86400,
            "proposer": "alice",
            "proposed_at": self.now - 50,
            "max_stations": 3,
        }
        approval = EnrolmentApproval(**(said | changed))
        return GetEdgeHsmEnrolmentResponse(
            trust_roots=[self.root],
            approval=signed(ENROLMENT_APPROVAL, approval, *(signers or (people.BOB, people.CAROL))),
            identity_cert_der=self._leaf(Identity(Role.EDGEHSM, EDGE), asked.keys.identity_spki_der),
            site_ca_cert_der=self.site_ca(asked.keys.site_ca_spki_der),
            site_root_cert_der=self.site_root.public_bytes(Encoding.DER),
            transport_ca_cert_der=self.transport_ca.public_bytes(Encoding.DER),
        )

    def site_ca(self, spki: bytes, factory: str = FACTORY) -> bytes:
        host = f"{factory}.site.obis"
        begin, end = self._validity(60)
        builder = certificate.authority(host, _public(spki), not_before=begin, not_after=end, issuer=self.site_root)
        return builder.sign(people.SITE_ROOT.private, hashes.SHA256()).public_bytes(Encoding.DER)

    # ---- product

    def manifest(self, **changed) -> VersionManifest:
        said = {
            "product_id": objects.PRODUCT,
            "label": "1.0",
            "soc": SOC,
            "firmware_digest": b"f" * 32,
            "firmware_size": 1000,
            "firmware_version": "1.0.0",
            "factory_data": FactoryDataTemplate(
                vendor_name="Acme",
                product_name="Lamp",
                hardware_version_string="A",
                spake2p_iterations=1000,
            ),
            "certification_declaration": b"cd",
            "chip_security": ChipSecurity(secure_boot=True, debug_locked=True),
            "organisation_id": "odm-1",
            "created_at": self.now - 1000,
        }
        return VersionManifest(**(said | changed))

    def rule(self, **changed) -> Envelope:
        rule = objects.product_rule()
        rule.paa_cert_digest = sha256(self.paa_der).digest()
        rule.lifetime_quantity = 10_000_000
        _change(rule, changed)
        return signed(PRODUCT_RULE, rule, people.BOB, people.CAROL)

    def operations(self, total: int):
        rules = objects.operations(total)
        for rule in rules:
            rule.window.CopyFrom(self.window)
        return rules

    def grant_message(self, rule: Envelope, **changed):
        grant = objects.grant(digest(rule.payload), total=2_000_000)
        grant.version_digest = sha256(exact(self.manifest())).digest()
        grant.window.CopyFrom(self.window)
        del grant.operations[:]
        grant.operations.extend(self.operations(2_000_000))
        for cap in grant.edge_caps:
            cap.max_quantity = 1_000_000
        _change(grant, changed)
        return grant

    def grant(self, *signers: Key, **changed) -> GrantDelivery:
        rule = self.rule()
        grant = self.grant_message(rule, **changed)
        return GrantDelivery(
            rule=rule,
            grant=signed(GRANT, grant, *(signers or (people.BOB, people.CAROL))),
            version_manifest=exact(self.manifest()),
            paa_cert_der=self.paa_der,
        )

    def certify_pai(self, request: Envelope, product_code: int = objects.PRODUCT_CODE) -> PaiDelivery:
        """What the vault makes of a PaiRequest."""
        asked = parse_closed(PAI_REQUEST, request.payload)
        csr = x509.load_der_x509_csr(asked.pai_csr_der)
        assert csr.is_signature_valid
        return PaiDelivery(product_id=asked.product_id, pai_cert_der=self.pai(_point(csr.public_key()), product_code))

    def pai(self, point: bytes, product_code: int = objects.PRODUCT_CODE, paa: Key = PAA) -> bytes:
        subject = Subject("Acme PAI", VendorId(objects.VENDOR_ID), ProductId(product_code))
        profile = PaiProfile(subject=subject, not_before=datetime.fromtimestamp(self.now - 3600, UTC))
        return build_pai(profile, paa_der=self.paa_der, point=point, serial=_serial(), sign=paa.sign)

    def authorization(self, delivery: GrantDelivery, pai: PaiDelivery, signer: Key = people.ONLINE, **changed):
        """A batch, as the cloud makes it: Authorization, and the package sealed to this EdgeHSM."""
        package_changes = changed.pop("package", {})
        grant = parse_closed(GRANT, delivery.grant.payload)
        authorization = objects.authorization(digest(delivery.grant.payload), grant)
        authorization.window.CopyFrom(self.window)
        authorization.quantity = 1000
        authorization.dac_not_before = self.now - 1800
        authorization.pai_cert_digest = sha256(pai.pai_cert_der).digest()
        auth_id = changed.get("auth_id", authorization.auth_id)
        package = BatchPackage(
            auth_id=auth_id,
            edgehsm_id=EDGE,
            epoch=EPOCH,
            version_manifest=delivery.version_manifest,
            pai_cert_der=pai.pai_cert_der,
        )
        _change(package, package_changes)
        inside = signed(BATCH_PACKAGE, package, people.ONLINE)
        authorization.package_digest = digest(inside.payload)
        _change(authorization, changed)
        return AuthorizationDelivery(
            authorization=signed(AUTHORIZATION, authorization, signer),
            package=seal(self.keys.hpke_spki_der, exact(inside), EDGE, auth_id),
        )

    # ---- the site, and what comes from time to time

    def station_ticket(self, key: Key, signer: Key = people.SITE_TH, **changed) -> Envelope:
        said = {
            "ticket_id": sha256(key.spki).digest()[:16],
            "factory_id": FACTORY,
            "role": SiteRole.SITE_ROLE_STATION,
            "station_id": "st-1",
            "line_id": "line-1",
            "spki_digest": sha256(key.spki).digest(),
            "expires_at": self.now + 3600,
        }
        return signed(STATION_TICKET, StationTicket(**(said | changed)), signer)

    def revocations(self, sequence: int = 1, **stopped) -> Envelope:
        return signed(
            REVOCATION_LIST, RevocationList(sequence=sequence, issued_at=self.now, **stopped), people.REVOCATION
        )

    def beacon(self, sequence: int, time: int, **changed) -> Envelope:
        return signed(BEACON, Beacon(sequence=sequence, time=time, **changed), people.BEACON)

    def cosign(self, note: bytes, at: int | None = None) -> bytes:
        name = witness_name(self.fingerprint)
        return cosign_note(note, name, people.WITNESS.spki, people.WITNESS.sign, at or self.now)

    # ---- certificates

    def _validity(self, days: int):
        now = datetime.fromtimestamp(self.now, UTC)
        return now - timedelta(days=1), now + timedelta(days=days)

    def _ca(self, key: Key, host: str) -> x509.Certificate:
        begin, end = self._validity(300)
        builder = certificate.authority(host, key.private.public_key(), not_before=begin, not_after=end)
        return builder.sign(key.private, hashes.SHA256())

    def _site_root(self) -> x509.Certificate:
        begin, end = self._validity(300)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "site root")])
        key = people.SITE_ROOT.private
        builder = x509.CertificateBuilder(name, name, key.public_key(), next(CERT_SERIAL), begin, end)
        return (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )

    def _leaf(self, identity: Identity, spki: bytes) -> bytes:
        begin, end = self._validity(90)
        builder = certificate.leaf(identity, _public(spki), self.transport_ca, not_before=begin, not_after=end)
        return builder.sign(people.TRANSPORT_CA.private, hashes.SHA256()).public_bytes(Encoding.DER)

    def _paa(self) -> bytes:
        subject = Subject("Acme PAA", VendorId(objects.VENDOR_ID))
        profile = PaaProfile(subject=subject, not_before=datetime.fromtimestamp(self.now - 86400, UTC))
        return build_paa(profile, point=PAA.point, serial=_serial(), sign=PAA.sign)


def _change(message, changed) -> None:
    for name, value in changed.items():
        part = getattr(message, name)
        if isinstance(value, list):
            del part[:]
            part.extend(value)
        elif hasattr(part, "CopyFrom"):
            part.CopyFrom(value)
        else:
            setattr(message, name, value)


def _serial() -> bytes:
    return next(CERT_SERIAL).to_bytes(8)


def _point(key) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _public(spki: bytes):
    return load_der_public_key(spki)


ISSUE, FIRMWARE = Operation.OPERATION_ISSUE_DAC, Operation.OPERATION_PROGRAM_FIRMWARE
