"""How a certificate of the Matter PKI is written: the encoders the three builders share.

Signing happens elsewhere (element, vault), so a builder produces the to-be-signed octets and `splice` joins the
signature to them. Everything here is a function of its arguments: no clock, no randomness. The lint does not use this
file. Sections are of the Matter Core Specification (Core) or RFC 5280.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha1
from typing import Final, TypeAlias

from obis.matter import ids, p256
from obis.matter.errors import MatterError
from obis.matter.ids import ProductId, VendorId

Sign: TypeAlias = Callable[[bytes], bytes]
"""Takes the to-be-signed octets, returns the DER Ecdsa-Sig-Value over their SHA-256 (8 to 72 octets)."""

NO_EXPIRY: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # "no well-defined expiry", RFC 5280 4.1.2.5
FIRST_UTC_TIME_YEAR: Final = 1950  # RFC 5280 4.1.2.5.1
FIRST_GENERALIZED_YEAR: Final = 2050  # RFC 5280 4.1.2.5
MIN_SIGNATURE_BYTES: Final = 8
MAX_SIGNATURE_BYTES: Final = 72

KEY_USAGE_CA: Final = b"\x03\x02\x01\x06"  # keyCertSign, cRLSign (Core 6.2.2.4, 6.2.2.5)
KEY_USAGE_DAC: Final = b"\x03\x02\x07\x80"  # digitalSignature (Core 6.2.2.3)
VERSION_3: Final = b"\xa0\x03\x02\x01\x02"  # RFC 5280 4.1.2.1


def tlv(tag: int, *parts: bytes) -> bytes:
    """One DER element of up to 65535 octets of content."""
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes(1 if length < 0x100 else 2)
    return bytes((tag, 0x80 | len(octets))) + octets + content


def sequence(*parts: bytes) -> bytes:
    """A DER SEQUENCE."""
    return tlv(0x30, *parts)


def oid(dotted: str) -> bytes:
    """A DER OBJECT IDENTIFIER (X.690 8.19)."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return tlv(0x06, *(_base128(arc) for arc in (40 * first + second, *rest)))


def _base128(arc: int) -> bytes:
    octets = [arc & 0x7F]
    while arc := arc >> 7:
        octets.append(arc & 0x7F | 0x80)
    return bytes(reversed(octets))


ECDSA_WITH_SHA256: Final = sequence(oid(ids.OID_ECDSA_WITH_SHA256))  # parameters absent, RFC 5758 3.2
SPKI_HEAD: Final = bytes.fromhex("3059") + sequence(oid(ids.OID_EC_PUBLIC_KEY), oid(ids.OID_PRIME256V1)) + b"\x03\x42\0"
"""What precedes the 65-octet point in the SubjectPublicKeyInfo of an uncompressed P-256 key (26 octets)."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A distinguished name: CN, then O, then the Matter attributes, each where given (Core 6.2.2.1)."""

    common_name: str
    vendor_id: VendorId | None = None
    product_id: ProductId | None = None
    organization: str | None = None

    def __post_init__(self) -> None:
        """Raises MatterError CERTIFICATE_LINT_FAILED for a name that is empty, above 64 characters or not printable."""
        for text in (self.common_name, self.organization):
            if text is not None and not (1 <= len(text) <= ids.MAX_COMMON_NAME_CHARS and text.isprintable()):
                raise MatterError(
                    MatterError.CERTIFICATE_LINT_FAILED, "a name is empty, above 64 characters or not printable"
                )

    def encode(self) -> bytes:
        """The DER Name, every value a UTF8String."""
        attributes = [
            (ids.OID_COMMON_NAME, self.common_name),
            (ids.OID_ORGANIZATION, self.organization),
            (ids.OID_VENDOR_ID, None if self.vendor_id is None else self.vendor_id.hex4),
            (ids.OID_PRODUCT_ID, None if self.product_id is None else self.product_id.hex4),
        ]
        return sequence(*(_rdn(dotted, text) for dotted, text in attributes if text is not None))


def _rdn(dotted: str, text: str) -> bytes:
    return tlv(0x31, sequence(oid(dotted), tlv(0x0C, text.encode())))


def validity(not_before: datetime, not_after: datetime) -> bytes:
    """The DER Validity; raises MatterError CERTIFICATE_LINT_FAILED unless both are whole seconds of UTC, in order."""
    begin, end = _time(not_before), _time(not_after)
    if not_after < not_before:
        raise MatterError(MatterError.CERTIFICATE_LINT_FAILED, "C07: the validity ends before it begins")
    return sequence(begin, end)


def _time(at: datetime) -> bytes:
    """UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280 4.1.2.5)."""
    offset = at.utcoffset()
    if offset is None or offset or at.microsecond or at.year < FIRST_UTC_TIME_YEAR:
        raise MatterError(
            MatterError.CERTIFICATE_LINT_FAILED, "C07: a time is not in whole seconds of UTC from 1950 on"
        )
    text = f"{at.year:04}{at:%m%d%H%M%S}Z"
    if at.year >= FIRST_GENERALIZED_YEAR:
        return tlv(0x18, text.encode())
    return tlv(0x17, text[2:].encode())


def extensions(*, basic: bytes, key_usage: bytes, subject_key_id: bytes, authority_key_id: bytes) -> bytes:
    """The [3] extensions of Core 6.2.2.3 to 6.2.2.5, in that order; `basic` is the DER BasicConstraints."""
    return tlv(
        0xA3,
        sequence(
            _extension(ids.OID_BASIC_CONSTRAINTS, basic, critical=True),
            _extension(ids.OID_KEY_USAGE, key_usage, critical=True),
            _extension(ids.OID_SUBJECT_KEY_ID, tlv(0x04, subject_key_id)),
            _extension(ids.OID_AUTHORITY_KEY_ID, sequence(tlv(0x80, authority_key_id))),
        ),
    )


def _extension(dotted: str, value: bytes, *, critical: bool = False) -> bytes:
    return sequence(oid(dotted), b"\x01\x01\xff" if critical else b"", tlv(0x04, value))


def ca_constraints(path_length: int) -> bytes:
    """DER BasicConstraints of a certification authority (RFC 5280 4.2.1.9)."""
    return sequence(b"\x01\x01\xff", bytes((0x02, 0x01, path_length)))


def serial_number(serial: bytes) -> bytes:
    """The DER serial number from its octets, most significant first.

    Raises MatterError CERTIFICATE_LINT_FAILED unless 8 to 20 octets whose first is 01 to 7F: so it is positive, as short as DER
    wants it, and of a fixed width for a given count of octets (RFC 5280 4.1.2.2).
    """
    if not 8 <= len(serial) <= ids.MAX_SERIAL_BYTES or not 0 < serial[0] < 0x80:
        raise MatterError(
            MatterError.CERTIFICATE_LINT_FAILED, "a serial number is not 8 to 20 octets beginning 01 to 7F"
        )
    return tlv(0x02, serial)


def spki(point: bytes) -> bytes:
    """The DER SubjectPublicKeyInfo of a 65-octet point; raises MatterError CERTIFICATE_LINT_FAILED off the curve."""
    if not p256.is_point(point):
        raise MatterError(MatterError.CERTIFICATE_LINT_FAILED, "C10: the public key is not an uncompressed P-256 point")
    return SPKI_HEAD + point


def key_id(point: bytes) -> bytes:
    """The 20-octet key identifier: SHA-1 of the public key's BIT STRING content (RFC 5280 4.2.1.2, method 1)."""
    return sha1(point, usedforsecurity=False).digest()


def splice(tbs: bytes, signature: bytes) -> bytes:
    """The certificate: to-be-signed octets, algorithm, DER signature; raises MatterError CERTIFICATE_LINT_FAILED.

    Only the signature's size is looked at here; the lint reads what was made.
    """
    if not MIN_SIGNATURE_BYTES <= len(signature) <= MAX_SIGNATURE_BYTES:
        raise MatterError(MatterError.CERTIFICATE_LINT_FAILED, "C06: the signature is not 8 to 72 octets")
    tail = b"%b\x03%c\x00%b" % (ECDSA_WITH_SHA256, len(signature) + 1, signature)
    length = len(tbs) + len(tail)
    return b"\x30\x82%c%c%b%b" % (length >> 8, length & 0xFF, tbs, tail) if length > 0xFF else sequence(tbs, tail)
