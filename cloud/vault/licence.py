"""What licenses an act of the vault: only what people signed, judged here from the vault's own pinned fingerprint.

A PAI, each step with its own reason:
 1. the trust root follows from the pin, is not older than one seen before, and has not expired;
 2. the ProductRule has the GRANT quorum and names a PAA of this vault;
 3. the Grant has the GRANT quorum, keeps its own rules and stands on that rule; its window has not ended;
 4. the EnrolmentApproval has the ENROLMENT quorum; the Grant gives that EdgeHSM, factory and epoch a share; the
    approved assurance is what the Grant requires;
 5. the PaiRequest is signed by the approved identity key, for that EdgeHSM, epoch, product and Grant;
 6. the PKCS#10 in it proves possession of a P-256 key.
A site CA: steps 1 and the quorum of 4; the PKCS#10 proves possession of the approved site CA key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from obis.matter.csr import PublicKey, parse_csr
from obis.matter.errors import MatterError
from obis.refusal import Refused, reason_of
from obis.trust import payload
from obis.trust.envelope import verify_single
from obis.trust.grant import check_grant, find_cap
from obis.trust.rule import check_rule
from obis.trust.trust_root import TrustRootView, Verified, walk
from obis.v1.enrolment_objects_pb2 import EnrolmentApproval, PaiRequest
from obis.v1.envelope_pb2 import Envelope, SigScheme
from obis.v1.grant_pb2 import Grant
from obis.v1.reason_pb2 import Reason
from obis.v1.rule_pb2 import ProductRule


@dataclass(frozen=True)
class Pin:
    """What the vault trusts: the fingerprint, the highest trust root version seen, its own site root key's digest."""

    fingerprint: bytes
    version_seen: int


@dataclass(frozen=True)
class PaiLicence:
    """An order to certify one PAI key."""

    view: TrustRootView
    rule: Verified[ProductRule]
    grant: Verified[Grant]
    approval: Verified[EnrolmentApproval]
    request: PaiRequest
    key: PublicKey


@dataclass(frozen=True)
class SiteLicence:
    """An order to certify one site CA key."""

    view: TrustRootView
    approval: Verified[EnrolmentApproval]
    key: PublicKey


def judge_pai(
    pin: Pin,
    trust_roots: Sequence[Envelope],
    rule: Envelope,
    grant: Envelope,
    approval: Envelope,
    pai_request: Envelope,
    *,
    now: int,
) -> PaiLicence:
    """Steps 1 to 6. Raises Refused. That the rule's PAA is held is for whoever holds them."""
    view = judge_roots(pin, trust_roots)
    good_rule = view.verify(rule, payload.PRODUCT_RULE, now=now)
    check_rule(good_rule)
    good_grant = view.verify(grant, payload.GRANT, now=now)
    check_grant(good_rule, good_grant)
    if now >= good_grant.message.window.ends_at:
        raise Refused(Reason.REASON_WINDOW_CLOSED, "the Grant's window has ended", "grant.window")
    good_approval = view.verify(approval, payload.ENROLMENT_APPROVAL, now=now)
    _require_share(good_grant.message, good_approval.message)
    request = _request(good_approval.message, good_grant, pai_request)
    return PaiLicence(view, good_rule, good_grant, good_approval, request, read_key(request.pai_csr_der, "pai_csr_der"))


def judge_site(
    pin: Pin, trust_roots: Sequence[Envelope], approval: Envelope, site_ca_csr_der: bytes, *, now: int
) -> SiteLicence:
    """Raises Refused."""
    view = judge_roots(pin, trust_roots)
    good = view.verify(approval, payload.ENROLMENT_APPROVAL, now=now)
    view.site(good.message.factory_id)
    key = read_key(site_ca_csr_der, "site_ca_csr_der")
    if key.spki_der != good.message.keys.site_ca_spki_der:
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "people approved another site CA key", "site_ca_csr_der")
    return SiteLicence(view, good, key)


def judge_roots(pin: Pin, trust_roots: Sequence[Envelope]) -> TrustRootView:
    """Step 1. Raises Refused TRUST_ROOT_INVALID or TRUST_ROOT_STALE."""
    view = walk(trust_roots, pin.fingerprint)
    if view.version < pin.version_seen:
        raise Refused(
            Reason.REASON_TRUST_ROOT_STALE, f"version {view.version}, {pin.version_seen} was seen", "trust_roots"
        )
    return view


def read_key(csr_der: bytes, where: str) -> PublicKey:
    """The key of a PKCS#10 whose holder proved possession. Raises Refused."""
    try:
        return parse_csr(csr_der)
    except MatterError as error:
        raise Refused(reason_of(error.reason), error.what, where) from error


def _require_share(grant: Grant, approval: EnrolmentApproval) -> None:
    find_cap(grant, approval.factory_id, approval.edgehsm_id, approval.epoch)
    if approval.assurance < grant.required_assurance:
        raise Refused(
            Reason.REASON_ASSURANCE_TOO_LOW, "people approved it for less than the Grant requires", "approval.assurance"
        )


def _request(approval: EnrolmentApproval, grant: Verified[Grant], envelope: Envelope) -> PaiRequest:
    identity = approval.keys.identity_spki_der
    request = verify_single(envelope, payload.PAI_REQUEST, identity, SigScheme.SIG_SCHEME_P256)
    if request.edgehsm_id != approval.edgehsm_id:
        raise Refused(Reason.REASON_WRONG_EDGEHSM, "the request is of another EdgeHSM", "pai_request.edgehsm_id")
    if request.epoch != approval.epoch:
        raise Refused(Reason.REASON_WRONG_EPOCH, "the request is of another epoch", "pai_request.epoch")
    if request.product_id != grant.message.product_id:
        raise Refused(Reason.REASON_WRONG_PRODUCT, "the request is for another product", "pai_request.product_id")
    if request.grant_digest != grant.digest:
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "the request names another Grant", "pai_request.grant_digest")
    return request
