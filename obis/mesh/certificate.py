"""Transport certificates: what a CA of the mesh and its leaves look like. They open a connection and authorize nothing.

A CA is constrained, critically, to its one host: URI names of that host, DNS names at or below it. It signs leaves
only (path length 0). A leaf carries one URI, and a DNS name if its role serves; P-256, ECDSA with SHA-256.

The profile stands here; the key that signs does not. A CA whose key is a handle signs with `sign_by`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from obis.mesh.identity import SERVING_ROLES, Identity

_ECDSA_WITH_SHA256: Final = bytes.fromhex("300a06082a8648ce3d040302")  # AlgorithmIdentifier, RFC 5758 section 3.2
_LEAF_USES: Final = frozenset({"digital_signature"})
_CA_USES: Final = frozenset({"key_cert_sign", "crl_sign"})
_ALL_USES: Final = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def authority(
    host: str,
    key: ec.EllipticCurvePublicKey,
    *,
    not_before: datetime,
    not_after: datetime,
    issuer: x509.Certificate | None = None,
) -> x509.CertificateBuilder:
    """A CA for one host; without `issuer` it is its own."""
    own_name = _name(f"OBIS transport CA {host}")
    issuer_name = issuer.subject if issuer else own_name
    constraints = x509.NameConstraints([x509.UniformResourceIdentifier(host), x509.DNSName(host)], None)
    return (
        _certificate(own_name, issuer_name, key, not_before, not_after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(_CA_USES), critical=True)
        .add_extension(constraints, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_authority_key(issuer, key), critical=False)
    )


def leaf(
    identity: Identity,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate,
    *,
    not_before: datetime,
    not_after: datetime,
) -> x509.CertificateBuilder:
    """A certificate for one name, cut to the issuer's validity; sign it with the issuer's key."""
    begin, end = max(not_before, issuer.not_valid_before_utc), min(not_after, issuer.not_valid_after_utc)
    subject = _name(f"{identity.role} {identity.id}"[:64])
    return (
        _certificate(subject, issuer.subject, key, begin, end)
        .add_extension(x509.SubjectAlternativeName(_alternative_names(identity)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(_LEAF_USES), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_purposes(identity)), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_authority_key(issuer, key), critical=False)
    )


def sign_by(builder: x509.CertificateBuilder, sign: Callable[[bytes], bytes]) -> x509.Certificate:
    """Sign through a key that is only a handle: `sign` takes the to-be-signed bytes, returns a DER ECDSA signature.

    The library signs with key objects alone. So a throw-away key signs once, which fixes the to-be-signed bytes (they
    do not depend on the key), and its signature is replaced by the real one.
    """
    draft = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    tbs = draft.tbs_certificate_bytes
    return x509.load_der_x509_certificate(_der(0x30, tbs + _ECDSA_WITH_SHA256 + _bit_string(sign(tbs))))


def _bit_string(octets: bytes) -> bytes:
    return _der(0x03, b"\x00" + octets)


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, not_before: datetime, not_after: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )


def _authority_key(issuer: x509.Certificate | None, own: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    if issuer is None:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(own)
    named = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(named)


def _alternative_names(identity: Identity) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity.uri)]
    return [*names, x509.DNSName(identity.dns_name)] if identity.role in SERVING_ROLES else names


def _purposes(identity: Identity) -> list[x509.ObjectIdentifier]:
    client = ExtendedKeyUsageOID.CLIENT_AUTH
    return [client, ExtendedKeyUsageOID.SERVER_AUTH] if identity.role in SERVING_ROLES else [client]


def _key_usage(uses: frozenset[str]) -> x509.KeyUsage:
    return x509.KeyUsage(**{use: use in uses for use in _ALL_USES})


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
