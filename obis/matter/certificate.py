"""Reads an X.509 certificate (RFC 5280 4.1) into its parts, strictly and without `cryptography`.

It promises to refuse what is not DER or not a certificate, and to keep every octet that the lint judges: it decides
nothing about Matter. Every refusal is a MatterError CERTIFICATE_LINT_FAILED that begins with "C02".
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from obis.matter import der, ids
from obis.matter.der import DerError, Element
from obis.matter.errors import MatterError


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a distinguished name: type in dots, the tag of its string, its octets."""

    oid: str
    tag: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Name:
    """A distinguished name: its DER and its attributes in order."""

    raw: bytes
    attributes: tuple[Attribute, ...]

    def values(self, oid: str) -> list[Attribute]:
        """The attributes of one type."""
        return [attribute for attribute in self.attributes if attribute.oid == oid]


@dataclass(frozen=True, slots=True)
class Time:
    """A validity bound as encoded; `at` is None where the text is not a date of the form RFC 5280 wants."""

    tag: int
    text: bytes

    @property
    def at(self) -> datetime | None:
        """The instant in UTC; two-digit years are 1950 to 2049 (RFC 5280 4.1.2.5.1)."""
        digits = 12 if self.tag == der.UTC_TIME else 14
        if len(self.text) != digits + 1 or not self.text[:-1].isdigit() or self.text[-1:] != b"Z":
            return None
        text = self.text[:-1].decode()
        if self.tag == der.UTC_TIME:
            text = ("20" if text < "50" else "19") + text
        try:
            year, month, day = int(text[:4]), int(text[4:6]), int(text[6:8])
            return datetime(year, month, day, int(text[8:10]), int(text[10:12]), int(text[12:]), tzinfo=UTC)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension: type in dots, whether critical, the octets inside its OCTET STRING."""

    oid: str
    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True)
class Certificate:
    """The parts of one certificate; `version` counts as people do (3 for v3), `signature` is without unused bits."""

    der: bytes
    tbs: Element
    version: int
    serial: Element
    inner_algorithm: Element
    issuer: Name
    not_before: Time
    not_after: Time
    subject: Name
    spki: Element
    has_unique_ids: bool
    extensions: tuple[Extension, ...]
    outer_algorithm: Element
    signature: bytes

    def extension(self, oid: str) -> Extension | None:
        """The first extension of one type, if any."""
        return next((extension for extension in self.extensions if extension.oid == oid), None)

    def subject_key_id(self) -> bytes:
        """The 20 octets of the subject key identifier; raises MatterError where they are missing or malformed."""
        found = self.extension(ids.OID_SUBJECT_KEY_ID)
        try:
            key_id = der.single(found.value, der.OCTET_STRING).content if found else b""
        except DerError:
            key_id = b""
        if len(key_id) != ids.KEY_ID_BYTES:
            raise MatterError(MatterError.CERTIFICATE_LINT_FAILED, "C15: no subject key identifier of 20 octets")
        return key_id

    def point(self) -> bytes:
        """The octets of the public key's BIT STRING: 65 for an uncompressed P-256 key; raises MatterError."""
        try:
            return der.octet_aligned(der.sequence(self.spki, der.SEQUENCE, der.BIT_STRING)[1])
        except DerError as error:
            raise _malformed(error) from None

    def valid_at(self, instant: datetime) -> bool:
        """Whether the instant lies within the validity, both ends included (RFC 5280 4.1.2.5)."""
        begin, end = self.not_before.at, self.not_after.at
        return begin is not None and end is not None and begin <= instant <= end


def read_certificate(certificate_der: bytes) -> Certificate:
    """The parts of a DER certificate; raises MatterError CERTIFICATE_LINT_FAILED (C02)."""
    try:
        outer = der.single(certificate_der, der.SEQUENCE)
        tbs, algorithm, signature = der.sequence(outer, der.SEQUENCE, der.SEQUENCE, der.BIT_STRING)
        return _read_tbs(tbs, algorithm, der.octet_aligned(signature))
    except DerError as error:
        raise _malformed(error) from None


def _malformed(error: DerError) -> MatterError:
    return MatterError(MatterError.CERTIFICATE_LINT_FAILED, f"C02: {error}")


def _read_tbs(tbs: Element, algorithm: Element, signature: bytes) -> Certificate:
    """TBSCertificate (RFC 5280 4.1): optional [0], six fields, then optional [1], [2], [3] in order."""
    parts = der.children(tbs)
    version = _version(parts.pop(0)) if parts and parts[0].tag == 0xA0 else 1
    if len(parts) < 6:
        raise DerError("fields are missing")
    serial, inner, issuer, validity, subject, spki, *rest = parts
    not_before, not_after = _validity(validity)
    return Certificate(
        der=tbs.data,
        tbs=tbs,
        version=version,
        serial=der.expect(serial, der.INTEGER),
        inner_algorithm=der.expect(inner, der.SEQUENCE),
        issuer=_name(issuer),
        not_before=not_before,
        not_after=not_after,
        subject=_name(subject),
        spki=der.expect(spki, der.SEQUENCE),
        has_unique_ids=any(part.tag in (0x81, 0x82) for part in rest),
        extensions=_extensions(rest),
        outer_algorithm=algorithm,
        signature=signature,
    )


def _version(explicit: Element) -> int:
    inner = der.children(explicit)
    if len(inner) != 1:
        raise DerError("version is not one INTEGER")
    number = der.integer(inner[0])
    if number == 0:
        raise DerError("the default version is written out")
    return number + 1


def _validity(validity: Element) -> tuple[Time, Time]:
    bounds = der.children(der.expect(validity, der.SEQUENCE))
    if len(bounds) != 2 or any(bound.tag not in (der.UTC_TIME, der.GENERALIZED_TIME) for bound in bounds):
        raise DerError("validity is not two times")
    return Time(bounds[0].tag, bounds[0].content), Time(bounds[1].tag, bounds[1].content)


def _name(name: Element) -> Name:
    """RDNSequence (RFC 5280 4.1.2.4); a SET OF is in ascending order in DER (X.690 11.6)."""
    attributes = []
    for rdn in der.children(der.expect(name, der.SEQUENCE)):
        members = der.children(der.expect(rdn, der.SET))
        if not members or [member.raw for member in members] != sorted(member.raw for member in members):
            raise DerError("a relative distinguished name is empty or out of order")
        attributes += [_attribute(member) for member in members]
    return Name(name.raw, tuple(attributes))


def _attribute(element: Element) -> Attribute:
    pair = der.children(der.expect(element, der.SEQUENCE))
    if len(pair) != 2:
        raise DerError("a name attribute is not a type and a value")
    return Attribute(der.oid(pair[0]), pair[1].tag, pair[1].content)


def _extensions(rest: list[Element]) -> tuple[Extension, ...]:
    if [part.tag for part in rest] != sorted({part.tag for part in rest} & {0x81, 0x82, 0xA3}):
        raise DerError("fields after the key are unknown, repeated or out of order")
    if not rest or rest[-1].tag != 0xA3:
        return ()
    inner = der.children(rest[-1])
    if len(inner) != 1:
        raise DerError("extensions are not one SEQUENCE")
    return tuple(_extension(element) for element in der.children(der.expect(inner[0], der.SEQUENCE)))


def _extension(element: Element) -> Extension:
    parts = der.children(der.expect(element, der.SEQUENCE))
    if len(parts) not in (2, 3):
        raise DerError("an extension is not a type, a flag and a value")
    critical = len(parts) == 3 and der.boolean(parts[1])
    if len(parts) == 3 and not critical:
        raise DerError("the default criticality is written out")
    return Extension(der.oid(parts[0]), critical, der.expect(parts[-1], der.OCTET_STRING).content)
