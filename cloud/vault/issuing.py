"""The vault's acts: a licence in, a certificate and a signed act out, both durable before anybody sees them.

1. One certificate per subject: (EdgeHSM, epoch, product) for a PAI, (EdgeHSM, epoch) for a site CA. The same key again
   gets the same certificate and no new act; another key is refused.
2. A PAI is scoped to vendor and product, lives as long as its PAA, and passes the lint before it is kept.
3. A site CA is constrained to its one host and lives for the approved outage budget plus 30 days.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from cloud.vault.keys import VaultKey, VaultKeys, new_serial
from cloud.vault.ledger import Kept, Ledger
from cloud.vault.licence import PaiLicence, SiteLicence
from obis.matter.findings import errors_of
from obis.matter.ids import ProductId, VendorId
from obis.matter.lint import lint_pai
from obis.matter.pai import PaiProfile, build_pai
from obis.matter.profile import Subject
from obis.mesh import certificate
from obis.mesh.identity import SITE_SUFFIX
from obis.refusal import Refused
from obis.trust import payload
from obis.trust.envelope import make_envelope
from obis.v1.envelope_pb2 import Envelope
from obis.v1.export_pb2 import VaultAct, VaultActKind
from obis.v1.reason_pb2 import Reason

SITE_CA_MARGIN: Final = timedelta(days=30)
_SKEW: Final = timedelta(minutes=5)


class Issuer:
    """Turns licences into certificates."""

    def __init__(self, keys: VaultKeys, ledger: Ledger) -> None:
        self._keys = keys
        self._ledger = ledger

    def certify_pai(self, licence: PaiLicence, *, now: int) -> Kept:
        """The product's PAI for this EdgeHSM and epoch. Raises Refused."""
        request = licence.request
        subject = f"pai/{request.edgehsm_id}/{request.epoch}/{request.product_id.hex()}"
        act = VaultAct(
            at=now,
            kind=VaultActKind.VAULT_ACT_KIND_CERTIFY_PAI,
            approval_digest=licence.approval.digest,
            grant_digest=licence.grant.digest,
        )
        paa = self._paa(licence)
        make = lambda: _pai(licence, paa, now)  # noqa: E731 (one expression, used once below)
        return self._once(subject, licence.key.spki_digest, licence.view.version, act, make)

    def certify_site(self, licence: SiteLicence, *, now: int) -> Kept:
        """The site CA of this EdgeHSM and epoch. Raises Refused."""
        approval = licence.approval.message
        act = VaultAct(
            at=now,
            kind=VaultActKind.VAULT_ACT_KIND_CERTIFY_SITE_CA,
            approval_digest=licence.approval.digest,
        )
        make = lambda: _site_ca(licence, self._keys.site_root, now)  # noqa: E731 (the same)
        subject = f"site-ca/{approval.edgehsm_id}/{approval.epoch}"
        return self._once(subject, licence.key.spki_digest, licence.view.version, act, make)

    def _paa(self, licence: PaiLicence) -> VaultKey:
        rule = licence.rule.message
        paa = self._keys.paa_of(rule.paa_cert_digest)
        if paa is None or self._keys.paas.get(rule.vendor_id) is not paa:
            raise Refused(
                Reason.REASON_DIGEST_MISMATCH, "the rule names a PAA that is not here", "rule.paa_cert_digest"
            )
        return paa

    def _once(self, subject: str, spki_digest: bytes, version: int, act: VaultAct, make: Callable[[], bytes]) -> Kept:
        """Rule 1, in one transaction."""
        with self._ledger.transaction():
            kept = self._ledger.kept(subject)
            if kept is None:
                cert_der = make()
                kept = Kept(spki_digest, cert_der, self._signed(act, cert_der))
                self._ledger.keep(subject, kept)
                self._ledger.see_version(version)
        if kept.spki_digest != spki_digest:
            raise Refused(Reason.REASON_ALREADY_EXISTS, "another key was certified for this already", subject)
        return kept

    def _signed(self, act: VaultAct, cert_der: bytes) -> Envelope:
        act.sequence, act.previous_digest = _following(self._ledger)
        act.result_digest = sha256(cert_der).digest()
        return make_envelope(payload.VAULT_ACT, act.SerializeToString(deterministic=True), [self._keys.site_root])


def _following(ledger: Ledger) -> tuple[int, bytes]:
    sequence, digest = ledger.last_act()
    return sequence + 1, digest


def _pai(licence: PaiLicence, paa: VaultKey, now: int) -> bytes:
    rule, request = licence.rule.message, licence.request
    subject = Subject(
        f"PAI {request.edgehsm_id} {request.epoch}", VendorId(rule.vendor_id), ProductId(rule.product_code)
    )
    profile = PaiProfile(subject=subject, not_before=datetime.fromtimestamp(now, UTC))
    der = build_pai(profile, paa_der=paa.cert_der, point=licence.key.point, serial=new_serial(), sign=paa.sign)
    if errors := errors_of(lint_pai(der)):
        raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, str(errors[0]), "pai")
    return der


def _site_ca(licence: SiteLicence, root: VaultKey, now: int) -> bytes:
    approval = licence.approval.message
    key = load_der_public_key(licence.key.spki_der)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Refused(Reason.REASON_CSR_CURVE_UNSUPPORTED, "the key is not on P-256", "site_ca_csr_der")
    at = datetime.fromtimestamp(now, UTC)
    issuer = x509.load_der_x509_certificate(root.cert_der)
    builder = certificate.authority(
        f"{approval.factory_id}{SITE_SUFFIX}",
        key,
        not_before=max(at - _SKEW, issuer.not_valid_before_utc),
        not_after=min(
            at + timedelta(seconds=approval.outage_budget_seconds) + SITE_CA_MARGIN, issuer.not_valid_after_utc
        ),
        issuer=issuer,
    )
    return root.sign_certificate(builder)
