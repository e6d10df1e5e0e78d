"""Builds Device Attestation Certificates fast: a template is encoded once, and each DAC patches four fields into it.

Promises (Core 6.2.2.3; the object is a Grant's template completed by an Authorization and a PAI):
 1. A DAC depends on nothing but the template, the PAI, and the arguments of `tbs`: no clock, no randomness.
 2. Serial number and common name have a fixed width, so every DAC of a template differs from the next in exactly four
    places: serial number, common name, public key, subject key identifier.
 3. At construction the template is proved with sample values (`dac_check`): another reader finds in them what was
    asked for, and the lint finds no error.
The device's private key is not known here, and the PAI's signs elsewhere: `profile.splice` joins its signature.
"""

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha1
from typing import Final

from obis.matter import ids, profile
from obis.matter.certificate import Certificate, read_certificate
from obis.matter.common_name import CommonNamePattern
from obis.matter.dac_check import check_template
from obis.matter.errors import MatterError
from obis.matter.ids import ProductId, VendorId
from obis.matter.names import attestation_ids
from obis.matter.profile import NO_EXPIRY, Subject

RANDOM_SERIAL_BYTES: Final = 8  # 64 random bits, as the CA/Browser Forum's baseline requirements 7.1 ask
MAX_SERIAL_PREFIX_BYTES: Final = ids.MAX_SERIAL_BYTES - RANDOM_SERIAL_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class DacTemplate:
    """Everything about a batch's DACs but the device; made once per Authorization and PAI, in a few milliseconds.

    `serial_prefix` is 1 to 12 octets, first 01 to 7F; a serial number is the prefix and 8 random octets.
    `common_name_pattern` is text with "{serial}" (see `common_name`). Construction raises MatterError
    CERTIFICATE_LINT_FAILED for what the profile forbids or does not fit the PAI.
    """

    vendor_id: VendorId
    product_id: ProductId
    common_name_pattern: str
    not_before: datetime
    not_after: datetime = NO_EXPIRY
    serial_prefix: bytes
    pai_der: bytes
    _common_name: CommonNamePattern = field(init=False, repr=False, compare=False)
    _segments: tuple[bytes, bytes, bytes, bytes, bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Encode once, then prove it (promise 3)."""
        pai, validity = read_certificate(self.pai_der), profile.validity(self.not_before, self.not_after)
        self._require_fits(pai)
        serial_width = len(self.serial_prefix) + RANDOM_SERIAL_BYTES
        common_name = CommonNamePattern(self.common_name_pattern, serial_width)
        object.__setattr__(self, "_common_name", common_name)
        object.__setattr__(self, "_segments", _segments(self, pai, validity, common_name.width))
        check_template(self)

    def tbs(self, public_point: bytes, serial: bytes) -> bytes:
        """The to-be-signed octets of one DAC.

        `public_point` is the 65 octets of a key whose CSR was verified (`csr.PublicKey.point`); `serial` the prefix
        and 8 random octets. Raises MatterError CERTIFICATE_LINT_FAILED for other forms.
        """
        if not serial.startswith(self.serial_prefix) or len(serial) != len(self.serial_prefix) + RANDOM_SERIAL_BYTES:
            raise MatterError(MatterError.CERTIFICATE_LINT_FAILED, "C04: a serial is not the prefix and 8 octets")
        if len(public_point) != ids.POINT_BYTES or public_point[0] != 0x04:
            raise MatterError(MatterError.CERTIFICATE_LINT_FAILED, "C10: the public key is not 65 uncompressed octets")
        head, to_name, to_key, to_key_id, tail = self._segments
        name = self._common_name.fill(serial)
        key_id = sha1(public_point, usedforsecurity=False).digest()
        return b"".join((head, serial, to_name, name, to_key, public_point, to_key_id, key_id, tail))

    def common_name(self, serial: bytes) -> str:
        """The common name of the DAC with this serial number."""
        return self._common_name.fill(serial).decode()

    def _require_fits(self, pai: Certificate) -> None:
        """Core 6.2.2.3: the PAI's vendor and product, and it is valid at our notBefore; a serial of a fixed width."""
        said = attestation_ids(pai.subject)
        if said.vendor_id != self.vendor_id or said.product_id not in (None, self.product_id):
            raise MatterError(MatterError.CERTIFICATE_LINT_FAILED, "X06: the PAI is for another vendor or product")
        if not pai.valid_at(self.not_before):
            raise MatterError(MatterError.CERTIFICATE_LINT_FAILED, "X09: the PAI is not valid when the DACs begin")
        if not 1 <= len(self.serial_prefix) <= MAX_SERIAL_PREFIX_BYTES or not 0 < self.serial_prefix[0] < 0x80:
            raise MatterError(MatterError.CERTIFICATE_LINT_FAILED, "C04: a prefix is not 1 to 12 octets from 01 to 7F")


def _segments(
    template: DacTemplate, pai: Certificate, validity: bytes, name_width: int
) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """The constant octets before, between and after the four patched fields."""
    key_id_gap = bytes(ids.KEY_ID_BYTES)
    before_name, after_name = _around_common_name(template, name_width)
    extensions = profile.extensions(
        basic=profile.sequence(),
        key_usage=profile.KEY_USAGE_DAC,
        subject_key_id=key_id_gap,
        authority_key_id=pai.subject_key_id(),
    )
    to_key_id, tail = extensions.split(key_id_gap, 1)
    serial_width = len(template.serial_prefix) + RANDOM_SERIAL_BYTES
    head = profile.VERSION_3 + bytes((0x02, serial_width))
    to_name = profile.ECDSA_WITH_SHA256 + pai.subject.raw + validity + before_name
    to_key = after_name + profile.SPKI_HEAD
    gaps = bytes(serial_width + name_width + ids.POINT_BYTES + ids.KEY_ID_BYTES)
    whole = profile.sequence(head, to_name, to_key, to_key_id, tail, gaps)
    return whole[: whole.index(head)] + head, to_name, to_key, to_key_id, tail


def _around_common_name(template: DacTemplate, width: int) -> tuple[bytes, bytes]:
    """The subject's octets before and after the text of its common name."""
    subject = Subject("x" * width, template.vendor_id, template.product_id).encode()
    before_text = profile.oid(ids.OID_COMMON_NAME) + bytes((0x0C, width))
    at = subject.index(before_text) + len(before_text)
    return subject[:at], subject[at + width :]
