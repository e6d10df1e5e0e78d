"""A whole mesh in miniature: people, two EdgeHSMs, a vault, devices, logs, a witness, and its export.

Everything is made by the public functions and by real keys. `edits` bend any object just before its holder signs it,
by the name of its kind, so that a test can forge what a thief of some keys could forge and have all the rest fit.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from obis.trust.envelope import digest, make_envelope
from obis.trust.payload import (
    AUTHORIZATION,
    ENROLMENT_APPROVAL,
    EXPORT_MANIFEST,
    GRANT,
    PAI_REQUEST,
    PRODUCT_RULE,
    REVOCATION_LIST,
    TRUST_ROOT,
    VAULT_ACT,
)
from obis.v1.enrolment_objects_pb2 import EdgeHsmKeys, EnrolmentApproval, PaiRequest
from obis.v1.export_pb2 import ExportFile, ExportManifest, VaultAct, VaultActKind
from obis.v1.package_pb2 import ChipSecurity, FactoryDataTemplate, VersionManifest
from obis.v1.revocation_pb2 import RevocationList
from obis.v1.scope_pb2 import Assurance, DeviceId
from tests.obis.trust import objects, people
from tests.obis.trust.floor import FIRMWARE, HOUR, SITES, Floor, whole
from tests.obis.trust.keys import Key, ed, p256, rsa_spki
from tests.obis.trust.people import BEGIN, BOB, CAROL, ONLINE, REVOCATION, SITE_ROOT, TRANSPORT_CA
from tests.obis.trust.pki import authority, declaration, paa, pai, site_ca

Edit = Callable[[object], object]


@dataclass
class World(Floor):
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

    # ---- How a file is made ----

    def _edit(self, name: str, message):
        return self.edits.get(name, lambda same: same)(message)

    def _edit_files(self):
        self.files = self._edit("files", self.files)

    def _put(self, path: str, payload_type, message, *signers: Key):
        chosen = self.signers.get(path, signers)
        self.files[path] = whole(make_envelope(payload_type, whole(message), chosen))
