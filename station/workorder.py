"""Judges a work order against the pinned fingerprint before anything is made under it. Nobody on the way is believed.

 1. The trust roots are a walk from the fingerprint, and not older than one seen before. They name the site root that
    this station's own certificate stands under: whoever answered its enrolment was who they said.
 2. ProductRule, Grant, Authorization and EnrolmentApproval are signed by their roles; each names the one before it by
    digest; the Authorization is within the Grant and for this factory.
 3. The manifest is the version that Grant and Authorization name; its firmware, agent, certification declaration and
    chip family are the Grant's.
 4. The PAI is the one the Authorization names, stands under the rule's PAA, and both pass the lint.
 5. The debug root that will be burnt comes in a PaiRequest signed by the identity key of the approved EdgeHSM, for this
    product, beside a request for the very key in the PAI. So a courier cannot put its own root into a chip.

Time is EdgeHSM's to judge: a station's clock is no authority, so windows are not looked at here.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from obis.matter.certificate import read_certificate
from obis.matter.csr import parse_csr
from obis.matter.errors import MatterError
from obis.matter.findings import Kind, errors_of
from obis.matter.lint import lint_paa
from obis.matter.lint_chain import lint_issued
from obis.refusal import Refused, reason_of
from obis.trust import payload
from obis.trust.authorization import check_authorization
from obis.trust.envelope import verify_single
from obis.trust.grant import check_grant
from obis.trust.rule import check_rule
from obis.trust.trust_root import TrustRootView, Verified, walk
from obis.v1.authorization_pb2 import Authorization
from obis.v1.enrolment_objects_pb2 import PaiRequest
from obis.v1.envelope_pb2 import SigScheme
from obis.v1.factory_link_pb2 import WorkOrder
from obis.v1.grant_pb2 import Grant
from obis.v1.package_pb2 import VersionManifest
from obis.v1.reason_pb2 import Reason
from obis.v1.rule_pb2 import KeyPurpose, ProductRule
from station.attest import require_signed_by
from station.order import Firmware, Order


@dataclass(frozen=True)
class Pinned:
    """What this station believes by itself: the mesh's fingerprint (32 bytes), its factory, the newest root it saw.

    `site_root_spki_der` is the key its enrolment's answer said the site's certificates stand under; none: not enrolled.
    """

    fingerprint: bytes
    factory_id: str
    root_version: int = 1
    site_root_spki_der: bytes = b""


@dataclass(frozen=True)
class Scope:
    """The signed objects of one order, judged."""

    view: TrustRootView
    rule: Verified[ProductRule]
    grant: Verified[Grant]
    authorization: Verified[Authorization]


def verify_work_order(work: WorkOrder, pinned: Pinned) -> tuple[Order, int]:
    """The order, and the version of the trust root it stands on. Raises Refused with the reason of the first fault."""
    scope = _scope(work, pinned)
    manifest = _manifest(work, scope)
    _check_chain(work, scope)
    debug_spki = _debug_root(work, scope)
    return _order(work, scope, manifest, debug_spki), scope.view.version


def _scope(work: WorkOrder, pinned: Pinned) -> Scope:
    """Rules 1 and 2."""
    view = walk(list(work.trust_roots), pinned.fingerprint)
    if view.version < pinned.root_version:
        raise Refused(Reason.REASON_TRUST_ROOT_STALE, f"version {view.version} after {pinned.root_version}")
    if pinned.site_root_spki_der not in (b"", view.root.site_root_spki_der):
        what = "this station's certificates stand under a site root that the mesh does not know"
        raise Refused(Reason.REASON_TRUST_ROOT_INVALID, what, "site root", "enrol again")
    rule = view.verify(work.product_rule, payload.PRODUCT_RULE)
    grant = view.verify(work.grant, payload.GRANT)
    authorization = view.verify(work.authorization, payload.AUTHORIZATION)
    check_rule(rule)
    _same(grant.message.rule_digest, rule.digest, "the Grant names another rule")
    check_grant(rule, grant)
    check_authorization(grant, authorization)
    _same(work.auth_id, authorization.message.auth_id, "the order's id is not the Authorization's")
    if authorization.message.factory_id != pinned.factory_id:
        raise Refused(Reason.REASON_WRONG_FACTORY, "the order is for another factory", "authorization.factory_id")
    return Scope(view, rule, grant, authorization)


def _manifest(work: WorkOrder, scope: Scope) -> VersionManifest:
    """Rule 3."""
    grant = scope.grant.message
    _same(sha256(work.version_manifest).digest(), grant.version_digest, "the manifest is of another version")
    manifest = payload.parse_message(VersionManifest, work.version_manifest, "version_manifest")
    declaration = sha256(manifest.certification_declaration).digest()
    _same(manifest.firmware_digest, grant.firmware_digest, "the firmware is not the Grant's")
    _same(manifest.agent_digest, grant.agent_digest, "the key agent is not the Grant's")
    _same(declaration, grant.cd_digest, "the certification declaration is not the Grant's")
    _same(manifest.product_id, grant.product_id, "the manifest is of another product")
    _same(manifest.soc.encode(), grant.soc.encode(), "the manifest is for another chip")
    return manifest


def _check_chain(work: WorkOrder, scope: Scope) -> None:
    """Rule 4."""
    pai, paa = work.pai_cert_der, work.paa_cert_der
    _same(sha256(pai).digest(), scope.authorization.message.pai_cert_digest, "the PAI is not the Authorization's")
    _same(sha256(paa).digest(), scope.rule.message.paa_cert_digest, "the PAA is not the rule's")
    faults = errors_of([*lint_paa(paa), *lint_issued(paa, pai, Kind.PAI)])
    if faults:
        raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, "; ".join(map(str, faults)), "pai_cert_der")
    require_signed_by(paa, pai)


def _debug_root(work: WorkOrder, scope: Scope) -> bytes:
    """Rule 5: DER SubjectPublicKeyInfo."""
    auth = scope.authorization.message
    approval = scope.view.verify(work.enrolment_approval, payload.ENROLMENT_APPROVAL).message
    approved = (approval.factory_id, approval.edgehsm_id, approval.epoch)
    if approved != (auth.factory_id, auth.edgehsm_id, auth.epoch):
        raise Refused(Reason.REASON_WRONG_EDGEHSM, "the approval is of another EdgeHSM or epoch", "enrolment_approval")
    identity = approval.keys.identity_spki_der
    asked = verify_single(work.pai_request, payload.PAI_REQUEST, identity, SigScheme.SIG_SCHEME_P256)
    if (asked.edgehsm_id, asked.epoch, asked.product_id) != (auth.edgehsm_id, auth.epoch, auth.product_id):
        raise Refused(Reason.REASON_WRONG_EDGEHSM, "the PAI request is another's", "pai_request")
    _same(_requested_point(asked), read_certificate(work.pai_cert_der).point(), "the PAI holds another key")
    _same(asked.debug_spki_der, work.debug_spki_der, "the debug root is not the one EdgeHSM signed")
    return asked.debug_spki_der


def _requested_point(asked: PaiRequest) -> bytes:
    try:
        return parse_csr(asked.pai_csr_der).point
    except MatterError as error:
        raise Refused(reason_of(error.reason), error.what, "pai_request.pai_csr_der") from None


def _order(work: WorkOrder, scope: Scope, manifest: VersionManifest, debug_spki: bytes) -> Order:
    auth, grant = scope.authorization.message, scope.grant.message
    return Order(
        auth_id=auth.auth_id,
        product_id=auth.product_id,
        product_name=manifest.factory_data.product_name,
        factory_id=auth.factory_id,
        edgehsm_id=auth.edgehsm_id,
        soc=manifest.soc,
        quantity=auth.quantity,
        vendor_id=grant.template.vendor_id,
        product_code=grant.template.product_code,
        firmware=Firmware(manifest.firmware_digest, manifest.firmware_size, manifest.firmware_signature),
        agent_digest=manifest.agent_digest,
        template=manifest.factory_data,
        certification_declaration=manifest.certification_declaration,
        chip_security=manifest.chip_security,
        pai_der=work.pai_cert_der,
        paa_der=work.paa_cert_der,
        secure_boot_spki_der=_secure_boot_key(scope.rule.message, manifest),
        debug_spki_der=debug_spki,
        minimum_evidence=grant.minimum_evidence,
    )


def _secure_boot_key(rule: ProductRule, manifest: VersionManifest) -> bytes:
    """The rule's first secure boot key, where the version asks for secure boot; else empty."""
    keys = [key.spki_der for key in rule.keys if key.purpose == KeyPurpose.KEY_PURPOSE_SECURE_BOOT]
    return keys[0] if keys and manifest.chip_security.secure_boot else b""


def _same(left: bytes, right: bytes, what: str) -> None:
    if left != right:
        raise Refused(Reason.REASON_DIGEST_MISMATCH, what, "work order")
