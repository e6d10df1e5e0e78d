"""The Certification Declaration: what the Alliance signed about a product version, read and judged (Core 6.3).

An issuer of DACs never signs one: it is an opaque file of the Alliance, checked before a batch is made. Rules, every
refusal a MatterError CD_INVALID:
 1. At most 900 octets, what a device's attestation elements hold (Core 6.2.4 and 11.18), of CMS in the shape of `cms`.
 2. Signed by a key that is known by its identifier.
 3. The content is TLV with the fields of `Declaration`, in ascending order, each within its limits, none unknown.
 4. It fits the product (Core 6.3.2): vendor and product of Basic Information; the DAC's and PAI's ids, which are the
    declaration's own or, where it names a DAC origin, exactly that; the PAA's key, where it lists authorized PAAs.
Not judged: device type, certificate id and version number against the Alliance's ledger, which is not at hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from obis.matter import cms, ids, tlv
from obis.matter.cms import SignedContent
from obis.matter.errors import MatterError
from obis.matter.names import AttestationIds
from obis.matter.profile import Sign
from obis.matter.tlv import TlvError, Value

MAX_DECLARATION_BYTES: Final = 900
MAX_PRODUCT_IDS: Final = 100
MAX_AUTHORIZED_PAAS: Final = 10
CERTIFICATE_ID_BYTES: Final = 19
FORMAT_VERSION: Final = 1

CERTIFICATION_TYPES: Final = {"test": 0, "provisional": 1, "official": 2}

_ORIGIN_TAGS: Final = (9, 10)
_PAA_LIST_TAG: Final = 11
_REQUIRED_TAGS: Final = frozenset(range(9))


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """The content, valid by construction (Core 6.3.1, certification_elements). Raises MatterError CD_INVALID.

    `dac_origin` is (vendor id, product id) of another vendor's DACs, `authorized_paas` key identifiers of 20 octets.
    Security level and information are always 0: the specification reserves them.
    """

    vendor_id: int
    product_ids: tuple[int, ...]
    device_type_id: int
    certificate_id: str
    version_number: int
    certification_type: int
    dac_origin: tuple[int, int] | None = None
    authorized_paas: tuple[bytes, ...] | None = None

    def __post_init__(self) -> None:
        """Rule 3, as far as it is about values."""
        numbers = (self.vendor_id, *self.product_ids, self.version_number, *(self.dac_origin or ()))
        _require(all(0 <= number <= 0xFFFF for number in numbers), "an id or the version number is above 16 bits")
        _require(0 <= self.device_type_id <= 0xFFFF_FFFF, "the device type is above 32 bits")
        _require(1 <= len(self.product_ids) <= MAX_PRODUCT_IDS, "there are not 1 to 100 product ids")
        printable = self.certificate_id.isprintable() and len(self.certificate_id.encode()) == CERTIFICATE_ID_BYTES
        _require(printable, "the certificate id is not 19 printable octets")
        _require(self.certification_type in CERTIFICATION_TYPES.values(), "the certification type is reserved")
        if self.authorized_paas is not None:
            _require(1 <= len(self.authorized_paas) <= MAX_AUTHORIZED_PAAS, "there are not 1 to 10 authorized PAAs")
            _require(
                {len(paa) for paa in self.authorized_paas} == {ids.KEY_ID_BYTES}, "a PAA's key id is not 20 octets"
            )

    def encode(self) -> bytes:
        """The TLV octets that are signed."""
        fields: dict[int, Value] = {0: FORMAT_VERSION, 1: self.vendor_id, 2: list(self.product_ids)}
        fields |= {3: self.device_type_id, 4: self.certificate_id, 5: 0, 6: 0}
        fields |= {7: self.version_number, 8: self.certification_type}
        if self.dac_origin is not None:
            fields |= zip(_ORIGIN_TAGS, self.dac_origin, strict=True)
        if self.authorized_paas is not None:
            fields[_PAA_LIST_TAG] = list(self.authorized_paas)
        return tlv.encode(fields)


def sign_declaration(declaration: Declaration, *, key_id: bytes, sign: Sign) -> bytes:
    """The DER of a declaration signed by a key of one's own: for demonstrations; no commissioner would accept it."""
    content = declaration.encode()
    return cms.encode_signed_data(SignedContent(content, key_id, sign(content)))


def verify_declaration(declaration_der: bytes, signers: Mapping[bytes, bytes]) -> Declaration:
    """The content of a declaration after rules 1 to 3.

    `signers` maps key identifiers (20 octets) to points (65 octets). Raises MatterError CD_INVALID.
    """
    _require(len(declaration_der) <= MAX_DECLARATION_BYTES, "it is above 900 octets")
    signed = cms.parse_signed_data(declaration_der)
    point = signers.get(signed.key_id)
    if point is None:
        raise MatterError(MatterError.CD_INVALID, "its signer is not known")
    signed.require_signed_by(point)
    return decode_content(signed.content)


def decode_content(content: bytes) -> Declaration:
    """Rule 3; raises MatterError CD_INVALID."""
    try:
        fields = tlv.decode(content)
    except TlvError as error:
        raise MatterError(MatterError.CD_INVALID, f"the content is not TLV: {error}") from None
    present = fields.keys() - _REQUIRED_TAGS
    _require(fields.keys() >= _REQUIRED_TAGS, "a field is missing")
    _require(present <= {*_ORIGIN_TAGS, _PAA_LIST_TAG}, "a field is unknown")
    _require(len(present & set(_ORIGIN_TAGS)) in (0, 2), "the DAC origin has only one of its ids")
    _require(_integer(fields[0]) == FORMAT_VERSION, "the format version is not 1")
    _require((_integer(fields[5]), _integer(fields[6])) == (0, 0), "security level and information are not 0")
    return Declaration(
        vendor_id=_integer(fields[1]),
        product_ids=tuple(_integer(each) for each in _array(fields[2])),
        device_type_id=_integer(fields[3]),
        certificate_id=_text(fields[4]),
        version_number=_integer(fields[7]),
        certification_type=_integer(fields[8]),
        dac_origin=(_integer(fields[9]), _integer(fields[10])) if 9 in fields else None,
        authorized_paas=tuple(_octets(each) for each in _array(fields[11])) if 11 in fields else None,
    )


def require_fit(
    declaration: Declaration,
    *,
    vendor_id: int,
    product_id: int,
    dac: AttestationIds,
    pai: AttestationIds,
    paa_key_id: bytes,
) -> None:
    """Rule 4, for Basic Information's ids, the ids in the DAC's and PAI's subjects, and the PAA's subject key id.

    Raises MatterError CD_INVALID.
    """
    _require(declaration.vendor_id == vendor_id, "it is for another vendor")
    _require(product_id in declaration.product_ids, "it is for other products")
    vendor, products = declaration.vendor_id, declaration.product_ids
    if declaration.dac_origin is not None:
        vendor, products = declaration.dac_origin[0], declaration.dac_origin[1:]
    _require(dac.vendor_id == pai.vendor_id == vendor, "the DAC's or PAI's vendor is not the one it allows")
    _require(dac.product_id in products, "the DAC's product is not one it allows")
    _require(pai.product_id is None or pai.product_id in products, "the PAI's product is not one it allows")
    listed = declaration.authorized_paas
    _require(listed is None or paa_key_id in listed, "the PAA is not one it authorizes")


def _require(good: object, what: str) -> None:
    if not good:
        raise MatterError(MatterError.CD_INVALID, what)


def _integer(value: Value) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _wrong_type("an integer")


def _text(value: Value) -> str:
    if isinstance(value, str):
        return value
    raise _wrong_type("text")


def _octets(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    raise _wrong_type("octets")


def _array(value: Value) -> list[Value]:
    if isinstance(value, list):
        return value
    raise _wrong_type("an array")


def _wrong_type(kind: str) -> MatterError:
    return MatterError(MatterError.CD_INVALID, f"a field is not {kind}")
