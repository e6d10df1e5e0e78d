"""What a chip's PKCS#10 request proves: that it holds the key it names. Nothing else of the request counts.

Rules, each with its reason word (RFC 2986 4; Core 6.2.2.3 for the suite):
 1. at most 1024 octets of DER, nothing trailing                        CSR_MALFORMED
 2. the public key is an uncompressed point of P-256                    CSR_CURVE_UNSUPPORTED
 3. signed with ecdsa-with-SHA256, parameters absent                    CSR_MALFORMED
 4. the signature is by that key                                        CSR_SIGNATURE_INVALID
The requested subject, attributes and extensions are ignored: the approved template alone says what a DAC contains.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from obis.matter import ids
from obis.matter.errors import MatterError

MAX_CSR_BYTES: Final = 1024

_SPKI_HEAD: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")  # RFC 5480 2, P-256
_SPKI_BYTES: Final = len(_SPKI_HEAD) + ids.POINT_BYTES
_P256: Final = SECP256R1()
_ES256: Final = ECDSA(SHA256())
_ECDSA_WITH_SHA256: Final = bytes.fromhex("300a06082a8648ce3d040302")  # RFC 5758 3.2


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A P-256 key whose holder has proved possession.

    `spki_der` is 91 octets, `point` the 65 uncompressed ones in it, `spki_digest` the SHA-256 of `spki_der`.
    """

    spki_der: bytes
    point: bytes
    spki_digest: bytes


def parse_csr(csr_der: bytes) -> PublicKey:
    """The public key of a DER certification request that obeys rules 1 to 4; raises MatterError with its word."""
    if len(csr_der) > MAX_CSR_BYTES:
        raise MatterError(MatterError.CSR_MALFORMED, "the request is above 1024 octets")
    try:
        request = x509.load_der_x509_csr(csr_der)
        spki_der, algorithm = _key_and_algorithm(csr_der)
    except (ValueError, x509.InvalidVersion):
        raise MatterError(MatterError.CSR_MALFORMED, "the request is not PKCS#10 in DER") from None
    if spki_der[: len(_SPKI_HEAD)] != _SPKI_HEAD or len(spki_der) != _SPKI_BYTES:
        raise MatterError(MatterError.CSR_CURVE_UNSUPPORTED, "the key is not an uncompressed point of P-256")
    if algorithm != _ECDSA_WITH_SHA256:
        raise MatterError(MatterError.CSR_MALFORMED, "the request is not signed with ecdsa-with-SHA256")
    point = spki_der[len(_SPKI_HEAD) :]
    _require_possession(request, point)
    return PublicKey(spki_der, point, sha256(spki_der).digest())


def _key_and_algorithm(csr_der: bytes) -> tuple[bytes, bytes]:
    """The octets of SubjectPublicKeyInfo and of the signature algorithm (RFC 2986 4), after `cryptography` read it."""
    info = _body(csr_der, 0)
    spki = _end(csr_der, _end(csr_der, _body(csr_der, info)))  # after version and subject
    algorithm = _end(csr_der, info)
    return csr_der[spki : _end(csr_der, spki)], csr_der[algorithm : _end(csr_der, algorithm)]


def _body(octets: bytes, at: int) -> int:
    """Where the content of the element at `at` begins, in DER that was read before."""
    first = octets[at + 1]
    return at + 2 if first < 0x80 else at + 2 + (first & 0x7F)


def _end(octets: bytes, at: int) -> int:
    """Where the element at `at` ends, in DER that was read before."""
    body = _body(octets, at)
    return body + octets[at + 1] if body == at + 2 else body + int.from_bytes(octets[at + 2 : body])


def _require_possession(request: x509.CertificateSigningRequest, point: bytes) -> None:
    """As `request.is_signature_valid` does, which reads the key once more and takes half as long again."""
    try:
        key = EllipticCurvePublicKey.from_encoded_point(_P256, point)
        key.verify(request.signature, request.tbs_certrequest_bytes, _ES256)
    except ValueError:
        raise MatterError(MatterError.CSR_CURVE_UNSUPPORTED, "the key is not a point of P-256") from None
    except InvalidSignature:
        raise MatterError(MatterError.CSR_SIGNATURE_INVALID, "the request is not signed by the key it names") from None
