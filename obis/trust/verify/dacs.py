"""Judges the DACs of one Authorization: fast enough for millions, no more lenient than the full lint.

1. The first DAC goes through the full lint of its chain of three.
2. Every DAC: its to-be-signed bytes are exactly those the template, its serial number and its key give (so subject,
   VID, PID, validity, issuer and extensions are the approved ones); the PAI's key signed them; the lint's fast path,
   which shares no code with the builder, finds nothing.
3. Its serial number is the Authorization's prefix and 8 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from obis.matter.dac import RANDOM_SERIAL_BYTES, DacTemplate
from obis.matter.ids import ProductId, VendorId
from obis.matter.lint_chain import lint_chain
from obis.matter.lint_fast import DacLint
from obis.refusal import Refused
from obis.trust.signature import ES256
from obis.trust.verify.certificates import Pai
from obis.trust.verify.place import require_clean
from obis.v1.authorization_pb2 import Authorization
from obis.v1.reason_pb2 import Reason

_SPKI_HEAD: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")  # RFC 5480 2, P-256


@dataclass(frozen=True)
class Dac:
    """What a good DAC holds."""

    spki_der: bytes
    serial: bytes

    @property
    def spki_digest(self) -> bytes:
        """SHA-256 of the key, 32 bytes."""
        return sha256(self.spki_der).digest()


class DacCheck:
    """For one Authorization and the PAI it names."""

    def __init__(self, auth: Authorization, pai: Pai) -> None:
        """Raises MatterError where the template does not fit the PAI."""
        self._pai = pai
        self._prefix = auth.serial_prefix
        self._template = DacTemplate(
            vendor_id=VendorId(auth.template.vendor_id),
            product_id=ProductId(auth.template.product_code),
            common_name_pattern=auth.template.common_name_pattern,
            not_before=datetime.fromtimestamp(auth.dac_not_before, UTC),
            not_after=datetime.fromtimestamp(auth.template.not_after, UTC),
            serial_prefix=auth.serial_prefix,
            pai_der=pai.der,
        )
        self._pai_key = _p256_key(x509.load_der_x509_certificate(pai.der))
        self._lint: DacLint | None = None

    def check(self, dac_der: bytes) -> Dac:
        """Raises Refused with what is wrong."""
        certificate = _load(dac_der)
        key = _p256_key(certificate)
        point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        serial = self._serial(certificate)
        if certificate.tbs_certificate_bytes != self._template.tbs(point, serial):
            raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, "the DAC is not what the approved template gives")
        try:
            self._pai_key.verify(certificate.signature, certificate.tbs_certificate_bytes, ES256)
        except InvalidSignature as error:
            raise Refused(Reason.REASON_SIGNATURE_INVALID, "the DAC is not signed by the PAI's key") from error
        self._require_clean(dac_der, point)
        return Dac(_SPKI_HEAD + point, serial)

    def _serial(self, certificate: x509.Certificate) -> bytes:
        length = len(self._prefix) + RANDOM_SERIAL_BYTES
        number = certificate.serial_number
        serial = number.to_bytes(length) if number.bit_length() <= 8 * length else b""
        if not serial.startswith(self._prefix):
            raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, "the serial number lacks the Authorization's prefix")
        return serial

    def _require_clean(self, dac_der: bytes, point: bytes) -> None:
        if self._lint is None:
            require_clean(lint_chain(self._pai.paa_der, self._pai.der, dac_der))
            self._lint = DacLint(self._pai.der, dac_der)
        require_clean(self._lint.lint(dac_der, point))


def _load(dac_der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(dac_der)
    except ValueError as error:
        raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, "the DAC is no certificate") from error


def _p256_key(certificate: x509.Certificate) -> EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, "the certificate's key is not on P-256")
    return key
