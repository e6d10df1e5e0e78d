"""The vault's keys: one PAA for each vendor id, and the site root; made once, encrypted at rest, used only here.

1. Made by `init`, never imported, never exported; sealed as PKCS#8 under the start secret.
2. A key signs what its own method builds (a PAI, a site CA, an act): there is no "sign these bytes" beyond this folder.
3. The site root may certify sites only: names at or below `site.obis`, path length 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from secrets import token_bytes
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from obis.matter.ids import VendorId
from obis.matter.paa import PaaProfile, build_paa
from obis.matter.profile import Subject
from obis.trust.signature import ES256, key_id, low_s
from obis.v1.envelope_pb2 import SigScheme

SITE_ROOT_LIFETIME: Final = timedelta(days=20 * 365)
_SITE_ROOT: Final = "site-root"
_PRIVATE: Final = 0o600


class KeysUnusable(Exception):
    """The keys are missing, there already, or sealed under another secret."""


class VaultKey:
    """A P-256 key and the certificate that stands on it."""

    scheme: Final = SigScheme.SIG_SCHEME_P256

    def __init__(self, key: ec.EllipticCurvePrivateKey, cert_der: bytes = b"") -> None:
        self._key = key
        self.cert_der = cert_der
        self.public_key = key.public_key()
        self.point = self.public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.spki_der = self.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.key_id = key_id(self.spki_der)

    def sign(self, message: bytes) -> bytes:
        """DER ECDSA over SHA-256 of these bytes, low S."""
        return low_s(self._key.sign(message, ES256))

    def sign_certificate(self, builder: x509.CertificateBuilder) -> bytes:
        """DER of the certificate this key signs."""
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.DER)

    def seal(self, path: Path, secret: bytes) -> None:
        """Keep the key, encrypted, for its owner alone."""
        path.touch(_PRIVATE)
        sealed = BestAvailableEncryption(secret)
        path.write_bytes(self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed))


@dataclass(frozen=True, repr=False)
class VaultKeys:
    """What a running vault holds; `paas` by vendor id."""

    site_root: VaultKey
    paas: dict[int, VaultKey]

    def paa_of(self, digest: bytes) -> VaultKey | None:
        """The PAA whose certificate has this SHA-256."""
        return next((paa for paa in self.paas.values() if sha256(paa.cert_der).digest() == digest), None)


def create_keys(folder: Path, secret: bytes, vendor_ids: tuple[int, ...], name: str, *, now: int) -> VaultKeys:
    """Make and seal every key; raises KeysUnusable where there are some already."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(folder.iterdir()):
        raise KeysUnusable(f"there are keys in {folder.name} already")
    at = datetime.fromtimestamp(now, UTC)
    root = _new()
    _keep(folder, _SITE_ROOT, root, _site_root(root, at), secret)
    for vendor_id in vendor_ids:
        paa = _new()
        subject = Subject(f"{name} PAA {vendor_id:04X}"[:64], VendorId(vendor_id))
        profile = PaaProfile(subject=subject, not_before=at)
        der = build_paa(profile, point=paa.point, serial=new_serial(), sign=paa.sign)
        _keep(folder, _paa_name(vendor_id), paa, der, secret)
    return load_keys(folder, secret, vendor_ids)


def load_keys(folder: Path, secret: bytes, vendor_ids: tuple[int, ...]) -> VaultKeys:
    """The keys `create_keys` made; raises KeysUnusable."""
    paas = {vendor_id: _load(folder, _paa_name(vendor_id), secret) for vendor_id in vendor_ids}
    return VaultKeys(_load(folder, _SITE_ROOT, secret), paas)


def new_serial() -> bytes:
    """16 octets, the first 01 to 7F: positive and of one width."""
    drawn = token_bytes(16)
    return bytes([drawn[0] % 0x7F + 1]) + drawn[1:]


def _new() -> VaultKey:
    return VaultKey(ec.generate_private_key(ec.SECP256R1()))


def _keep(folder: Path, name: str, key: VaultKey, cert_der: bytes, secret: bytes) -> None:
    key.seal(folder / f"{name}.pem", secret)
    (folder / f"{name}.der").write_bytes(cert_der)


def _load(folder: Path, name: str, secret: bytes) -> VaultKey:
    try:
        key = load_pem_private_key((folder / f"{name}.pem").read_bytes(), secret)
        cert_der = (folder / f"{name}.der").read_bytes()
    except OSError:
        raise KeysUnusable(f"key {name} is missing: run `python -m cloud.vault init`") from None
    except (ValueError, TypeError):
        raise KeysUnusable(f"key {name} does not open under this secret") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeysUnusable(f"{name} is not a P-256 key")
    return VaultKey(key, cert_der)


def _paa_name(vendor_id: int) -> str:
    return f"paa-{vendor_id:04X}"


def _site_root(key: VaultKey, at: datetime) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "OBIS site root")])
    sites: list[x509.GeneralName] = [x509.UniformResourceIdentifier(".site.obis"), x509.DNSName("site.obis")]
    uses = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
    )
    usage = x509.KeyUsage(**uses, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key)
        .serial_number(int.from_bytes(new_serial()))
        .not_valid_before(at)
        .not_valid_after(at + SITE_ROOT_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.NameConstraints(sites, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key), critical=False)
    )
    return key.sign_certificate(builder)
