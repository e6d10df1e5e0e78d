"""A work order as a Factory Service would send it, whole and signed, with every part a test may bend."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from obis.trust import payload
from obis.trust.envelope import digest, make_envelope
from obis.v1.enrolment_objects_pb2 import EdgeHsmKeys, EnrolmentApproval, PaiRequest
from obis.v1.factory_link_pb2 import WorkOrder
from obis.v1.package_pb2 import ChipSecurity, FactoryDataTemplate, VersionManifest
from obis.v1.rule_pb2 import KeyPurpose, ProductKey
from obis.v1.scope_pb2 import Assurance
from station.order import Order
from station.workorder import Pinned, verify_work_order
from tests.obis.matter.pki import pki
from tests.obis.trust import objects
from tests.obis.trust.keys import ed, p256, rsa_spki
from tests.obis.trust.people import ALICE, BEGIN, BOB, CAROL, ONLINE, signed_root, trust_root

IMAGE = bytes(range(256)) * 600
AGENT = b"key agent of a generic chip"
FINGERPRINT = digest(signed_root(trust_root()).payload)
PINNED = Pinned(FINGERPRINT, "th-1")
BOOT, DEBUG, IDENTITY = p256("secure boot"), p256("debug authority"), p256("identity th")


def signed(payload_type, message, *signers):
    return make_envelope(payload_type, message.SerializeToString(deterministic=True), signers)


@cache
def boot_signature(image: bytes) -> bytes:
    return BOOT.private.sign(image, ec.ECDSA(hashes.SHA256()))


PAA, PAI = pki().paa(), pki().pai()


@dataclass(frozen=True)
class Making:
    """What a work order is made of."""

    soc: str = "generic-wifi"
    agent: bytes = AGENT
    secure_boot: bool = True
    image: bytes = IMAGE

    def manifest(self) -> VersionManifest:
        return VersionManifest(
            product_id=objects.PRODUCT,
            label="1.0.0",
            soc=self.soc,
            firmware_digest=sha256(self.image).digest(),
            firmware_size=len(self.image),
            firmware_version="1.0.0",
            firmware_signature=boot_signature(self.image),
            factory_data=FactoryDataTemplate(
                vendor_name="Acme",
                product_name="Lamp",
                hardware_version=1,
                hardware_version_string="A",
                discovery_capabilities=2,
                spake2p_iterations=1000,
                device_type=0x100,
            ),
            certification_declaration=b"declaration of the Alliance",
            chip_security=ChipSecurity(secure_boot=self.secure_boot, debug_locked=True, anti_rollback=1),
            agent_digest=sha256(self.agent).digest() if self.agent else b"",
            organisation_id="odm-1",
            created_at=BEGIN,
        )

    def rule(self):
        rule = objects.product_rule()
        rule.paa_cert_digest = sha256(PAA).digest()
        rule.keys.append(ProductKey(purpose=KeyPurpose.KEY_PURPOSE_SECURE_BOOT, name="boot", spki_der=BOOT.spki))
        return rule

    def grant(self, rule_digest: bytes):
        manifest, grant = self.manifest(), objects.grant(rule_digest)
        grant.version_digest = sha256(manifest.SerializeToString(deterministic=True)).digest()
        grant.firmware_digest, grant.agent_digest = manifest.firmware_digest, manifest.agent_digest
        grant.cd_digest, grant.soc = sha256(manifest.certification_declaration).digest(), self.soc
        return grant

    def work_order(self, **bent) -> WorkOrder:
        """`manifest`, `rule`, `grant`, `authorization`, `approval`, `pai_request`: functions that bend the message."""
        manifest, rule = self.manifest(), self.rule()
        _bend(bent, "rule", rule)
        grant = self.grant(digest(rule.SerializeToString(deterministic=True)))
        _bend(bent, "manifest", manifest)
        _bend(bent, "grant", grant)
        authorization = objects.authorization(digest(grant.SerializeToString(deterministic=True)), grant)
        authorization.pai_cert_digest = sha256(PAI).digest()
        _bend(bent, "authorization", authorization)
        approval, asked = _approval(), self._pai_request(authorization)
        _bend(bent, "approval", approval)
        _bend(bent, "pai_request", asked)
        return WorkOrder(
            auth_id=authorization.auth_id,
            grant=signed(payload.GRANT, grant, BOB, CAROL),
            authorization=signed(payload.AUTHORIZATION, authorization, ONLINE),
            version_manifest=manifest.SerializeToString(deterministic=True),
            pai_cert_der=PAI,
            paa_cert_der=PAA,
            product_name="Lamp",
            debug_spki_der=asked.debug_spki_der,
            pai_request=signed(payload.PAI_REQUEST, asked, IDENTITY),
            trust_roots=[signed_root(trust_root())],
            enrolment_approval=signed(payload.ENROLMENT_APPROVAL, approval, BOB, CAROL),
            product_rule=signed(payload.PRODUCT_RULE, rule, BOB, CAROL),
        )

    def order(self) -> Order:
        return verify_work_order(self.work_order(), PINNED)[0]

    def _pai_request(self, authorization) -> PaiRequest:
        return PaiRequest(
            edgehsm_id=authorization.edgehsm_id,
            epoch=1,
            product_id=objects.PRODUCT,
            grant_digest=authorization.grant_digest,
            pai_csr_der=_csr(pki().pai_key.private),
            debug_spki_der=DEBUG.spki,
        )


def _csr(private) -> bytes:
    from tests.obis.trust.keys import Key

    return Key(private).csr()


@cache
def _keys() -> EdgeHsmKeys:
    return EdgeHsmKeys(
        identity_spki_der=IDENTITY.spki,
        log_spki_der=ed("log th").spki,
        hpke_spki_der=p256("hpke th").spki,
        site_ca_spki_der=p256("site ca th").spki,
        wrap_spki_der=rsa_spki("wrap th"),
    )


def _approval() -> EnrolmentApproval:
    return EnrolmentApproval(
        factory_id="th-1",
        edgehsm_id="edge-th",
        epoch=1,
        keys=_keys(),
        assurance=Assurance.ASSURANCE_SOFTWARE,
        ticket_id=b"t" * 16,
        outage_budget_seconds=86400 * 14,
        proposer="alice",
        proposed_at=BEGIN,
        max_stations=10,
    )


def _bend(bent, name, message):
    if name in bent:
        bent[name](message)


assert ALICE  # the proposer of everything here; her signature would not count
