"""What is written into one device at the factory, before any chip's own format (Core 11.1 and 5.1; lengths as the SDK's).

Promises:
 1. There is no field for a private key or a passcode: the key is made in the chip, the passcode is only printed.
 2. `encode` is canonical TLV with the tags below, empty texts left out: equal data has equal octets, and `decode`
    accepts no others.
 3. `digest` may be recorded and reported, because it covers 32 random octets, the blinding, that are never recorded and
    never leave the session. The salt would not do: a device tells it to whoever asks in commissioning (Core 4.14.1,
    PBKDFParamResponse), and with it a recorded digest would let its reader try all passcodes.
Every refusal is a MatterError FACTORY_DATA_INVALID, which names the field and quotes nothing.
"""

from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import Annotated, Final, get_type_hints

from obis.matter import ids, tlv
from obis.matter.declaration import MAX_DECLARATION_BYTES
from obis.matter.errors import MatterError
from obis.matter.onboarding import MAX_DISCRIMINATOR, MAX_VENDOR_ID
from obis.matter.spake2p import (
    MAX_ITERATIONS,
    MAX_SALT_BYTES,
    MIN_ITERATIONS,
    MIN_SALT_BYTES,
    VERIFIER_BYTES,
    require_verifier,
)
from obis.matter.tlv import TlvError, Value

BLINDING_BYTES: Final = 32
DIGEST_CONTEXT: Final = b"obis/factory-data/v1\x00"


@dataclass(frozen=True, slots=True)
class Limit:
    """A field's TLV tag, its type and its limits: of the value for an int, in octets for octets and printable text."""

    tag: int
    kind: type[int | str | bytes]
    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FactoryData:
    """One device's data, valid by construction. What could help find the passcode is in no repr."""

    vendor_id: Annotated[int, Limit(1, int, 1, MAX_VENDOR_ID)]
    product_id: Annotated[int, Limit(2, int, 1, 0xFFFF)]
    vendor_name: Annotated[str, Limit(3, str, 1, 32)]
    product_name: Annotated[str, Limit(4, str, 1, 32)]
    part_number: Annotated[str, Limit(5, str, 0, 32)] = ""
    product_url: Annotated[str, Limit(6, str, 0, 256)] = ""
    product_label: Annotated[str, Limit(7, str, 0, 64)] = ""
    hardware_version: Annotated[int, Limit(8, int, 0, 0xFFFF)]
    hardware_version_string: Annotated[str, Limit(9, str, 1, 64)]
    manufacturing_date: Annotated[str, Limit(10, str, 8, 16)]
    serial_number: Annotated[str, Limit(11, str, 1, 32)]
    unique_id: Annotated[str, Limit(12, str, 0, 32)] = ""
    discriminator: Annotated[int, Limit(13, int, 0, MAX_DISCRIMINATOR)]
    spake2p_verifier: Annotated[bytes, Limit(14, bytes, VERIFIER_BYTES, VERIFIER_BYTES)] = field(repr=False)
    spake2p_salt: Annotated[bytes, Limit(15, bytes, MIN_SALT_BYTES, MAX_SALT_BYTES)] = field(repr=False)
    spake2p_iterations: Annotated[int, Limit(16, int, MIN_ITERATIONS, MAX_ITERATIONS)]
    rotating_id_unique_id: Annotated[bytes, Limit(17, bytes, 16, 64)] = field(repr=False)  # random, Core 5.4.2.4
    dac_der: Annotated[bytes, Limit(18, bytes, 1, ids.MAX_CERTIFICATE_BYTES)]
    pai_der: Annotated[bytes, Limit(19, bytes, 1, ids.MAX_CERTIFICATE_BYTES)]
    certification_declaration: Annotated[bytes, Limit(20, bytes, 1, MAX_DECLARATION_BYTES)]
    blinding: Annotated[bytes, Limit(21, bytes, BLINDING_BYTES, BLINDING_BYTES)] = field(repr=False)  # promise 3

    def __post_init__(self) -> None:
        """Every field within its limit; the verifier a verifier; the date a date."""
        for name, limit in LIMITS.items():
            _require(_is_within(getattr(self, name), limit), f"{name} is outside its limits")
        require_verifier(self.spake2p_verifier)
        _require(_begins_with_date(self.manufacturing_date), "manufacturing_date does not begin with YYYYMMDD")

    def encode(self) -> bytes:
        """The canonical octets, which the chip's agent and the station hash alike."""
        values: dict[int, Value] = {limit.tag: getattr(self, name) for name, limit in LIMITS.items()}
        return tlv.encode({tag: value for tag, value in values.items() if value not in ("", b"")})

    def digest(self) -> bytes:
        """SHA-256 of `DIGEST_CONTEXT` and `encode`: 32 octets, fit to be recorded (promise 3)."""
        return sha256(DIGEST_CONTEXT + self.encode()).digest()


LIMITS: Final[dict[str, Limit]] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(FactoryData, include_extras=True).items()
}


def decode(octets: bytes) -> FactoryData:
    """The data of canonical octets; raises MatterError FACTORY_DATA_INVALID for any others."""
    try:
        found = tlv.decode(octets)
    except TlvError as error:
        raise MatterError(MatterError.FACTORY_DATA_INVALID, f"it is not TLV: {error}") from None
    _require(found.keys() <= {limit.tag for limit in LIMITS.values()}, "a field is unknown")
    values = {name: found.get(limit.tag, _absent(limit)) for name, limit in LIMITS.items()}
    data = FactoryData(**values)  # type: ignore[arg-type]  # the constructor looks at every type
    _require(data.encode() == octets, "the octets are not the canonical ones")
    return data


def _absent(limit: Limit) -> object:
    return "" if limit.kind is str else None


def _is_within(value: object, limit: Limit) -> bool:
    if not isinstance(value, limit.kind) or isinstance(value, bool):
        return False
    if isinstance(value, str) and not value.isprintable():
        return False
    return limit.low <= _measure(value) <= limit.high


def _measure(value: int | str | bytes) -> int:
    """The value of an int; the length in octets of octets and UTF-8 text."""
    if isinstance(value, int):
        return value
    return len(value.encode() if isinstance(value, str) else value)


def _begins_with_date(text: str) -> bool:
    """Core 11.1.5.12: YYYYMMDD, then what the vendor likes."""
    digits = text[:8]
    try:
        return digits.isascii() and digits.isdigit() and bool(date.fromisoformat(digits))
    except ValueError:
        return False


def _require(good: object, what: str) -> None:
    if not good:
        raise MatterError(MatterError.FACTORY_DATA_INVALID, what)
