"""The onboarding payload: what a product's label says, as QR code text and as manual pairing code (Core 5.1).

Rules:
 1. QR text is "MT:" and base-38 of 11 octets: version 3 bits (0), vendor 16, product 16, flow 2, discovery 8,
    discriminator 12, passcode 27, padding 4 (0), lowest bits first (Core 5.1.3). TLV of the manufacturer may follow by
    the specification; we write none and refuse a text that has it.
 2. A manual code is 11 digits, or 21 with vendor and product where the flow is not standard, the last a Verhoeff check
    digit; of the discriminator it carries the upper 4 bits (Core 5.1.4).
 3. Vendor FFF5 and above is reserved (Core 2.5.2); product 0 goes only with vendor 0, "unspecified".
 4. There is a way of discovery, and no reserved bit in it (Core 5.1.3.1).
 5. The passcode is one that Core 5.1.7.1 allows.
Every refusal is a MatterError PAYLOAD_INVALID that quotes nothing of the payload.
"""

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Final

from obis.matter import base38, verhoeff
from obis.matter.errors import MatterError
from obis.matter.passcode import is_valid_passcode

QR_PREFIX: Final = "MT:"
QR_OCTETS: Final = 11
QR_CHARACTERS: Final = 22
MAX_VENDOR_ID: Final = 0xFFF4
MAX_DISCRIMINATOR: Final = 0xFFF

# Field widths in bits, lowest first (Core 5.1.3.1, table "Packed Binary Data Structure").
_WIDTHS: Final = (3, 16, 16, 2, 8, 12, 27, 4)


class Flow(IntEnum):
    """What a person does before commissioning (Core 5.1.3.1, custom flow)."""

    STANDARD = 0
    USER_INTENT = 1
    CUSTOM = 2


class Discovery(IntFlag):
    """How a commissioner finds the device (Core 5.1.3.1, discovery capabilities)."""

    SOFT_AP = 1 << 0
    BLE = 1 << 1
    ON_NETWORK = 1 << 2
    WIFI_PAF = 1 << 3
    NFC = 1 << 4


@dataclass(frozen=True, slots=True, kw_only=True)
class OnboardingPayload:
    """What is printed for one device; valid by construction. The passcode is secret, so it is in no repr.

    Raises MatterError PAYLOAD_INVALID.
    """

    vendor_id: int
    product_id: int
    flow: Flow
    discovery: Discovery
    discriminator: int
    passcode: int = field(repr=False)

    def __post_init__(self) -> None:
        """Rules 3 to 5."""
        _require_ids(self.vendor_id, self.product_id)
        _require(0 <= self.discriminator <= MAX_DISCRIMINATOR, "the discriminator is outside 12 bits")
        _require(0 < self.discovery < 1 << len(Discovery), "there is no way of discovery, or a reserved one")
        _require(is_valid_passcode(self.passcode), "the passcode is not one that Matter allows")

    @property
    def qr_code(self) -> str:
        """Text for the QR code: 22 characters."""
        fields = (0, self.vendor_id, self.product_id, self.flow, self.discovery, self.discriminator, self.passcode, 0)
        packed = 0
        for value, width in zip(reversed(fields), reversed(_WIDTHS), strict=True):
            packed = packed << width | value
        return QR_PREFIX + base38.encode(packed.to_bytes(QR_OCTETS, "little"))

    @property
    def manual_code(self) -> str:
        """Digits a person can type: 11, or 21 where the flow is not standard."""
        long = self.flow is not Flow.STANDARD
        digits = str(long << 2 | self.discriminator >> 10)
        digits += f"{(self.discriminator >> 8 & 3) << 14 | self.passcode & 0x3FFF:05}{self.passcode >> 14:04}"
        if long:
            digits += f"{self.vendor_id:05}{self.product_id:05}"
        return digits + verhoeff.check_digit(digits)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualCode:
    """What a manual code says: `short_discriminator` is the upper 4 of 12 bits; ids only in the long form."""

    short_discriminator: int
    passcode: int = field(repr=False)
    vendor_id: int | None = None
    product_id: int | None = None


def parse_qr_code(text: str) -> OnboardingPayload:
    """What a QR code's text says; raises MatterError PAYLOAD_INVALID for any other text than `qr_code` writes."""
    _require(text.startswith(QR_PREFIX) and len(text) == QR_CHARACTERS, "the text is not a QR payload without TLV")
    packed, fields = int.from_bytes(base38.decode(text.removeprefix(QR_PREFIX)), "little"), []
    for width in _WIDTHS:
        fields.append(packed & ((1 << width) - 1))
        packed >>= width
    version, vendor_id, product_id, flow, discovery, discriminator, passcode, padding = fields
    _require((version, padding) == (0, 0) and flow in set(Flow), "version, flow or padding is reserved")
    return OnboardingPayload(
        vendor_id=vendor_id,
        product_id=product_id,
        flow=Flow(flow),
        discovery=Discovery(discovery),
        discriminator=discriminator,
        passcode=passcode,
    )


def parse_manual_code(digits: str) -> ManualCode:
    """What a manual code says; raises MatterError PAYLOAD_INVALID. Dashes and spaces are the caller's to remove."""
    _require(digits.isascii() and digits.isdigit() and len(digits) in (11, 21), "the code is not 11 or 21 digits")
    _require(digits[0] < "8", "the code is of a later version")
    _require(verhoeff.check_digit(digits[:-1]) == digits[-1], "the check digit is wrong")
    long, first, second, third = len(digits) == 21, int(digits[0]), int(digits[1:6]), int(digits[6:10])
    _require(long == bool(first & 4) and second < 1 << 16 and third < 1 << 13, "a part of the code is out of range")
    passcode = third << 14 | second & 0x3FFF
    _require(is_valid_passcode(passcode), "the passcode is not one that Matter allows")
    short = (first & 3) << 2 | second >> 14
    if not long:
        return ManualCode(short_discriminator=short, passcode=passcode)
    vendor_id, product_id = int(digits[10:15]), int(digits[15:20])
    _require_ids(vendor_id, product_id)
    return ManualCode(short_discriminator=short, passcode=passcode, vendor_id=vendor_id, product_id=product_id)


def _require_ids(vendor_id: int, product_id: int) -> None:
    """Rule 3."""
    _require(0 <= vendor_id <= MAX_VENDOR_ID and 0 <= product_id <= 0xFFFF, "vendor or product id is out of range")
    _require(product_id != 0 or vendor_id == 0, "product 0 goes only with vendor 0")


def _require(good: object, what: str) -> None:
    if not good:
        raise MatterError(MatterError.PAYLOAD_INVALID, what)
