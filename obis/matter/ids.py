"""Names and numbers of the Matter PKI, each with its source.

Sources: "Core" is the Matter Core Specification, chapter 6 (device attestation) and 2 (identifiers); "SDK" is
connectedhomeip as read in 2025-10; "RFC" is the IETF document that registers the number.
"""

from typing import Final, Self

from obis.matter.errors import MatterError

# Subject attributes, Core 6.1.1 (arc 1.3.6.1.4.1.37244 is the Alliance's IANA enterprise number).
OID_VENDOR_ID: Final = "1.3.6.1.4.1.37244.2.1"
OID_PRODUCT_ID: Final = "1.3.6.1.4.1.37244.2.2"
OID_COMMON_NAME: Final = "2.5.4.3"  # X.520, RFC 5280 A.1
OID_ORGANIZATION: Final = "2.5.4.10"  # X.520, RFC 5280 A.1

# Algorithms, Core 6.2.2.3 to 6.2.2.5: one suite for the whole chain.
OID_EC_PUBLIC_KEY: Final = "1.2.840.10045.2.1"  # RFC 5480 2.1.1
OID_PRIME256V1: Final = "1.2.840.10045.3.1.7"  # RFC 5480 2.1.1.1
OID_ECDSA_WITH_SHA256: Final = "1.2.840.10045.4.3.2"  # RFC 5758 3.2
OID_SHA256: Final = "2.16.840.1.101.3.4.2.1"  # RFC 5754 2

# Extensions, RFC 5280 4.2.1.
OID_SUBJECT_KEY_ID: Final = "2.5.29.14"
OID_KEY_USAGE: Final = "2.5.29.15"
OID_SUBJECT_ALT_NAME: Final = "2.5.29.17"
OID_ISSUER_ALT_NAME: Final = "2.5.29.18"
OID_BASIC_CONSTRAINTS: Final = "2.5.29.19"
OID_CRL_DISTRIBUTION_POINTS: Final = "2.5.29.31"
OID_AUTHORITY_KEY_ID: Final = "2.5.29.35"
OID_EXTENDED_KEY_USAGE: Final = "2.5.29.37"
OID_AUTHORITY_INFO_ACCESS: Final = "1.3.6.1.5.5.7.1.1"

# CMS, RFC 5652 4 and 5.1.
OID_CMS_DATA: Final = "1.2.840.113549.1.7.1"
OID_CMS_SIGNED_DATA: Final = "1.2.840.113549.1.7.2"

MAX_CERTIFICATE_BYTES: Final = 600  # Core 11.18, CertificateChainResponse; SDK kMaxDERCertLength
MAX_SERIAL_BYTES: Final = 20  # RFC 5280 4.1.2.2
MAX_COMMON_NAME_CHARS: Final = 64  # X.520 ub-common-name, RFC 5280 A.1
KEY_ID_BYTES: Final = 20  # Core 6.2.2.3 to 6.2.2.5; RFC 5280 4.2.1.2 method 1
POINT_BYTES: Final = 65  # SEC 1 2.3.3, uncompressed P-256


class _Id16(int):
    """A 16-bit identifier, written in certificates as four upper-case hexadecimal characters (Core 6.2.2.1)."""

    __slots__ = ()

    def __new__(cls, value: int) -> Self:
        """Raises MatterError MALFORMED outside 0..65535."""
        if not 0 <= value <= 0xFFFF:
            raise MatterError(MatterError.MALFORMED, f"{cls.__name__} is outside 16 bits")
        return super().__new__(cls, value)

    @classmethod
    def from_hex4(cls, text: str) -> Self:
        """Read exactly four characters of 0-9A-F; raises MatterError MALFORMED otherwise."""
        if not is_hex4(text):
            raise MatterError(MatterError.MALFORMED, f"{cls.__name__} is not four of 0-9A-F")
        return cls(int(text, 16))

    @property
    def hex4(self) -> str:
        """The four characters that stand in a distinguished name."""
        return f"{int(self):04X}"


class VendorId(_Id16):
    """A vendor's number, assigned by the Alliance (Core 2.5.2); FFF1 to FFF4 are for tests."""


class ProductId(_Id16):
    """A product's number, assigned by its vendor (Core 2.5.3)."""


def is_hex4(text: str) -> bool:
    """Whether the text is exactly four of 0-9A-F: lower case and lookalike digits are not."""
    return len(text) == 4 and all(c in "0123456789ABCDEF" for c in text)
