"""The device key: made here, used here, read by nobody.

It signs two things: the PKCS#10 request that proves possession, and a DeviceReport under that payload type's own
domain. The type is not an argument, so no caller can have anything else signed.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from station.virtual import dsse

_BITS: Final = 256


class DeviceKey:
    """A P-256 key pair; `repr` shows the public half's digest."""

    __slots__ = ("_key", "spki_der")

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.spki_der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def __repr__(self) -> str:
        return f"DeviceKey({sha256(self.spki_der).hexdigest()[:16]})"

    @classmethod
    def make(cls) -> DeviceKey:
        """A new key from the operating system's generator."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    def request(self, uid: bytes) -> bytes:
        """DER PKCS#10, signed; its subject is the uid, which nobody believes."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, uid.hex()[:64])])
        built = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self._key, hashes.SHA256())
        return built.public_bytes(Encoding.DER)

    def sign_report(self, report: bytes) -> bytes:
        """The serialised Envelope over the exact DeviceReport bytes."""
        signature = self._key.sign(dsse.pae(dsse.DEVICE_REPORT, report), ec.ECDSA(hashes.SHA256()))
        return dsse.envelope(dsse.DEVICE_REPORT, report, self.spki_der, signature)

    def scalar(self) -> bytes:
        """32 octets, for `station.virtual.sealed` alone: they are encrypted before they reach a disk."""
        return self._key.private_numbers().private_value.to_bytes(_BITS // 8)

    @classmethod
    def from_scalar(cls, scalar: bytes) -> DeviceKey:
        """The key that `scalar` came from; raises ValueError for none."""
        return cls(ec.derive_private_key(int.from_bytes(scalar), ec.SECP256R1()))
