"""Approvers' own keys: P-256, made here, sealed under their passphrase, used to sign what was rendered and nothing else.

`obis key new` writes two files: NAME.key (sealed, mode 600) and NAME.pub (PEM SubjectPublicKeyInfo, for the person who
drafts the trust root). Supervisors' SITE keys are of the same kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from obis.cli.exits import Usage
from obis.cli.sealed_key import read_sealed, write_sealed
from obis.trust.signature import ES256, key_id, low_s
from obis.v1.envelope_pb2 import SigScheme


@dataclass(frozen=True)
class PublicKey:
    """A public key as the trust root names it."""

    spki_der: bytes

    @property
    def key_id(self) -> str:
        """64 hex digits: SHA-256 of the DER SubjectPublicKeyInfo."""
        return key_id(self.spki_der)


class ApproverKey:
    """An opened key; signs as `obis.trust.envelope.Signer` asks."""

    scheme: SigScheme.ValueType = SigScheme.SIG_SCHEME_P256

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public = PublicKey(_spki(key.public_key()))
        self.key_id = self.public.key_id

    @classmethod
    def open(cls, path: Path, passphrase: bytes) -> ApproverKey:
        """The key at `path`; raises Usage for a wrong passphrase or a file that is no sealed P-256 key."""
        return cls(read_sealed(path, passphrase))

    def sign(self, pae: bytes) -> bytes:
        """ECDSA with SHA-256 over the PAE: DER, low S, so that there is one signature and not two."""
        return low_s(self._key.sign(pae, ES256))


def make_key(path: Path, passphrase: bytes) -> ApproverKey:
    """A new key, sealed at `path`, and its public half beside it. Raises Usage where either file exists."""
    public_path = path.with_suffix(".pub")
    if public_path.exists():
        raise Usage(f"{public_path} exists; a key is never overwritten", "choose another name")
    key = ec.generate_private_key(ec.SECP256R1())
    write_sealed(path, key, passphrase)
    public_path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return ApproverKey(key)


def read_public(path: Path) -> PublicKey:
    """The public key in a .pub file. Raises Usage unless it is PEM of a P-256 key."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as failure:
        raise Usage(f"{path}: {failure.strerror}") from None
    except ValueError:
        raise Usage(f"{path} is not a PEM public key", "`obis key new` writes one as NAME.pub") from None
    if not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)):
        raise Usage(f"{path}: not a P-256 key")
    return PublicKey(_spki(key))


def _spki(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
