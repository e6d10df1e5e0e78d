"""The cloud's own keys: made once by `init`, encrypted at rest under the start secret, used only here.

1. ONLINE, REVOCATION, BEACON (P-256) and WITNESS (Ed25519) sign what their role in the trust root allows; the
   transport CA (P-256) signs transport certificates. None of them can stand for a person.
2. A key never leaves this module: others get a `Signer`, which signs.
3. `create` never overwrites; `load` refuses a folder that is not complete.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from obis.trust.signature import ES256, key_id, low_s
from obis.v1.envelope_pb2 import SigScheme

ROLES: Final = ("ONLINE", "REVOCATION", "BEACON", "WITNESS")
_TRANSPORT_CA: Final = "TRANSPORT_CA"
_PRIVATE: Final = 0o600


class KeysUnusable(Exception):
    """The keys are missing, there already, or sealed under another secret."""


class P256Signer:
    """Signs envelopes with a P-256 key (low S), and certificates where the key is a CA's."""

    scheme: Final = SigScheme.SIG_SCHEME_P256

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key()
        self.spki_der = self.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.key_id = key_id(self.spki_der)

    def sign(self, pae: bytes) -> bytes:
        """DER ECDSA over SHA-256 of these bytes, low S."""
        return low_s(self._key.sign(pae, ES256))

    def sign_certificate(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """The certificate this CA's key signs."""
        return builder.sign(self._key, hashes.SHA256())


class Ed25519Signer:
    """Signs with an Ed25519 key: the witness."""

    scheme: Final = SigScheme.SIG_SCHEME_ED25519

    def __init__(self, key: ed25519.Ed25519PrivateKey) -> None:
        self._key = key
        self.spki_der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.key_id = key_id(self.spki_der)

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(message)


@dataclass(frozen=True, repr=False)
class Keystore:
    """The keys of a running cloud."""

    online: P256Signer
    revocation: P256Signer
    beacon: P256Signer
    witness: Ed25519Signer
    transport_ca: P256Signer

    def public(self) -> dict[str, object]:
        """The public halves, as `obis root draft` reads them."""
        signers: tuple[P256Signer | Ed25519Signer, ...] = (self.online, self.revocation, self.beacon, self.witness)
        return {
            "transport_ca_spki_der": self.transport_ca.spki_der.hex(),
            "keys": [
                {
                    "role": role,
                    "scheme": SigScheme.Name(signer.scheme).removeprefix("SIG_SCHEME_"),
                    "spki_der": signer.spki_der.hex(),
                    "key_id": signer.key_id,
                }
                for role, signer in zip(ROLES, signers, strict=True)
            ],
        }


def create_keys(folder: Path, secret: bytes) -> Keystore:
    """Make and seal every key; raises KeysUnusable where there are some already."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(folder.iterdir()):
        raise KeysUnusable(f"there are keys in {folder.name} already")
    for name in (*ROLES, _TRANSPORT_CA):
        key = ed25519.Ed25519PrivateKey.generate() if name == "WITNESS" else ec.generate_private_key(ec.SECP256R1())
        sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(secret))
        path = _path(folder, name)
        path.touch(_PRIVATE)
        path.write_bytes(sealed)
    return load_keys(folder, secret)


def load_keys(folder: Path, secret: bytes) -> Keystore:
    """The keys `create_keys` made; raises KeysUnusable."""
    online, revocation, beacon, ca = (
        P256Signer(_load_p256(folder, name, secret)) for name in ("ONLINE", "REVOCATION", "BEACON", _TRANSPORT_CA)
    )
    witness = _load(folder, "WITNESS", secret)
    if not isinstance(witness, ed25519.Ed25519PrivateKey):
        raise KeysUnusable("WITNESS is not an Ed25519 key")
    return Keystore(online, revocation, beacon, Ed25519Signer(witness), ca)


def _load_p256(folder: Path, name: str, secret: bytes) -> ec.EllipticCurvePrivateKey:
    key = _load(folder, name, secret)
    if not (isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)):
        raise KeysUnusable(f"{name} is not a P-256 key")
    return key


def _load(folder: Path, name: str, secret: bytes) -> object:
    try:
        return load_pem_private_key(_path(folder, name).read_bytes(), secret)
    except OSError:
        raise KeysUnusable(f"key {name} is missing: run `python -m cloud init`") from None
    except (ValueError, TypeError):
        raise KeysUnusable(f"key {name} does not open under this secret") from None


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name.lower()}.pem"
