"""The certificates between the trust root and the devices, and the orders by which the vault made them.

1. A site CA holds the approved key, is issued by the site root, and may certify its own site's names and nothing else.
2. A PAI stands under the PAA its rule names, is scoped to the rule's VID and PID, keeps the Matter profile, and was
   asked for by a PaiRequest that the approved identity key signed under a Grant that names this EdgeHSM and epoch.
3. The vault's acts are one chain signed by the site root; each PAI and site CA has its act, naming the approval and
   the Grant; in an export of everything each certifying act has its certificate: the vault hides none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from cryptography import x509

from obis.matter.certificate import read_certificate
from obis.matter.csr import parse_csr
from obis.matter.findings import Kind
from obis.matter.lint import lint_paa
from obis.matter.lint_chain import lint_issued
from obis.matter.names import attestation_ids
from obis.refusal import Refused
from obis.trust.envelope import digest, parse_envelope, verify_single
from obis.trust.grant import find_cap
from obis.trust.payload import PAI_REQUEST, VAULT_ACT
from obis.trust.verify.files import ACTS, Entry, Files, get_file
from obis.trust.verify.framing import frames
from obis.trust.verify.governance import Governance, find
from obis.trust.verify.place import at, require_clean
from obis.trust.verify.roots import Judged, Roots, load_certificate, require_issued, spki_of
from obis.v1.enrolment_objects_pb2 import EnrolmentApproval, PaiRequest
from obis.v1.envelope_pb2 import SigScheme
from obis.v1.export_pb2 import VaultAct, VaultActKind
from obis.v1.reason_pb2 import Reason


@dataclass(frozen=True)
class Pai:
    """One PAI: where it may be used, its DER, its PAA's DER, and what the EdgeHSM asked for."""

    edgehsm_id: str
    epoch: int
    product_id: bytes
    der: bytes
    paa_der: bytes
    request: PaiRequest
    path: str

    @property
    def digest(self) -> bytes:
        """SHA-256 of the DER, 32 bytes."""
        return sha256(self.der).digest()


class VaultActs:
    """The vault's acts by what they made; remembers which of them were asked for."""

    def __init__(self, acts: list[VaultAct]) -> None:
        self.count = len(acts)
        self._made = {act.result_digest: act for act in acts}
        self._seen: set[bytes] = set()

    def require(self, kind: VaultActKind.ValueType, result: bytes, approval: bytes, grant: bytes) -> None:
        """Raises Refused unless the vault says it made `result` for this approval and Grant."""
        act = self._made.get(sha256(result).digest())
        if act is None or (act.kind, act.approval_digest, act.grant_digest) != (kind, approval, grant):
            raise Refused(
                Reason.REASON_DEPENDENCY_MISSING, "the vault's acts do not list it for this approval and Grant"
            )
        self._seen.add(act.result_digest)

    def require_all_shown(self) -> None:
        """Raises Refused where the vault certified something that the export does not hold."""
        certifying = {VaultActKind.VAULT_ACT_KIND_CERTIFY_PAI, VaultActKind.VAULT_ACT_KIND_CERTIFY_SITE_CA}
        for act in self._made.values():
            if act.kind in certifying and act.result_digest not in self._seen:
                raise Refused(
                    Reason.REASON_DEPENDENCY_MISSING, f"act {act.sequence} made a certificate that is not here", ACTS
                )


def load_acts(files: Files, roots: Roots) -> VaultActs:
    """The vault's chain of acts. Raises Refused."""
    acts: list[VaultAct] = []
    previous = b""
    for number, frame in enumerate(frames(files.get(ACTS, b""), ACTS), 1):
        with at(f"{ACTS} act {number}"):
            act = _act(frame, roots)
            if (act.sequence, act.previous_digest) != (number, previous):
                raise Refused(Reason.REASON_BROKEN_CHAIN, "it does not follow the act before it")
            previous = digest(parse_envelope(frame).payload)
            acts.append(act)
    return VaultActs(acts)


def _act(frame: bytes, roots: Roots) -> VaultAct:
    envelope = parse_envelope(frame)
    for spki_der in roots.site_root_spkis():
        if [sig.key_id for sig in envelope.signatures] == [sha256(spki_der).hexdigest()]:
            return verify_single(envelope, VAULT_ACT, spki_der, SigScheme.SIG_SCHEME_P256)
    raise Refused(Reason.REASON_KEY_UNKNOWN, "not signed by the site root alone")


def check_site_cas(
    files: Files, entries: list[Entry], governance: Governance, site_root: x509.Certificate, acts: VaultActs
) -> int:
    """Rule 1; returns how many there are."""
    for entry in entries:
        with at(entry.path):
            content = get_file(files, entry.path)
            approval = _approval(governance, entry)
            certificate = load_certificate(content)
            require_issued(certificate, site_root)
            if spki_of(certificate) != approval.message.keys.site_ca_spki_der:
                raise Refused(Reason.REASON_KEY_UNKNOWN, "it does not hold the approved site CA key")
            _require_constrained(certificate, approval.message)
            acts.require(VaultActKind.VAULT_ACT_KIND_CERTIFY_SITE_CA, content, approval.digest, b"")
    return len(entries)


def _require_constrained(certificate: x509.Certificate, approval: EnrolmentApproval) -> None:
    """Path length 0 and critical name constraints for the site's one host."""
    host = f"{approval.factory_id}.site.obis"
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        names = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    except x509.ExtensionNotFound as error:
        raise Refused(Reason.REASON_WRONG_FACTORY, "a site CA without constraints") from error
    permitted = {(type(each).__name__, each.value) for each in names.value.permitted_subtrees or ()}
    wanted = {("UniformResourceIdentifier", host), ("DNSName", host)}
    if not (basic.value.ca and basic.value.path_length == 0 and names.critical and permitted == wanted):
        raise Refused(Reason.REASON_WRONG_FACTORY, f"the site CA is not constrained to {host}")


def load_pais(files: Files, entries: dict[str, list[Entry]], governance: Governance, acts: VaultActs) -> list[Pai]:
    """Rule 2 for every PAI; every request has its PAI."""
    for entry in entries["paa"]:
        _check_paa(files, entry)
    for entry in entries["pai_request"]:
        get_file(files, entry.path.removesuffix(".request.dsse") + ".der")
    return list(_pais(files, entries["pai"], governance, acts))


def _check_paa(files: Files, entry: Entry) -> None:
    with at(entry.path):
        content = get_file(files, entry.path)
        if sha256(content).hexdigest() != entry.names[0]:
            raise Refused(Reason.REASON_DIGEST_MISMATCH, "the file is not named after its digest")
        require_clean(lint_paa(content))
        certificate = load_certificate(content)
        require_issued(certificate, certificate)


def _pais(files: Files, entries: list[Entry], governance: Governance, acts: VaultActs) -> Iterator[Pai]:
    for entry in entries:
        with at(entry.path):
            approval = _approval(governance, entry)
            request = _request(files, entry, approval)
            grant = find(governance.grants, request.grant_digest, "Grant")
            find_cap(grant.message, approval.message.factory_id, request.edgehsm_id, request.epoch)
            if grant.message.product_id != request.product_id:
                raise Refused(Reason.REASON_WRONG_PRODUCT, "the Grant that ordered it is for another product")
            rule = governance.rule_of(grant.message).message
            paa_der = get_file(files, f"paa/{rule.paa_cert_digest.hex()}.der")
            pai = Pai(
                request.edgehsm_id,
                request.epoch,
                request.product_id,
                get_file(files, entry.path),
                paa_der,
                request,
                entry.path,
            )
            _check_pai(pai, rule.vendor_id, rule.product_code)
            acts.require(VaultActKind.VAULT_ACT_KIND_CERTIFY_PAI, pai.der, approval.digest, grant.digest)
        yield pai


def _check_pai(pai: Pai, vendor_id: int, product_code: int) -> None:
    require_clean(lint_issued(pai.paa_der, pai.der, Kind.PAI))
    certificate = load_certificate(pai.der)
    require_issued(certificate, load_certificate(pai.paa_der))
    if spki_of(certificate) != parse_csr(pai.request.pai_csr_der).spki_der:
        raise Refused(Reason.REASON_KEY_UNKNOWN, "it does not hold the key the EdgeHSM asked for")
    said = attestation_ids(read_certificate(pai.der).subject)
    if (said.vendor_id, said.product_id) != (vendor_id, product_code):
        raise Refused(Reason.REASON_WRONG_PRODUCT, "it is not scoped to the rule's VID and PID")


def _request(files: Files, entry: Entry, approval: Judged[EnrolmentApproval]) -> PaiRequest:
    """What the EdgeHSM asked for, signed by its approved identity key."""
    path = entry.path.removesuffix(".der") + ".request.dsse"
    with at(path):
        envelope = parse_envelope(get_file(files, path))
        request = verify_single(
            envelope, PAI_REQUEST, approval.message.keys.identity_spki_der, SigScheme.SIG_SCHEME_P256
        )
        if (request.edgehsm_id, str(request.epoch), request.product_id.hex()) != entry.names:
            raise Refused(Reason.REASON_DIGEST_MISMATCH, "the file is not named after what it holds")
    return request


def _approval(governance: Governance, entry: Entry) -> Judged[EnrolmentApproval]:
    """The approval of the EdgeHSM and epoch a file is named after."""
    name = (entry.names[0], entry.number(1))
    if name not in governance.approvals:
        raise Refused(Reason.REASON_DEPENDENCY_MISSING, "nobody approved this EdgeHSM and epoch")
    return governance.approvals[name]
