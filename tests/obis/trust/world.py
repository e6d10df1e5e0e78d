"""A whole mesh in miniature: people, two EdgeHSMs, a vault, devices, logs, a witness, and its export.

Everything is made by the public functions and by real keys. `edits` bend any object just before its holder signs it,
by the name of its kind, so that a test can forge what a thief of some keys could forge and have all the rest fit.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha1, sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from obis.matter import profile
from obis.matter.dac import DacTemplate
from obis.matter.declaration import Declaration, sign_declaration
from obis.matter.ids import ProductId, VendorId
from obis.matter.paa import PaaProfile, build_paa
from obis.matter.pai import PaiProfile, build_pai
from obis.matter.profile import Subject
from obis.trust.checkpoint import Checkpoint, cosign_note, log_origin, sign_note, witness_name
from obis.trust.envelope import digest, make_envelope, parse_envelope
from obis.trust.merkle import Frontier, leaf_hash
from obis.trust.payload import (
    AUTHORIZATION,
    DEVICE_REPORT,
    ENROLMENT_APPROVAL,
    EXPORT_MANIFEST,
    GRANT,
    PAI_REQUEST,
    PRODUCT_RULE,
    REVOCATION_LIST,
    TRUST_ROOT,
    VAULT_ACT,
)
from obis.v1.device_objects_pb2 import DebugState, DeviceReport, Lifecycle
from obis.v1.enrolment_objects_pb2 import EdgeHsmKeys, EnrolmentApproval, PaiRequest
from obis.v1.export_pb2 import ExportFile, ExportManifest, VaultAct, VaultActKind
from obis.v1.leaf_pb2 import LogLeaf
from obis.v1.package_pb2 import ChipSecurity, FactoryDataTemplate, VersionManifest
from obis.v1.reason_pb2 import Reason
from obis.v1.revocation_pb2 import RevocationList
from obis.v1.scope_pb2 import Assurance, DeviceId, EvidenceLevel, TimeQuality
from tests.obis.trust import objects, people
from tests.obis.trust.keys import Key, ed, p256, rsa_spki
from tests.obis.trust.people import BEGIN, BOB, CAROL, ONLINE, REVOCATION, SITE_ROOT, SITE_TH, SITE_VN, TRANSPORT_CA

SITES = {"edge-th": ("th-1", SITE_TH), "edge-vn": ("vn-1", SITE_VN)}
FIRMWARE = sha256(b"firmware").digest()
STATION = sha256(b"station key").digest()
HOUR = 3600

Edit = Callable[[object], object]


def datetime_of(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def whole(message) -> bytes:
    return message.SerializeToString(deterministic=True)


@dataclass
class World:
    """Makes an export in `files`; see the module."""

    edits: dict[str, Edit] = field(default_factory=dict)
    signers: dict[str, tuple[Key, ...]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    acts: list[bytes] = field(default_factory=list)
    pais: dict[str, bytes] = field(default_factory=dict)
    issued: dict[str, list[tuple[DeviceId, Key, bytes]]] = field(default_factory=dict)

    def __post_init__(self):
        self._root()
        self._mesh_certificates()
        self._product()
        self._revocation()
        for edgehsm in SITES:
            self._enrol(edgehsm)
        for edgehsm in SITES:
            self._order(edgehsm)
        for edgehsm in SITES:
            self._log(edgehsm)
        self._edit_files()
        self.seal()

    def seal(self):
        """List every file in the manifest, and sign it by ONLINE: what a thief of that key can always do."""
        self.files.pop("manifest.dsse", None)
        listed = [ExportFile(path=p, digest=sha256(c).digest(), size=len(c)) for p, c in sorted(self.files.items())]
        manifest = ExportManifest(exported_at=BEGIN + 20 * HOUR, fingerprint=self.fingerprint, files=listed)
        self._put("manifest.dsse", EXPORT_MANIFEST, self._edit("manifest", manifest), ONLINE)

    # ---- The objects, in the order of the story ----

    def _root(self):
        envelope = people.signed_root(self._edit("root", people.trust_root()))
        self.fingerprint = digest(envelope.payload)
        self.files["trust/root-0001.dsse"] = whole(envelope)
        second = self.edits.get("second_root")
        if second:
            self._put("trust/root-0002.dsse", TRUST_ROOT, second(people.trust_root(2)), BOB, CAROL)

    def _mesh_certificates(self):
        self.files["certificates/transport_ca.der"] = authority("OBIS transport CA", TRANSPORT_CA)
        self.site_root = authority("OBIS site root", SITE_ROOT)
        self.files["certificates/site_root.der"] = self.site_root

    def _product(self):
        self.paa = paa()
        self.files[f"paa/{sha256(self.paa).hexdigest()}.der"] = self.paa
        rule = objects.product_rule()
        rule.paa_cert_digest = sha256(self.paa).digest()
        rule.cd_signer_spki_der.append(p256("cd signer").spki)
        rule = self._edit("rule", rule)
        self._put(f"rules/{rule.product_id.hex()}-0001.dsse", PRODUCT_RULE, rule, BOB, CAROL)
        self._version()
        self.grant = self._edit("grant", self._first_grant(digest(whole(rule))))
        path = f"grants/{rule.product_id.hex()}-{{:04d}}.dsse"
        self._put(path.format(1), GRANT, self.grant, BOB, CAROL)
        second = self._edit("second_grant", self._second_grant())
        self._put(path.format(2), GRANT, second, BOB, CAROL)

    def _version(self):
        self.declaration = declaration()
        manifest = VersionManifest(
            product_id=objects.PRODUCT,
            label="1.0",
            soc="generic-wifi",
            firmware_digest=FIRMWARE,
            firmware_size=8,
            firmware_version="1.0",
            factory_data=FactoryDataTemplate(
                vendor_name="Acme", product_name="Lamp", hardware_version_string="1", spake2p_iterations=1000
            ),
            certification_declaration=self.declaration,
            chip_security=ChipSecurity(secure_boot=True, debug_locked=True),
            organisation_id="odm-1",
            created_at=BEGIN,
        )
        self.version = whole(self._edit("version", manifest))
        self.files[f"versions/{sha256(self.version).hexdigest()}.bin"] = self.version

    def _first_grant(self, rule_digest: bytes):
        grant = objects.grant(rule_digest)
        grant.version_digest = sha256(self.version).digest()
        grant.firmware_digest = FIRMWARE
        grant.cd_digest = sha256(self.declaration).digest()
        return grant

    def _second_grant(self):
        grant = self._first_grant(self.grant.rule_digest)
        grant.grant_id, grant.sequence, grant.previous_digest = b"h" * 16, 2, digest(whole(self.grant))
        grant.granted_before, grant.total_quantity = self.grant.total_quantity, 40
        for rule in grant.operations:
            rule.max_total = min(rule.max_total, 40)
        return grant

    def _revocation(self):
        listed = RevocationList(sequence=1, issued_at=BEGIN)
        self._put("revocations/0001.dsse", REVOCATION_LIST, self._edit("revocation", listed), REVOCATION)

    def _enrol(self, edgehsm: str):
        factory, _ = SITES[edgehsm]
        keys = EdgeHsmKeys(
            identity_spki_der=p256(f"{edgehsm} identity").spki,
            log_spki_der=ed(f"{edgehsm} log").spki,
            hpke_spki_der=p256(f"{edgehsm} hpke").spki,
            site_ca_spki_der=p256(f"{edgehsm} site ca").spki,
            wrap_spki_der=rsa_spki(f"{edgehsm} wrap"),
        )
        approval = EnrolmentApproval(
            factory_id=factory,
            edgehsm_id=edgehsm,
            epoch=1,
            keys=keys,
            assurance=Assurance.ASSURANCE_SOFTWARE,
            ticket_id=b"t" * 16,
            outage_budget_seconds=14 * objects.DAY,
            proposer="alice",
            proposed_at=BEGIN,
            max_stations=8,
        )
        approval = self._edit(f"approval {edgehsm}", approval)
        self._put(f"approvals/{edgehsm}-1.dsse", ENROLMENT_APPROVAL, approval, BOB, CAROL)
        self.approval_digest = digest(whole(approval))
        certificate = site_ca(factory, p256(f"{edgehsm} site ca"), self.site_root)
        self.files[f"site-ca/{edgehsm}-1.der"] = certificate
        self._act(VaultActKind.VAULT_ACT_KIND_CERTIFY_SITE_CA, certificate, self.approval_digest, b"")
        self._certify(edgehsm)

    def _certify(self, edgehsm: str):
        """The PAI that the first Grant orders."""
        key = p256(f"{edgehsm} pai")
        request = PaiRequest(
            edgehsm_id=edgehsm,
            epoch=1,
            product_id=objects.PRODUCT,
            grant_digest=digest(whole(self.grant)),
            pai_csr_der=key.csr(),
            debug_spki_der=p256(f"{edgehsm} debug").spki,
        )
        request = self._edit(f"pai_request {edgehsm}", request)
        place = f"pai/{edgehsm}-1-{objects.PRODUCT.hex()}"
        self._put(f"{place}.request.dsse", PAI_REQUEST, request, p256(f"{edgehsm} identity"))
        self.pais[edgehsm] = self.files[f"{place}.der"] = pai(edgehsm)
        self._act(
            VaultActKind.VAULT_ACT_KIND_CERTIFY_PAI, pai(edgehsm), self.approval_digest, digest(whole(self.grant))
        )

    def _act(self, kind, result: bytes, approval: bytes, grant: bytes):
        previous = sha256(self.acts[-1]).digest() if self.acts else b""
        act = VaultAct(
            sequence=len(self.acts) + 1,
            previous_digest=previous,
            at=BEGIN,
            kind=kind,
            approval_digest=approval,
            grant_digest=grant,
            result_digest=sha256(result).digest(),
        )
        act = self._edit(f"act {len(self.acts) + 1}", act)
        if act is None:
            return
        self.acts.append(whole(act))
        envelope = whole(make_envelope(VAULT_ACT, whole(act), [SITE_ROOT]))
        content = self.files.get("vault/acts.bin", b"")
        self.files["vault/acts.bin"] = content + len(envelope).to_bytes(4) + envelope

    def _order(self, edgehsm: str):
        factory, _ = SITES[edgehsm]
        auth = objects.authorization(digest(whole(self.grant)), self.grant, edgehsm, factory)
        auth.pai_cert_digest = sha256(self.pais[edgehsm]).digest()
        auth = self._edit(f"authorization {edgehsm}", auth)
        self.__dict__.setdefault("auths", {})[edgehsm] = auth
        self._put(f"authorizations/{auth.auth_id.hex()}.dsse", AUTHORIZATION, auth, ONLINE)

    # ---- What happened on the floor ----

    def _log(self, edgehsm: str):
        leaves = self._edit(f"leaves {edgehsm}", list(self._story(edgehsm)))
        frontier, content = Frontier(), b""
        for index, leaf in enumerate(leaves):
            leaf.edgehsm_id, leaf.epoch, leaf.index = edgehsm, 1, index
            if leaf.HasField("incarnation"):
                leaf.incarnation.previous_root = frontier.root()
            data = whole(self._edit(f"leaf {edgehsm} {index}", leaf))
            frontier = frontier.append(leaf_hash(data))
            content += len(data).to_bytes(4) + data
        log, witness = ed(f"{edgehsm} log"), people.WITNESS
        note = sign_note(Checkpoint(log_origin(edgehsm, 1), frontier.size, frontier.root()), log.spki, log.sign)
        name = witness_name(self.fingerprint)
        note = cosign_note(note, name, witness.spki, witness.sign, BEGIN + 19 * HOUR)
        self.files[f"logs/{edgehsm}-1.leaves"] = content
        self.files[f"logs/{edgehsm}-1.checkpoint"] = note

    def _story(self, edgehsm: str):
        auth = self.auths[edgehsm]
        grant_digest = digest(whole(self.grant))
        cap = next(each.max_quantity for each in self.grant.edge_caps if each.edgehsm_id == edgehsm)
        yield self.leaf(0, incarnation={"incarnation": sha256(edgehsm.encode()).digest(), "previous_root": bytes(32)})
        yield self.leaf(
            0, grant_admitted={
                "grant_digest": grant_digest,
                "rule_digest": self.grant.rule_digest,
                "product_id": objects.PRODUCT,
                "edge_cap": cap,
            }
        )  # fmt: skip
        yield self.leaf(
            0, product_keys={
                "product_id": objects.PRODUCT,
                "grant_digest": grant_digest,
                "pai_spki_digest": sha256(p256(f"{edgehsm} pai").spki).digest(),
                "debug_spki_digest": sha256(p256(f"{edgehsm} debug").spki).digest(),
            }
        )  # fmt: skip
        pai_digest = sha256(self.pais[edgehsm]).digest()
        yield self.leaf(0, pai_installed={"product_id": objects.PRODUCT, "pai_cert_digest": pai_digest})
        yield self.leaf(1, station_enrolled={
            "ticket_id": b"t" * 16, "station_id": "st-1", "spki_digest": STATION, "cert_digest": bytes(32),
            "signed_by": SITES[edgehsm][1].key_id, "line_id": "l-1",
        })  # fmt: skip
        yield self.leaf(1, revocation={"sequence": 1, "payload_digest": digest(self._revoked())})
        yield self.leaf(1, authorization_admitted={
            "auth_id": auth.auth_id, "authorization_digest": digest(whole(auth)), "grant_digest": auth.grant_digest,
            "sequence": auth.sequence, "quantity": auth.quantity, "package_digest": auth.package_digest,
        })  # fmt: skip
        yield from self._devices(edgehsm)
        yield self.leaf(9, refused={"reason": Reason.REASON_QUANTITY_SPENT, "auth_id": auth.auth_id, "suppressed": 2})
        yield self.leaf(10, authorization_closed={"auth_id": auth.auth_id, "used": 6, "close_reason": 1})

    def _revoked(self) -> bytes:

        return parse_envelope(self.files["revocations/0001.dsse"]).payload

    def _devices(self, edgehsm: str):
        """Six devices: four good ones, of which one had its DAC replaced and one its debug port opened; one failed;
        of one nobody said anything."""
        auth = self.auths[edgehsm]
        for number in range(6):
            device, key = (
                DeviceId(soc="generic-wifi", uid=b"%d" % number + edgehsm.encode()),
                p256(f"{edgehsm} {number}"),
            )
            dac = self.dac(edgehsm, key, bytes([number]) * 8)
            self.issued.setdefault(edgehsm, []).append((device, key, dac))
            yield self.leaf(2, station_key_digest=STATION, issued=self.issue(auth, device, key, dac, number + 1))
            yield self.leaf(2, station_key_digest=STATION, firmware_authorized={
                "auth_id": auth.auth_id, "device": device, "firmware_digest": FIRMWARE,
            })  # fmt: skip
        for number, (device, key, _) in enumerate(self.issued[edgehsm][:4]):
            yield self.leaf(3, station_key_digest=STATION, outcome=self.outcome(auth, device, key, nonce(number)))
        yield self.leaf(3, outcome={
            "auth_id": auth.auth_id, "device": self.issued[edgehsm][4][0],
            "passed": False, "reason": Reason.REASON_LABEL_MISMATCH,
            "evidence": EvidenceLevel.EVIDENCE_LEVEL_STATION_REPORTED,
        })  # fmt: skip
        yield from self._rework(edgehsm)

    def _rework(self, edgehsm: str):
        auth, (device, _, old) = self.auths[edgehsm], self.issued[edgehsm][0]
        key = p256(f"{edgehsm} replacement")
        dac = self.dac(edgehsm, key, b"replaced")
        yield self.leaf(5, replaced={
            "auth_id": auth.auth_id, "device": device, "spki_digest": sha256(key.spki).digest(), "dac_der": dac,
            "replaced_serial": x509.load_der_x509_certificate(old).serial_number.to_bytes(12), "count": 1,
            "boundary_nonce": b"R" * 16,
        })  # fmt: skip
        yield self.leaf(5, outcome=self.outcome(auth, device, key, b"R" * 16))
        device, key, _ = self.issued[edgehsm][1]
        yield self.leaf(6, debug_opened={
            "auth_id": auth.auth_id, "device": device, "session_id": b"s" * 16, "challenge_digest": b"c" * 32,
            "permissions": 1, "close_before": BEGIN + 7 * HOUR, "rework_reason": "solder",
        })  # fmt: skip
        report = self.report(auth, device, key, b"s" * 16)
        yield self.leaf(6, debug_closed={
            "session_id": b"s" * 16, "device": device, "report": report,
            "evidence": EvidenceLevel.EVIDENCE_LEVEL_CHIP_SIGNED,
        })  # fmt: skip

    def leaf(self, hour: int, station_key_digest: bytes = b"", **entry) -> LogLeaf:
        return LogLeaf(
            at=BEGIN + hour * HOUR,
            time_quality=TimeQuality.TIME_QUALITY_BEACONED,
            assurance=Assurance.ASSURANCE_SOFTWARE,
            station_key_digest=station_key_digest,
            **entry,
        )

    def issue(self, auth, device, key, dac, count):
        return {
            "auth_id": auth.auth_id,
            "device": device,
            "spki_digest": sha256(key.spki).digest(),
            "dac_der": dac,
            "count": count,
            "boundary_nonce": nonce(count - 1),
        }

    def outcome(self, auth, device, key, boundary_nonce, **changed):
        return {
            "auth_id": auth.auth_id,
            "device": device,
            "passed": True,
            "evidence": EvidenceLevel.EVIDENCE_LEVEL_CHIP_SIGNED,
            "report": self.report(auth, device, key, boundary_nonce, **changed),
        }

    def report(self, auth, of, key, boundary_nonce, **changed):
        said = DeviceReport(
            auth_id=auth.auth_id,
            device=of,
            boundary_nonce=boundary_nonce,
            firmware_digest=FIRMWARE,
            lifecycle=Lifecycle.LIFECYCLE_LOCKED,
            debug_state=DebugState.DEBUG_STATE_LOCKED,
        )
        said.MergeFrom(DeviceReport(**changed))
        return make_envelope(DEVICE_REPORT, whole(said), [key])

    def dac(self, edgehsm: str, key: Key, random: bytes, issuer: str = "", **changed) -> bytes:
        """A DAC as the boundary makes it; `issuer` names another key to sign with, `changed` bends the template."""
        auth = self.auths[edgehsm]
        asked = {
            "vendor_id": VendorId(auth.template.vendor_id),
            "product_id": ProductId(auth.template.product_code),
            "common_name_pattern": auth.template.common_name_pattern,
            "not_before": datetime_of(auth.dac_not_before),
            "not_after": datetime_of(auth.template.not_after),
            "serial_prefix": auth.serial_prefix,
            "pai_der": self.pais[edgehsm],
        }
        template = dac_template(**asked | changed)
        tbs = template.tbs(key.point, template.serial_prefix + random)
        return profile.splice(tbs, p256(issuer or f"{edgehsm} pai").sign(tbs))

    # ---- How a file is made ----

    def _edit(self, name: str, message):
        return self.edits.get(name, lambda same: same)(message)

    def _edit_files(self):
        self.files = self._edit("files", self.files)

    def _put(self, path: str, payload_type, message, *signers: Key):
        chosen = self.signers.get(path, signers)
        self.files[path] = whole(make_envelope(payload_type, whole(message), chosen))


@cache
def paa() -> bytes:
    key = p256("paa")
    said = PaaProfile(subject=Subject("Test PAA", VendorId(objects.VENDOR_ID)), not_before=datetime_of(BEGIN))
    return build_paa(said, point=key.point, serial=b"\x01" * 9, sign=key.sign)


@cache
def pai(edgehsm: str) -> bytes:
    key = p256(f"{edgehsm} pai")
    subject = Subject(f"PAI {edgehsm}", VendorId(objects.VENDOR_ID), ProductId(objects.PRODUCT_CODE))
    said = PaiProfile(subject=subject, not_before=datetime_of(BEGIN))
    serial = b"\x02" + sha256(edgehsm.encode()).digest()[:8]
    return build_pai(said, paa_der=paa(), point=key.point, serial=serial, sign=p256("paa").sign)


@cache
def declaration() -> bytes:
    signer = p256("cd signer")
    said = Declaration(
        vendor_id=objects.VENDOR_ID,
        product_ids=(objects.PRODUCT_CODE,),
        device_type_id=0x0100,
        certificate_id="ZIG0000000000000000",
        version_number=1,
        certification_type=0,
    )
    key_id = sha1(signer.point, usedforsecurity=False).digest()
    return sign_declaration(said, key_id=key_id, sign=signer.sign)


@cache
def dac_template(**asked) -> DacTemplate:
    return DacTemplate(**asked)


def nonce(number: int) -> bytes:
    return bytes([65 + number]) * 16


def authority(name: str, key: Key) -> bytes:
    builder = certificate(name, name, key).add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    return signed(builder, key)


def site_ca(factory: str, key: Key, site_root: bytes, host: str = "") -> bytes:
    host = host or f"{factory}.site.obis"
    permitted = [x509.UniformResourceIdentifier(host), x509.DNSName(host)]
    issuer = x509.load_der_x509_certificate(site_root).subject
    builder = certificate(f"site CA {factory}", "", key, issuer)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(x509.NameConstraints(permitted, None), critical=True)
    return signed(builder, SITE_ROOT)


def certificate(name: str, issuer_name: str, key: Key, issuer: x509.Name | None = None) -> x509.CertificateBuilder:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(issuer or named(issuer_name))
        .public_key(key.private.public_key())
        .serial_number(int.from_bytes(sha256(name.encode()).digest()[:8]) >> 1)
        .not_valid_before(datetime_of(BEGIN))
        .not_valid_after(datetime_of(BEGIN) + timedelta(days=400))
    )


def signed(builder: x509.CertificateBuilder, key: Key) -> bytes:

    return builder.sign(key.private, hashes.SHA256()).public_bytes(Encoding.DER)
