"""Batch packages: signed inside (an Envelope of a BatchPackage), sealed outside to one EdgeHSM by HPKE (RFC 9180).

 1. One suite: base mode, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. Sealed = encapsulated key (65 bytes),
    ciphertext, tag (16 bytes).
 2. Who it is for goes into HPKE's info, and again into the signed payload, so that a package can neither be opened in
    another context nor be handed on under another name:
    info = "obis/hpke/v1" || 0x00 || SHA-256(payload type) || len8(edgehsm_id) || edgehsm_id || auth_id
 3. The plaintext holds no key in clear; keys are blobs wrapped to the element.
Only cloud.packaging calls `seal`, only edgehsm.boundary calls `open_with`; `decrypt` is the element's, which keeps the
private key.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from obis.refusal import Refused
from obis.trust.envelope import parse_envelope
from obis.trust.payload import BATCH_PACKAGE
from obis.trust.signature import load_public_key
from obis.v1.envelope_pb2 import Envelope, SigScheme
from obis.v1.package_pb2 import SealedPackage
from obis.v1.reason_pb2 import Reason

SUITE: Final = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

Decrypt = Callable[[bytes, bytes], bytes]
"""(sealed, info) -> plaintext, by the HPKE key of the EdgeHSM; raises InvalidTag or ValueError."""


def hpke_info(edgehsm_id: str, auth_id: bytes) -> bytes:
    """The context a package is bound to."""
    name = edgehsm_id.encode()
    return b"obis/hpke/v1\x00" + sha256(BATCH_PACKAGE.text.encode()).digest() + bytes([len(name)]) + name + auth_id


def seal(public_spki_der: bytes, envelope_bytes: bytes, edgehsm_id: str, auth_id: bytes) -> SealedPackage:
    """Seal a signed package (its Envelope's bytes) to the HPKE key of one EdgeHSM. Raises Refused for a wrong key."""
    key = load_public_key(public_spki_der, SigScheme.SIG_SCHEME_P256)
    if not isinstance(key, EllipticCurvePublicKey):
        raise Refused(Reason.REASON_SCHEME_MISMATCH, "not a P-256 key", "package")
    sealed = SUITE.encrypt(envelope_bytes, key, info=hpke_info(edgehsm_id, auth_id))
    return SealedPackage(edgehsm_id=edgehsm_id, auth_id=auth_id, sealed=sealed)


def open_with(decrypt: Decrypt, package: SealedPackage) -> Envelope:
    """The envelope inside, whose signature is still to be judged. Raises Refused SEAL_INVALID, or for its form."""
    try:
        opened = decrypt(package.sealed, hpke_info(package.edgehsm_id, package.auth_id))
    except (InvalidTag, ValueError) as error:
        raise Refused(
            Reason.REASON_SEAL_INVALID, "sealed to another recipient or context, or altered", "package"
        ) from error
    return parse_envelope(opened)
