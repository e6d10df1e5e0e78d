"""The element: where private keys are made, kept and used, and what is asked of whatever holds them.

Promises of every implementation (tests/edgehsm/boundary/test_element.py runs them all):
 1. A key is made inside and has no way out; at rest it is encrypted under a secret that is not beside it.
 2. `ensure` is durable when it returns, and asking again gives the same key.
 3. A handle has one kind for ever: a key is never used for two purposes.
 4. A missing handle, or a use its kind does not allow, raises ElementError. So does a wrong secret.
 5. Only the boundary's one thread calls it (python-pkcs11 asks tokens for no locking).
"""

from __future__ import annotations

from enum import StrEnum
from typing import NewType, Protocol

from obis.v1.scope_pb2 import Assurance

KeyHandle = NewType("KeyHandle", str)
"""Names a key inside an element: [a-z0-9-]{1,80}."""


class KeyKind(StrEnum):
    """What a key is for; fixed when it is made."""

    SIGN_P256 = "sign-p256"
    SIGN_ED25519 = "sign-ed25519"
    OPEN_HPKE = "open-hpke"
    UNWRAP_RSA = "unwrap-rsa"


class ElementError(Exception):
    """The element cannot do what was asked: no such key, another kind of key, or it is not unlocked."""


class Element(Protocol):
    """Keys by handle; nothing private comes out."""

    @property
    def assurance(self) -> Assurance.ValueType:
        """How well it protects what it holds."""

    def ensure(self, handle: KeyHandle, kind: KeyKind) -> bytes:
        """DER SubjectPublicKeyInfo of the key, made now if it is not there. Raises ElementError for another kind."""

    def public(self, handle: KeyHandle) -> bytes:
        """DER SubjectPublicKeyInfo of a key that is there. Raises ElementError."""

    def sign(self, handle: KeyHandle, message: bytes) -> bytes:
        """SIGN_P256: DER ECDSA over SHA-256 of the message; SIGN_ED25519: 64 bytes. Raises ElementError."""

    def open_sealed(self, handle: KeyHandle, sealed: bytes, info: bytes) -> bytes:
        """OPEN_HPKE: the plaintext of 65 bytes encapsulated key and ciphertext. Raises ValueError if it is not ours.

        HPKE base mode, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM (RFC 9180). No plaintext holds a key.
        """
