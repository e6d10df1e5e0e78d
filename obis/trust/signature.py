"""One signature over one PAE, by one public key, under one scheme.

 1. The scheme is given by whoever trusts the key, never by the signature alone; a key of another kind than the scheme
    needs is SCHEME_MISMATCH.
 2. ECDSA signatures are strict DER with the low S (s <= n/2): of the many encodings a signature could have, one.
 3. A signature carries nothing its scheme does not use.

P256: ECDSA, SHA-256, over the PAE. ED25519: RFC 8032 over the PAE. ML_DSA_65: FIPS 204, empty context, over the PAE.
WEBAUTHN_ES256: see `webauthn`.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from obis.refusal import Refused
from obis.trust.webauthn import RelyingParty, signed_bytes
from obis.v1.envelope_pb2 import Sig, SigScheme
from obis.v1.reason_pb2 import Reason

# Order of P-256's base point (SEC 2, 2.4.2).
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ES256: Final = ECDSA(hashes.SHA256())

PublicKey = EllipticCurvePublicKey | Ed25519PublicKey | MLDSA65PublicKey

_KINDS: Final[dict[SigScheme.ValueType, type[PublicKey]]] = {
    SigScheme.SIG_SCHEME_P256: EllipticCurvePublicKey,
    SigScheme.SIG_SCHEME_WEBAUTHN_ES256: EllipticCurvePublicKey,
    SigScheme.SIG_SCHEME_ED25519: Ed25519PublicKey,
    SigScheme.SIG_SCHEME_ML_DSA_65: MLDSA65PublicKey,
}


def key_id(spki_der: bytes) -> str:
    """How a key is named: 64 lower-case hex digits, SHA-256 of its DER SubjectPublicKeyInfo."""
    return sha256(spki_der).hexdigest()


@lru_cache(maxsize=4096)
def load_public_key(spki_der: bytes, scheme: SigScheme.ValueType) -> PublicKey:
    """The key, of the kind the scheme needs and in the one DER form. Raises Refused SCHEME_MISMATCH or MALFORMED."""
    try:
        key = load_der_public_key(spki_der)
        canonical = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Refused(Reason.REASON_MALFORMED, "not a DER SubjectPublicKeyInfo", key_id(spki_der)) from error
    if canonical != spki_der:
        raise Refused(Reason.REASON_MALFORMED, "SubjectPublicKeyInfo is not in its one DER form", key_id(spki_der))
    kind = _KINDS.get(scheme)
    if kind is None or not isinstance(key, kind):
        raise Refused(Reason.REASON_SCHEME_MISMATCH, "the key is not of the scheme's kind", key_id(spki_der))
    if isinstance(key, EllipticCurvePublicKey) and not isinstance(key.curve, SECP256R1):
        raise Refused(Reason.REASON_SCHEME_MISMATCH, "the key is not on P-256", key_id(spki_der))
    return key


def verify_signature(
    pae: bytes, sig: Sig, spki_der: bytes, scheme: SigScheme.ValueType, party: RelyingParty | None = None
) -> None:
    """Raises Refused SCHEME_MISMATCH or SIGNATURE_INVALID; `party` is needed for WEBAUTHN_ES256 alone."""
    if sig.scheme != scheme:
        raise Refused(Reason.REASON_SCHEME_MISMATCH, "the key has another scheme", sig.key_id)
    key = load_public_key(spki_der, scheme)
    message = pae
    if scheme == SigScheme.SIG_SCHEME_WEBAUTHN_ES256:
        message = signed_bytes(pae, sig, party)
    elif sig.authenticator_data or sig.client_data_json:
        raise Refused(Reason.REASON_SIGNATURE_INVALID, "WebAuthn data beside a plain signature", sig.key_id)
    try:
        _verify(key, sig.sig, message)
    except InvalidSignature as error:
        raise Refused(Reason.REASON_SIGNATURE_INVALID, "the signature does not verify", sig.key_id) from error


def _verify(key: PublicKey, signature: bytes, message: bytes) -> None:
    if isinstance(key, EllipticCurvePublicKey):
        require_low_s(signature)
        key.verify(signature, message, ES256)
    else:
        key.verify(signature, message)


def require_low_s(signature_der: bytes) -> None:
    """Raises InvalidSignature unless the bytes are the one DER form of an ECDSA-Sig-Value with s <= n/2."""
    try:
        r, s = decode_dss_signature(signature_der)
    except ValueError as error:
        raise InvalidSignature from error
    if not (0 < r < P256_ORDER and 0 < s <= P256_ORDER // 2) or encode_dss_signature(r, s) != signature_der:
        raise InvalidSignature


def low_s(signature_der: bytes) -> bytes:
    """The same P-256 signature with the low S, as envelopes demand it; for signers. Raises ValueError if not DER."""
    r, s = decode_dss_signature(signature_der)
    return encode_dss_signature(r, min(s, P256_ORDER - s))


def low_s_from_raw(signature: bytes) -> bytes:
    """DER with the low S from r || s of 32 bytes each, as PKCS#11 tokens return it."""
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    return encode_dss_signature(r, min(s, P256_ORDER - s))
