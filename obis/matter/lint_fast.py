"""Lints one DAC of a batch in microseconds, by what is the same in all of them and what is not.

Promises:
 1. A sample DAC of the batch, with any well-formed signature, passes the full lint as a child of its PAI.
 2. Every DAC must equal the sample, octet for octet, outside the fields that vary: serial number (also as it stands in
    the common name), public key, subject key identifier, signature. So every rule about the rest holds.
 3. The fields that vary are checked in full (C04, C06, C10, C15), the common name repeats the serial number, and the
    key is the one whose possession was proved.
 4. A DAC that fails 2 or 3 gets the full lint for the name of the rule; if that finds nothing it is still refused, by
    X12: it is not what the template says. So the answer is never more lenient than the full lint's.
Where the fields lie is found by the lint's own reader in the sample, not told by the builder.
"""

from hashlib import sha1
from typing import Final

from obis.matter import ids, p256
from obis.matter.certificate import Certificate, read_certificate
from obis.matter.errors import MatterError
from obis.matter.findings import Finding, Severity, errors_of
from obis.matter.lint_chain import lint_issued
from obis.matter.lint_fields import is_ecdsa_signature

# What follows the to-be-signed octets up to the signature's length: RFC 5758 3.2, then the tag of a BIT STRING.
_AFTER_TBS: Final = bytes.fromhex("300a06082a8648ce3d04030203")
_HEADER_BYTES: Final = 4  # 30 82 and two octets of length: a DAC has 256 octets or more


class DacLint:
    """The fast lint of one batch: made once from the PAI and a sample DAC, then called for every DAC."""

    __slots__ = ("_constants", "_fields", "_pai_der", "_tbs_end")

    def __init__(self, pai_der: bytes, sample_dac_der: bytes) -> None:
        """Raises MatterError CERTIFICATE_LINT_FAILED if the sample fails the full lint (promise 1)."""
        if findings := errors_of(lint_issued(pai_der, sample_dac_der)):
            raise MatterError(MatterError.CERTIFICATE_LINT_FAILED, "; ".join(map(str, findings)))
        sample = read_certificate(sample_dac_der)
        self._pai_der = pai_der
        self._tbs_end = sample.tbs.end
        self._fields = _fields(sample)
        edges = [_HEADER_BYTES, *(edge for span in self._fields for edge in span), sample.tbs.end]
        pieces = zip(edges[::2], edges[1::2], strict=True)
        self._constants = tuple((at, end, sample_dac_der[at:end]) for at, end in pieces)

    def lint(self, dac_der: bytes, public_point: bytes) -> list[Finding]:
        """What is wrong with this DAC for the key of `public_point` (65 octets); empty for a good one. Never raises.

        Of the signature the form is judged, not whose it is.
        """
        if self._is_good(dac_der, public_point):
            return []
        findings = errors_of(lint_issued(self._pai_der, dac_der))
        return findings or [Finding("X12", Severity.ERROR, "the DAC is not what the template says for this key")]

    def _is_good(self, dac_der: bytes, public_point: bytes) -> bool:
        """Promises 2 and 3."""
        for at, end, constant in self._constants:
            if dac_der[at:end] != constant:
                return False
        serial, name, point, key_id = [dac_der[at:end] for at, end in self._fields]
        return (
            0 < serial[0] < 0x80
            and (not name or name == serial.hex().upper().encode())
            and point == public_point
            and p256.is_point(point)
            and key_id == sha1(point, usedforsecurity=False).digest()
            and self._is_well_wrapped(dac_der)
        )

    def _is_well_wrapped(self, dac_der: bytes) -> bool:
        """The octets around the to-be-signed ones (RFC 5280 4.1.1): length, algorithm, signature; C01, C02, C05, C06."""
        size, at = len(dac_der), self._tbs_end + len(_AFTER_TBS)
        return (
            dac_der[:_HEADER_BYTES] == b"\x30\x82" + (size - _HEADER_BYTES).to_bytes(2)
            and dac_der[self._tbs_end : at] == _AFTER_TBS
            and dac_der[at : at + 2] == bytes((size - at - 1, 0))
            and is_ecdsa_signature(dac_der[at + 2 :])
            and size <= ids.MAX_CERTIFICATE_BYTES
        )


def _fields(sample: Certificate) -> tuple[tuple[int, int], ...]:
    """Where serial number, its text in the common name, point and key identifier lie; an absent text is empty."""
    serial, der = sample.serial.content, sample.der
    point, key_id = sample.point(), sample.subject_key_id()
    key_at = der.index(point, sample.spki.start)
    name = serial.hex().upper().encode()
    name_at = der.rfind(name, sample.serial.end, sample.spki.start)  # the subject is last
    if name_at < 0:
        name_at, name = sample.serial.end, b""
    key_id_at = der.index(key_id, sample.spki.end)
    starts = (sample.serial.body, name_at, key_at, key_id_at)
    return tuple((at, at + len(value)) for at, value in zip(starts, (serial, name, point, key_id), strict=True))
