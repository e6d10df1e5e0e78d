"""Lint rules X01 to X11: what certificates of one chain say of each other, on top of the rules of each.

A chain is exactly PAA, PAI, DAC (Core 6.2.2). Chain time is the DAC's notBefore, not now (Core 6.2.3.1): a DAC dated
before its PAI is refused by every commissioner for ever.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from obis.matter.certificate import Certificate, read_certificate
from obis.matter.errors import MatterError
from obis.matter.findings import Finding, Kind, Severity
from obis.matter.ids import ProductId, VendorId
from obis.matter.lint import lint_certificate
from obis.matter.lint_extensions import authority_key_id, subject_key_id
from obis.matter.names import attestation_ids


@dataclass(frozen=True, slots=True)
class Link:
    """A certificate and the one that issued it: itself, for a PAA."""

    kind: Kind
    child: Certificate
    issuer: Certificate


LinkCheck: TypeAlias = Callable[[Link], Iterator[str]]


def x01_signature(link: Link) -> Iterator[str]:
    """RFC 5280 6.1.3 (a)(1): signed by the issuer's key."""
    try:
        key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), link.issuer.point())
        key.verify(link.child.signature, link.child.tbs.raw, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        yield f"the {link.kind} is not signed by its issuer's key"


def x04_issuer_name(link: Link) -> Iterator[str]:
    """RFC 5280 6.1.3 (a)(4); octet for octet, because revocation is matched so."""
    if link.child.issuer.raw != link.issuer.subject.raw:
        yield f"the {link.kind}'s issuer is not its issuer's subject, octet for octet"


def x05_key_id(link: Link) -> Iterator[str]:
    """Core 6.2.2.3, 6.2.2.4: the authority key identifier is the issuer's subject key identifier."""
    key_id = authority_key_id(link.child)
    if key_id is not None and key_id != subject_key_id(link.issuer):
        yield f"the {link.kind}'s authorityKeyIdentifier is not its issuer's subjectKeyIdentifier"


def x06_vendor(link: Link) -> Iterator[str]:
    """Core 6.2.2.3: DAC and PAI name one vendor; 6.2.2.4: and a scoped PAA the same."""
    child, issuer = _vendor_and_product(link.child)[0], _vendor_and_product(link.issuer)[0]
    if None not in (child, issuer) and child != issuer:
        yield f"the {link.kind}'s vendor is not its issuer's"


def x07_product(link: Link) -> Iterator[str]:
    """Core 6.2.2.3: a PAI that names a product issues for no other."""
    child, issuer = _vendor_and_product(link.child)[1], _vendor_and_product(link.issuer)[1]
    if None not in (child, issuer) and child != issuer:
        yield f"the {link.kind}'s product is not its issuer's"


def _vendor_and_product(certificate: Certificate) -> tuple[VendorId | None, ProductId | None]:
    try:
        found = attestation_ids(certificate.subject)
    except MatterError:
        return None, None  # C09 has said so
    return found.vendor_id, found.product_id


NAMING_RULES: Final[tuple[tuple[str, LinkCheck], ...]] = (
    ("X04", x04_issuer_name),
    ("X05", x05_key_id),
    ("X06", x06_vendor),
    ("X07", x07_product),
)
SIGNATURE_RULE: Final[tuple[str, LinkCheck]] = ("X01", x01_signature)


def lint_chain(paa_der: bytes, pai_der: bytes, dac_der: bytes, now: datetime | None = None) -> list[Finding]:
    """Every rule of the three certificates and of their chain; `now`, aware, adds the DAC's own expiry (X10).

    The chain is judged only where all three can be read. Never raises.
    """
    findings = [*lint_certificate(paa_der, Kind.PAA), *lint_certificate(pai_der, Kind.PAI)]
    findings += lint_certificate(dac_der, Kind.DAC)
    try:
        paa, pai, dac = (read_certificate(each) for each in (paa_der, pai_der, dac_der))
    except MatterError:
        return findings
    findings += _linked(Link(Kind.PAA, paa, paa), SIGNATURE_RULE)
    for link in (Link(Kind.PAI, pai, paa), Link(Kind.DAC, dac, pai)):
        findings += _linked(link, SIGNATURE_RULE, *NAMING_RULES)
    return findings + _in_time([paa, pai], dac, now) + _distinct_keys(paa, pai, dac)


def lint_issued(issuer_der: bytes, child_der: bytes, kind: Kind = Kind.DAC) -> list[Finding]:
    """Every rule of one certificate and its link to its issuer except the signature: for a dummy-signed twin.

    Never raises; an issuer that cannot be read is a finding C02.
    """
    findings = lint_certificate(child_der, kind)
    try:
        issuer, child = read_certificate(issuer_der), read_certificate(child_der)
    except MatterError:
        return findings or [Finding("C02", Severity.ERROR, "the issuer cannot be read")]
    return findings + _linked(Link(kind, child, issuer), *NAMING_RULES) + _in_time([issuer], child, None)


def _linked(link: Link, *rules: tuple[str, LinkCheck]) -> list[Finding]:
    return [Finding(rule, Severity.ERROR, what) for rule, check in rules for what in check(link)]


def _in_time(authorities: list[Certificate], leaf: Certificate, now: datetime | None) -> list[Finding]:
    """X09: authorities are valid at the leaf's notBefore (Core 6.2.3.1). X10: the leaf is valid now."""
    findings, begin = [], leaf.not_before.at
    if begin is not None and not all(authority.valid_at(begin) for authority in authorities):
        findings.append(Finding("X09", Severity.ERROR, "an authority is not valid at the certificate's notBefore"))
    if now is not None and not leaf.valid_at(now):
        findings.append(Finding("X10", Severity.ERROR, "the DAC is not valid now"))
    return findings


def _distinct_keys(*certificates: Certificate) -> list[Finding]:
    """X11: one key, one certificate."""
    if len({certificate.spki.raw for certificate in certificates}) == len(certificates):
        return []
    return [Finding("X11", Severity.ERROR, "two certificates of the chain hold the same key")]
