"""Lint rules C11 to C16: the extensions (Core 6.2.2.3 to 6.2.2.5; RFC 5280 4.2.1)."""

from collections.abc import Iterator
from hashlib import sha1
from typing import Final

from obis.matter import der, ids
from obis.matter.certificate import Certificate
from obis.matter.der import DerError, Element
from obis.matter.errors import MatterError
from obis.matter.findings import Kind

_KNOWN: Final = {ids.OID_BASIC_CONSTRAINTS, ids.OID_KEY_USAGE, ids.OID_SUBJECT_KEY_ID, ids.OID_AUTHORITY_KEY_ID}
_ALLOWED: Final = {
    ids.OID_EXTENDED_KEY_USAGE,
    ids.OID_SUBJECT_ALT_NAME,
    ids.OID_AUTHORITY_INFO_ACCESS,
    ids.OID_ISSUER_ALT_NAME,
    ids.OID_CRL_DISTRIBUTION_POINTS,
}
_DIGITAL_SIGNATURE: Final = 1 << 0  # named bits, RFC 5280 4.2.1.3
_CERT_AND_CRL_SIGN: Final = 1 << 5 | 1 << 6
_KEY_USAGES: Final = {
    Kind.DAC: (_DIGITAL_SIGNATURE,),
    Kind.PAI: (_CERT_AND_CRL_SIGN, _CERT_AND_CRL_SIGN | _DIGITAL_SIGNATURE),
    Kind.PAA: (_CERT_AND_CRL_SIGN, _CERT_AND_CRL_SIGN | _DIGITAL_SIGNATURE),
}
_CONSTRAINTS: Final[dict[Kind, tuple[tuple[bool, int | None], ...]]] = {
    Kind.DAC: ((False, None),),
    Kind.PAI: ((True, 0),),
    Kind.PAA: ((True, 1), (True, None)),
}


def c11_duplicates(certificate: Certificate, _kind: Kind) -> Iterator[str]:
    """RFC 5280 4.2: an extension stands at most once."""
    seen = [extension.oid for extension in certificate.extensions]
    if len(seen) != len(set(seen)):
        yield "an extension stands twice"


def c12_basic_constraints(certificate: Certificate, kind: Kind) -> Iterator[str]:
    """Critical; cA and pathLen by kind; FALSE is left out (X.690 11.5)."""
    found = certificate.extension(ids.OID_BASIC_CONSTRAINTS)
    if found is None or not found.critical:
        yield "basicConstraints is missing or not critical"
        return
    try:
        constraints = _constraints(der.children(der.single(found.value, der.SEQUENCE)))
    except DerError:
        yield "basicConstraints is malformed"
        return
    if constraints not in _CONSTRAINTS[kind]:
        yield f"cA or pathLen of basicConstraints is not a {kind}'s"


def _constraints(parts: list[Element]) -> tuple[bool, int | None]:
    authority = bool(parts) and parts[0].tag == der.BOOLEAN
    if authority and not der.boolean(parts.pop(0)):
        raise DerError("the default FALSE is written out")
    if len(parts) > 1:
        raise DerError("more than a path length")
    return authority, der.integer(parts[0]) if parts else None


def c13_unknown(certificate: Certificate, _kind: Kind) -> Iterator[str]:
    """RFC 5280 4.2: nothing critical that a verifier may not know; 4.1.2.8: no unique identifiers."""
    if certificate.has_unique_ids:
        yield "a unique identifier is present"
    if any(extension.critical and extension.oid not in _KNOWN | _ALLOWED for extension in certificate.extensions):
        yield "an extension that a verifier may not know is critical"


def c13_extra(certificate: Certificate, _kind: Kind) -> Iterator[str]:
    """Core 6.2.2.3 to 6.2.2.5 name the optional extensions; others only cost octets, critical ones verifiers."""
    optional = [extension for extension in certificate.extensions if extension.oid not in _KNOWN]
    if any(extension.critical or extension.oid not in _ALLOWED for extension in optional):
        yield "an optional extension is critical, or is one that the profile does not name"


def c14_key_usage(certificate: Certificate, kind: Kind) -> Iterator[str]:
    """Critical; a DAC only signs, an authority signs certificates and CRLs and may sign."""
    found = certificate.extension(ids.OID_KEY_USAGE)
    if found is None or not found.critical:
        yield "keyUsage is missing or not critical"
        return
    try:
        usage = der.named_bits(der.single(found.value, der.BIT_STRING))
    except DerError:
        yield "keyUsage is malformed"
        return
    if usage not in _KEY_USAGES[kind]:
        yield f"keyUsage is not a {kind}'s"


def c15_subject_key_id(certificate: Certificate, _kind: Kind) -> Iterator[str]:
    """Not critical, 20 octets, in every certificate."""
    found = certificate.extension(ids.OID_SUBJECT_KEY_ID)
    if found and found.critical:
        yield "subjectKeyIdentifier is critical"
    try:
        certificate.subject_key_id()
    except MatterError as error:
        yield error.what.partition(": ")[2]


def c15_method(certificate: Certificate, _kind: Kind) -> Iterator[str]:
    """RFC 5280 4.2.1.2 method 1 is customary, not required."""
    try:
        if certificate.subject_key_id() != sha1(certificate.point(), usedforsecurity=False).digest():
            yield "subjectKeyIdentifier is not the SHA-1 of the public key"
    except MatterError:
        return  # C10 or C15 has said so


def c16_authority_key_id(certificate: Certificate, kind: Kind) -> Iterator[str]:
    """Not critical, 20 octets; a PAA's may be missing and otherwise names the PAA itself."""
    found = certificate.extension(ids.OID_AUTHORITY_KEY_ID)
    if found is None:
        if kind is not Kind.PAA:
            yield "authorityKeyIdentifier is missing"
        return
    key_id = authority_key_id(certificate)
    if found.critical or key_id is None:
        yield "authorityKeyIdentifier is critical or holds no key identifier of 20 octets"
    elif kind is Kind.PAA and key_id != subject_key_id(certificate):
        yield "the PAA's authorityKeyIdentifier is not its own"


def authority_key_id(certificate: Certificate) -> bytes | None:
    """The 20 octets of [0] keyIdentifier (RFC 5280 4.2.1.1), or None."""
    found = certificate.extension(ids.OID_AUTHORITY_KEY_ID)
    try:
        parts = der.children(der.single(found.value, der.SEQUENCE)) if found else []
    except DerError:
        return None
    key_ids = [part.content for part in parts if part.tag == 0x80]
    return key_ids[0] if key_ids and len(key_ids[0]) == ids.KEY_ID_BYTES else None


def subject_key_id(certificate: Certificate) -> bytes | None:
    """The 20 octets of the subject key identifier, or None."""
    try:
        return certificate.subject_key_id()
    except MatterError:
        return None
