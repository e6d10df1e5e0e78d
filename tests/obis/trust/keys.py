"""Real keys for tests, each a Signer; made once for the whole run."""

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from obis.trust.envelope import pae
from obis.trust.signature import key_id, low_s
from obis.trust.webauthn import RelyingParty, challenge
from obis.v1.envelope_pb2 import Sig, SigScheme

RP_ID, ORIGIN = "obis.example", "https://obis.example"
ERIN_PARTY = RelyingParty(RP_ID, ORIGIN)
ES256 = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True)
class Key:
    private: object
    scheme: SigScheme.ValueType = SigScheme.SIG_SCHEME_P256

    @property
    def spki(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def point(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    @property
    def key_id(self) -> str:
        return key_id(self.spki)

    def sign(self, message: bytes) -> bytes:
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return low_s(self.private.sign(message, ES256))
        return self.private.sign(message)

    def csr(self) -> bytes:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "request")])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self.private, hashes.SHA256())
        return request.public_bytes(Encoding.DER)

    def assertion(self, payload_type, payload, *, flags=0x05, rp_id=RP_ID, **client) -> Sig:
        """What a browser's authenticator would answer."""
        said = {"type": "webauthn.get", "challenge": challenge(pae(payload_type.text, payload)), "origin": ORIGIN}
        client_data = json.dumps(said | client).encode()
        authenticator = sha256(rp_id.encode()).digest() + bytes([flags]) + bytes(4)
        signature = low_s(self.private.sign(authenticator + sha256(client_data).digest(), ES256))
        return Sig(
            sig=signature,
            key_id=self.key_id,
            scheme=SigScheme.SIG_SCHEME_WEBAUTHN_ES256,
            authenticator_data=authenticator,
            client_data_json=client_data,
        )


@cache
def p256(name: str) -> Key:
    """The key of that name; the same all through a run."""
    assert name
    return Key(ec.generate_private_key(ec.SECP256R1()))


@cache
def ed(name: str) -> Key:
    assert name
    return Key(ed25519.Ed25519PrivateKey.generate(), SigScheme.SIG_SCHEME_ED25519)


@cache
def ml_dsa(name: str) -> Key:
    assert name
    return Key(mldsa.MLDSA65PrivateKey.generate(), SigScheme.SIG_SCHEME_ML_DSA_65)


@cache
def passkey(name: str) -> Key:
    return Key(p256(f"passkey {name}").private, SigScheme.SIG_SCHEME_WEBAUTHN_ES256)


@cache
def rsa_spki(name: str) -> bytes:
    assert name
    key = rsa.generate_private_key(65537, 3072).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def unpadded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
