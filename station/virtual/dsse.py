"""Envelopes as a chip makes and reads them: a second, small implementation of DSSE with one P-256 signature.

Written without `obis.trust` on purpose: what the two agree on is the format, not a shared mistake. docs/formats.md.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key
from google.protobuf.message import DecodeError

from obis.v1.envelope_pb2 import Envelope, Sig, SigScheme

DEVICE_REPORT: Final = "application/vnd.obis.device-report.v1+protobuf"
DEBUG_RESPONSE: Final = "application/vnd.obis.debug-response.v1+protobuf"
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # SEC 2 2.4.2


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE v1's pre-authentication encoding."""
    return b"DSSEv1 %d %b %d %b" % (len(payload_type), payload_type.encode(), len(payload), payload)


def envelope(payload_type: str, payload: bytes, spki_der: bytes, signature_der: bytes) -> bytes:
    """A serialised Envelope with this one signature, S made low."""
    r, s = decode_dss_signature(signature_der)
    sig = Sig(
        sig=encode_dss_signature(r, min(s, _ORDER - s)),
        key_id=sha256(spki_der).hexdigest(),
        scheme=SigScheme.SIG_SCHEME_P256,
    )
    return Envelope(payload=payload, payload_type=payload_type, signatures=[sig]).SerializeToString(deterministic=True)


def is_signature(spki_der: bytes, signature_der: bytes, message: bytes) -> bool:
    """Whether it is ECDSA P-256 with SHA-256 by that key over the message."""
    key = load_der_public_key(spki_der)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        key.verify(signature_der, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def open_signed(octets: bytes, payload_type: str, spki_der: bytes) -> bytes | None:
    """The payload, if the octets are an Envelope of that type with exactly one signature by that key; else None."""
    try:
        read = Envelope.FromString(octets)
    except DecodeError:
        return None
    if read.payload_type != payload_type or len(read.signatures) != 1:
        return None
    sig = read.signatures[0]
    if sig.scheme != SigScheme.SIG_SCHEME_P256 or sig.key_id != sha256(spki_der).hexdigest() or not _is_low(sig.sig):
        return None
    return read.payload if is_signature(spki_der, sig.sig, pae(payload_type, read.payload)) else None


def _is_low(signature_der: bytes) -> bool:
    try:
        return decode_dss_signature(signature_der)[1] <= _ORDER // 2
    except ValueError:
        return False
