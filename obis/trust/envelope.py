"""DSSE v1 envelopes: made, extended and opened, over the exact payload bytes.

    PAE = "DSSEv1" SP len(type) SP type SP len(payload) SP payload        (lengths in ASCII decimal)

Opening an envelope goes in this order, each step with its own reason:
 1. Form: at most 256 KiB and 16 signatures, no unknown field, signatures sorted by key id, no key twice.
 2. The payload type is the one expected here, by exact text.
 3. Each key is one that somebody trusts for this (`trust_root`, or the caller by name: `verify_single`).
 4. Each signature verifies under that key's scheme.
 5. Only then is the payload parsed, from the same bytes, closed (`payload.parse_closed`).

Signing never re-serialises: what was signed is what is carried.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, Protocol, TypeVar

from google.protobuf.message import DecodeError, Message

from obis.refusal import Refused
from obis.trust.payload import PayloadType, parse_closed, require_closed, require_rules
from obis.trust.signature import key_id, verify_signature
from obis.v1.envelope_pb2 import Envelope, Sig, SigScheme
from obis.v1.reason_pb2 import Reason

__all__ = [
    "MAX_ENVELOPE_BYTES",
    "MAX_SIGNATURES",
    "Signer",
    "add_signature",
    "digest",
    "key_id",
    "make_envelope",
    "pae",
    "parse_envelope",
    "require_form",
    "require_type",
    "sign_with",
    "verify_single",
    "verify_with_keys",
]

MAX_ENVELOPE_BYTES: Final = 256 * 1024
MAX_SIGNATURES: Final = 16

M = TypeVar("M", bound=Message)


class Signer(Protocol):
    """Whoever holds a private key. P-256 signatures it returns are DER with the low S (`signature.low_s`)."""

    @property
    def key_id(self) -> str:
        """64 hex digits."""

    @property
    def scheme(self) -> SigScheme.ValueType:
        """How it signs."""

    def sign(self, pae: bytes) -> bytes:
        """The signature over these bytes."""


def pae(type_text: str, payload: bytes) -> bytes:
    """The bytes that are signed (DSSE v1, pre-authentication encoding)."""
    text = type_text.encode()
    return b"DSSEv1 %d %b %d %b" % (len(text), text, len(payload), payload)


def digest(payload: bytes) -> bytes:
    """How other objects name this one: SHA-256 of its exact payload bytes, 32 bytes."""
    return sha256(payload).digest()


def sign_with(payload_type: PayloadType[M], payload: bytes, signer: Signer) -> Sig:
    """One signature over this payload as this type."""
    signature = signer.sign(pae(payload_type.text, payload))
    return Sig(sig=signature, key_id=signer.key_id, scheme=signer.scheme)


def make_envelope(payload_type: PayloadType[M], payload: bytes, signers: Iterable[Signer] = ()) -> Envelope:
    """An envelope signed by each; raises Refused for a payload the type does not allow, so nobody signs one."""
    parse_closed(payload_type, payload)
    envelope = Envelope(payload=payload, payload_type=payload_type.text)
    for signer in signers:
        envelope = add_signature(envelope, sign_with(payload_type, payload, signer))
    return envelope


def add_signature(envelope: Envelope, sig: Sig) -> Envelope:
    """A new envelope with one signature more, in its place. Raises Refused ALREADY_SIGNED or TOO_LARGE."""
    if any(each.key_id == sig.key_id for each in envelope.signatures):
        raise Refused(Reason.REASON_ALREADY_SIGNED, "this key has signed already", sig.key_id)
    signatures = sorted([*envelope.signatures, sig], key=lambda each: each.key_id)
    extended = Envelope(payload=envelope.payload, payload_type=envelope.payload_type, signatures=signatures)
    require_form(extended)
    return extended


def parse_envelope(envelope_bytes: bytes) -> Envelope:
    """An envelope from a file or a package, in the one form its bytes may have. Raises Refused."""
    if len(envelope_bytes) > MAX_ENVELOPE_BYTES:
        raise Refused(Reason.REASON_TOO_LARGE, f"{len(envelope_bytes)} bytes", "envelope")
    try:
        envelope = Envelope.FromString(envelope_bytes)
    except DecodeError as error:
        raise Refused(Reason.REASON_MALFORMED, "not an envelope", "envelope") from error
    require_form(envelope)
    if envelope.SerializeToString(deterministic=True) != envelope_bytes:
        raise Refused(Reason.REASON_MALFORMED, "the bytes are not in the one form a serializer writes", "envelope")
    return envelope


def require_form(envelope: Envelope) -> None:
    """Step 1 above."""
    if envelope.ByteSize() > MAX_ENVELOPE_BYTES or len(envelope.signatures) > MAX_SIGNATURES:
        raise Refused(Reason.REASON_TOO_LARGE, "more than 256 KiB or 16 signatures", "envelope")
    require_closed(envelope, "envelope")
    require_rules(envelope, "envelope")
    keys = [sig.key_id for sig in envelope.signatures]
    if keys != sorted(set(keys)):
        raise Refused(Reason.REASON_MALFORMED, "signatures are not sorted by key, each key once", "envelope")


def require_type(envelope: Envelope, payload_type: PayloadType[M]) -> None:
    """Step 2 above."""
    if envelope.payload_type != payload_type.text:
        raise Refused(
            Reason.REASON_PAYLOAD_TYPE_UNEXPECTED, f"the envelope holds {envelope.payload_type}", payload_type.text
        )


def verify_single(envelope: Envelope, payload_type: PayloadType[M], spki_der: bytes, scheme: SigScheme.ValueType) -> M:
    """The message, signed by exactly this key: for keys that stand outside the trust root. Raises Refused."""
    return verify_with_keys(envelope, payload_type, [(spki_der, scheme)])


def verify_with_keys(
    envelope: Envelope, payload_type: PayloadType[M], keys: Sequence[tuple[bytes, SigScheme.ValueType]]
) -> M:
    """The message, signed by exactly these keys, every one of them. Raises Refused."""
    require_form(envelope)
    require_type(envelope, payload_type)
    known = {key_id(spki_der): (spki_der, scheme) for spki_der, scheme in keys}
    signed = pae(envelope.payload_type, envelope.payload)
    for sig in envelope.signatures:
        if sig.key_id not in known:
            raise Refused(Reason.REASON_KEY_UNKNOWN, "signed by a key that is not asked for here", sig.key_id)
        verify_signature(signed, sig, *known[sig.key_id])
    if missing := known.keys() - {sig.key_id for sig in envelope.signatures}:
        raise Refused(Reason.REASON_THRESHOLD_NOT_MET, "a signature is missing", min(missing))
    return parse_closed(payload_type, envelope.payload)
