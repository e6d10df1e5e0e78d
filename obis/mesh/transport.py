"""Transport keys: P-256, made here, short-lived, sealed at rest, able to open a connection and to authorize nothing.

On disk a key is PKCS#8 encrypted under a passphrase that comes by obis/mesh/secret.py; the certificate chain lies
beside it in clear. In memory TLS needs the key in clear: that is the one exception the architecture page names.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from obis.mesh.identity import Identity

_PRIVATE = 0o600


class TransportKeyUnusable(Exception):
    """The sealed key is missing, is not a P-256 key, or the passphrase is not the one it was sealed under."""


class TransportKey:
    """A private key that only TLS uses."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    @classmethod
    def generate(cls) -> TransportKey:
        """A new key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def unseal(cls, path: Path, passphrase: bytes) -> TransportKey:
        """The key kept at `path`; raises TransportKeyUnusable."""
        try:
            key = load_pem_private_key(path.read_bytes(), passphrase)
        except (OSError, ValueError, TypeError) as failure:
            raise TransportKeyUnusable(f"{path.name}: {failure}") from None
        if not (isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)):
            raise TransportKeyUnusable(f"{path.name}: not a P-256 key")
        return cls(key)

    def seal(self, path: Path, passphrase: bytes) -> None:
        """Keep the key at `path`, encrypted, for its owner alone; an older file is replaced in one step."""
        sealed = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))
        _replace(path, sealed)

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """What a certificate is made for."""
        return self._key.public_key()

    @property
    def public_der(self) -> bytes:
        """DER SubjectPublicKeyInfo, 91 bytes: what a ticket names."""
        return self.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def request(self, identity: Identity) -> bytes:
        """DER PKCS#10 for this key. The name in it is a wish: whoever certifies takes it from a ticket."""
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity.uri)])
        builder = (
            x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.DER)

    def certified(self, chain_der: Sequence[bytes]) -> OwnCertificate:
        """The key with its certificates, leaf first; raises TransportKeyUnusable if they are another key's."""
        chain = [x509.load_der_x509_certificate(each) for each in chain_der]
        if not chain or chain[0].public_key() != self.public_key:
            raise TransportKeyUnusable("the certificate is not for this key")
        key_pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain_pem = b"".join(each.public_bytes(Encoding.PEM) for each in chain)
        return OwnCertificate(key_pem, chain_pem, chain[0].not_valid_before_utc, chain[0].not_valid_after_utc)


@dataclass(frozen=True, repr=False)
class OwnCertificate:
    """What TLS shows: never printed, for it holds the key in clear."""

    key_pem: bytes
    chain_pem: bytes
    not_before: datetime
    not_after: datetime

    @property
    def renew_at(self) -> datetime:
        """When to ask for the next one: after two thirds of its life, so that a third is left for outages."""
        return self.not_before + (self.not_after - self.not_before) * 2 / 3


def keep_chain(path: Path, chain_der: Sequence[bytes]) -> None:
    """Write a certificate chain as PEM, leaf first."""
    chain = (x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM) for each in chain_der)
    _replace(path, b"".join(chain))


def read_chain(path: Path) -> list[bytes]:
    """A kept chain as DER, leaf first."""
    return [each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(path.read_bytes())]


def _replace(path: Path, content: bytes) -> None:
    """Durable and whole: a reader, or a crash, finds the old file or the new one."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
