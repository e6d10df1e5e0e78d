"""What an authenticator signs when a person approves by passkey (WebAuthn level 2, 7.2; COSE ES256).

The challenge is SHA-256 of the envelope's PAE, so the assertion stands for exactly one object. Checked here:
 1. clientDataJSON is UTF-8 JSON with type "webauthn.get", our challenge as unpadded base64url, the trust root's origin,
    and no cross-origin flag.
 2. authenticatorData begins with SHA-256 of the trust root's relying party id, and its flags say user present (0x01)
    and user verified (0x04).
The signature counter is not used: a verifier keeps no state, and the challenge is used for one object only.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from obis.refusal import Refused
from obis.v1.envelope_pb2 import Sig
from obis.v1.reason_pb2 import Reason

USER_PRESENT_AND_VERIFIED: Final = 0x05
_HEADER_BYTES: Final = 37  # rpIdHash 32, flags 1, signCount 4


@dataclass(frozen=True)
class RelyingParty:
    """Where the passkey lives, from the trust root's entry for the key."""

    rp_id: str
    origin: str


def challenge(pae: bytes) -> str:
    """What a browser is asked to have signed: unpadded base64url of SHA-256(PAE)."""
    return urlsafe_b64encode(sha256(pae).digest()).rstrip(b"=").decode()


def signed_bytes(pae: bytes, sig: Sig, party: RelyingParty | None) -> bytes:
    """The authenticator data, then SHA-256(clientDataJSON), once both say what they must. Raises Refused SIGNATURE_INVALID."""
    if party is None:
        raise Refused(Reason.REASON_SCHEME_MISMATCH, "no relying party stands beside this key", sig.key_id)
    client = _client_data(sig)
    expected = {"type": "webauthn.get", "challenge": challenge(pae), "origin": party.origin}
    for name, value in expected.items():
        if client.get(name) != value:
            raise Refused(Reason.REASON_SIGNATURE_INVALID, f"clientDataJSON has another {name}", sig.key_id)
    if client.get("crossOrigin", False) is not False:
        raise Refused(Reason.REASON_SIGNATURE_INVALID, "the assertion was made across origins", sig.key_id)
    data = sig.authenticator_data
    if len(data) < _HEADER_BYTES or data[:32] != sha256(party.rp_id.encode()).digest():
        raise Refused(Reason.REASON_SIGNATURE_INVALID, "authenticatorData is for another relying party", sig.key_id)
    if data[32] & USER_PRESENT_AND_VERIFIED != USER_PRESENT_AND_VERIFIED:
        raise Refused(Reason.REASON_SIGNATURE_INVALID, "the user was not present and verified", sig.key_id)
    return data + sha256(sig.client_data_json).digest()


def _client_data(sig: Sig) -> dict[str, object]:
    try:
        client = json.loads(sig.client_data_json.decode("utf-8"))
    except ValueError as error:
        raise Refused(Reason.REASON_SIGNATURE_INVALID, "clientDataJSON is not JSON", sig.key_id) from error
    if not isinstance(client, dict):
        raise Refused(Reason.REASON_SIGNATURE_INVALID, "clientDataJSON is not an object", sig.key_id)
    return client
