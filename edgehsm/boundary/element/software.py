"""An element of software: one file a key, PKCS#8 encrypted under a secret handed over at start.

Assurance SOFTWARE: who is root on this host, or copies the folder and knows the secret, has the keys (README, "what a
software EdgeHSM cannot promise"). A key is loaded at its first use and stays in this process' memory.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from edgehsm.boundary.element import ElementError, KeyHandle, KeyKind
from edgehsm.durable import replace_file
from obis.v1.scope_pb2 import Assurance

MIN_SECRET_BYTES: Final = 32  # a 256-bit secret in hex is 64; a person's password is not enough
RSA_BITS: Final = 3072  # what hardware tokens wrap with as well

_HANDLE: Final = re.compile(r"[a-z0-9-]{1,80}")
_ECDSA: Final = ec.ECDSA(hashes.SHA256())
_SUITE: Final = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


class SoftwareElement:
    """Keys in `folder`, which must exist and belong to this process' user alone."""

    assurance: Final = Assurance.ASSURANCE_SOFTWARE

    def __init__(self, folder: Path, secret: bytes) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise ElementError(f"the element's secret must be at least {MIN_SECRET_BYTES} bytes of random text")
        if folder.stat().st_mode & 0o077:
            raise ElementError("the element's folder is open to others; chmod 700 it")
        self._folder = folder
        self._secret = secret
        self._loaded: dict[KeyHandle, tuple[KeyKind, _PrivateKey]] = {}

    def ensure(self, handle: KeyHandle, kind: KeyKind) -> bytes:
        """See `Element.ensure`."""
        if not self._path(handle).exists():
            self._keep(handle, kind, _make(kind))
        if self._key(handle)[0] is not kind:
            raise ElementError(f"{handle} is not a key of kind {kind}")
        return self.public(handle)

    def public(self, handle: KeyHandle) -> bytes:
        """See `Element.public`."""
        _, key = self._key(handle)
        return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, handle: KeyHandle, message: bytes) -> bytes:
        """See `Element.sign`."""
        kind, key = self._key(handle)
        if kind is KeyKind.SIGN_P256 and isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(message, _ECDSA)
        if kind is KeyKind.SIGN_ED25519 and isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(message)
        raise ElementError(f"{handle} does not sign")

    def open_sealed(self, handle: KeyHandle, sealed: bytes, info: bytes) -> bytes:
        """See `Element.open_sealed`."""
        kind, key = self._key(handle)
        if kind is not KeyKind.OPEN_HPKE or not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ElementError(f"{handle} does not open packages")
        try:
            return _SUITE.decrypt(sealed, key, info=info)
        except (InvalidTag, ValueError):
            raise ValueError("sealed to another key or context, or altered") from None

    def _key(self, handle: KeyHandle) -> tuple[KeyKind, _PrivateKey]:
        found = self._loaded.get(handle)
        if found is None:
            found = self._loaded[handle] = self._load(handle)
        return found

    def _load(self, handle: KeyHandle) -> tuple[KeyKind, _PrivateKey]:
        try:
            kind, _, sealed = self._path(handle).read_bytes().partition(b"\n")
            key = load_der_private_key(sealed, self._secret)
            return KeyKind(kind.decode()), _expected(key)
        except FileNotFoundError:
            raise ElementError(f"there is no key {handle}") from None
        except (ValueError, TypeError):
            raise ElementError(f"{handle} does not open: another secret, or a damaged file") from None

    def _keep(self, handle: KeyHandle, kind: KeyKind, key: _PrivateKey) -> None:
        """Whole or not at all: a crash leaves no key, or this one."""
        sealed = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(self._secret))
        replace_file(self._path(handle), kind.encode() + b"\n" + sealed)

    def _path(self, handle: KeyHandle) -> Path:
        if not _HANDLE.fullmatch(handle):
            raise ElementError("not a key handle")
        return self._folder / f"{handle}.key"


def _make(kind: KeyKind) -> _PrivateKey:
    if kind is KeyKind.SIGN_ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    if kind is KeyKind.UNWRAP_RSA:
        return rsa.generate_private_key(65537, RSA_BITS)
    return ec.generate_private_key(ec.SECP256R1())


def _expected(key: object) -> _PrivateKey:
    if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
        raise TypeError("not a key an element makes")
    return key
