"""The CMS SignedData around a Certification Declaration, in the one shape that Matter allows (Core 6.3.1; RFC 5652).

Strict DER: SignedData version 3 with one SHA-256 digest algorithm, content type pkcs7-data, no certificates; one signer,
version 3, named by a key identifier of 20 octets, without attributes, ecdsa-with-SHA256. Every refusal is a MatterError
CD_INVALID.
"""

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from obis.matter import der, ids, profile
from obis.matter.der import DerError, Element
from obis.matter.errors import MatterError
from obis.matter.lint_fields import is_ecdsa_signature

VERSION: Final = (
    3  # of SignedData and SignerInfo: RFC 5652 5.1 and 5.3, because the signer is named by a key identifier
)

_EXPLICIT_0: Final = 0xA0
_KEY_ID_TAG: Final = 0x80  # [0] subjectKeyIdentifier, RFC 5652 5.3
_NULL: Final = b"\x05\x00"


@dataclass(frozen=True, slots=True)
class SignedContent:
    """What was signed, by whom: content octets, key identifier of 20 octets, DER signature. Not yet verified."""

    content: bytes
    key_id: bytes
    signature: bytes

    def require_signed_by(self, point: bytes) -> None:
        """Raises MatterError unless the key of `point` (65 octets) signed the content."""
        try:
            key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
            key.verify(self.signature, self.content, ECDSA(SHA256()))
        except (ValueError, InvalidSignature):
            raise _invalid("the signature is not by the key it names") from None


def _invalid(what: str) -> MatterError:
    return MatterError(MatterError.CD_INVALID, what)


def parse_signed_data(cms_der: bytes) -> SignedContent:
    """The signed content of a CMS message in this shape; raises MatterError."""
    try:
        kind, explicit = der.sequence(der.single(cms_der, der.SEQUENCE), der.OID, _EXPLICIT_0)
        signed = _only(explicit)
        version, digests, content, signers = der.sequence(signed, der.INTEGER, der.SET, der.SEQUENCE, der.SET)
        _require(der.oid(kind) == ids.OID_CMS_SIGNED_DATA, "it is not CMS SignedData")
        _require(der.integer(version) == VERSION, "the version is not 3")
        _require(_is_sha256(_only(digests)), "the digest algorithm is not SHA-256")
        return _signer_info(_only(signers), _content(content))
    except DerError:
        raise _invalid("it is not DER of the CMS shape Matter allows") from None


def _require(good: object, what: str) -> None:
    if not good:
        raise _invalid(what)


def _only(container: Element) -> Element:
    """The one element in a container; raises DerError."""
    inner = der.children(container)
    if len(inner) != 1:
        raise DerError("there is not exactly one element")
    return inner[0]


def _is_sha256(algorithm: Element) -> bool:
    """RFC 5754 2: parameters are absent, and NULL is to be accepted."""
    head, *parameters = der.children(der.expect(algorithm, der.SEQUENCE))
    return der.oid(head) == ids.OID_SHA256 and [each.raw for each in parameters] in ([], [_NULL])


def _content(encapsulated: Element) -> bytes:
    kind, explicit = der.sequence(encapsulated, der.OID, _EXPLICIT_0)
    _require(der.oid(kind) == ids.OID_CMS_DATA, "the content type is not pkcs7-data")
    return der.expect(_only(explicit), der.OCTET_STRING).content


def _signer_info(signer: Element, content: bytes) -> SignedContent:
    """RFC 5652 5.3, without signed or unsigned attributes."""
    tags = (der.INTEGER, _KEY_ID_TAG, der.SEQUENCE, der.SEQUENCE, der.OCTET_STRING)
    version, key_id, digest, algorithm, signature = der.sequence(signer, *tags)
    _require(der.integer(version) == VERSION, "the signer's version is not 3")
    _require(len(key_id.content) == ids.KEY_ID_BYTES, "the signer is not named by a key identifier of 20 octets")
    _require(_is_sha256(digest), "the signer's digest algorithm is not SHA-256")
    _require(algorithm.raw == profile.ECDSA_WITH_SHA256, "the signature algorithm is not ecdsa-with-SHA256")
    _require(is_ecdsa_signature(signature.content), "the signature is not a DER Ecdsa-Sig-Value")
    return SignedContent(content, key_id.content, signature.content)


def encode_signed_data(signed: SignedContent) -> bytes:
    """The DER of a CMS message; `parse_signed_data` is its inverse."""
    sha256 = profile.sequence(profile.oid(ids.OID_SHA256))
    version = bytes((der.INTEGER, 1, VERSION))
    signer = profile.sequence(
        version,
        profile.tlv(_KEY_ID_TAG, signed.key_id),
        sha256,
        profile.ECDSA_WITH_SHA256,
        profile.tlv(der.OCTET_STRING, signed.signature),
    )
    content = profile.tlv(_EXPLICIT_0, profile.tlv(der.OCTET_STRING, signed.content))
    signed_data = profile.sequence(
        version,
        profile.tlv(der.SET, sha256),
        profile.sequence(profile.oid(ids.OID_CMS_DATA), content),
        profile.tlv(der.SET, signer),
    )
    return profile.sequence(profile.oid(ids.OID_CMS_SIGNED_DATA), profile.tlv(_EXPLICIT_0, signed_data))
