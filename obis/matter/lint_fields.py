"""Lint rules C01 and C03 to C10: the fields before the extensions. Sections are of RFC 5280 unless said otherwise."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from obis.matter import der, ids, p256
from obis.matter.certificate import Certificate, Time
from obis.matter.der import DerError
from obis.matter.errors import MatterError
from obis.matter.findings import Kind

_NO_EXPIRY: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # 4.1.2.5
_ECDSA_WITH_SHA256: Final = bytes.fromhex("300a06082a8648ce3d040302")  # RFC 5758 3.2, parameters absent
_EC_P256: Final = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")  # RFC 5480 2.1.1


def c01_size(certificate: Certificate, _kind: Kind) -> Iterator[str]:
    """Core 11.18: CertificateChainResponse holds 600 octets."""
    if len(certificate.der) > ids.MAX_CERTIFICATE_BYTES:
        yield "the certificate is above 600 octets"


def c03_version(certificate: Certificate, _kind: Kind) -> Iterator[str]:
    """Core 6.2.2.3 to 6.2.2.5: version 3."""
    if certificate.version != 3:
        yield "the version is not v3"


def c04_serial(certificate: Certificate, _kind: Kind) -> Iterator[str]:
    """4.1.2.2: positive, at most 20 octets; X.690 8.3.2: the shortest form."""
    if len(certificate.serial.content) > ids.MAX_SERIAL_BYTES:
        yield "the serial number is above 20 octets"
    try:
        if der.integer(certificate.serial) <= 0:
            yield "the serial number is not positive"
    except DerError:
        yield "the serial number is not a shortest INTEGER"


def c05_algorithm(certificate: Certificate, _kind: Kind) -> Iterator[str]:
    """Core 6.2.2.3 to 6.2.2.5: ecdsa-with-SHA256; RFC 5758 3.2: without parameters; 4.1.1.2: same inside and outside."""
    if {certificate.inner_algorithm.raw, certificate.outer_algorithm.raw} != {_ECDSA_WITH_SHA256}:
        yield "the signature algorithm is not ecdsa-with-SHA256 without parameters, inside and outside"


def c06_signature(certificate: Certificate, _kind: Kind) -> Iterator[str]:
    """RFC 3279 2.2.3: DER Ecdsa-Sig-Value; SEC 1 4.1.4: 1 <= r, s < n."""
    if not is_ecdsa_signature(certificate.signature):
        yield "the signature is not a DER Ecdsa-Sig-Value with r and s below the order"


def is_ecdsa_signature(signature: bytes) -> bool:
    """Whether the octets are a strict DER SEQUENCE of r and s, each from 1 to the order of P-256 less one.

    Written out by hand because it runs once a device.
    """
    size = len(signature)
    if not 8 <= size <= 72 or signature[:1] != b"\x30" or signature[1] != size - 2 or signature[2] != der.INTEGER:
        return False
    end_of_r = 4 + signature[3]
    r, s_head, s = signature[4:end_of_r], signature[end_of_r : end_of_r + 2], signature[end_of_r + 2 :]
    return s_head == bytes((der.INTEGER, len(s))) and _is_scalar(r) and _is_scalar(s)


def _is_scalar(octets: bytes) -> bool:
    """A shortest positive INTEGER below the order (X.690 8.3.2)."""
    if not octets or octets[0] >= 0x80 or (octets[0] == 0 and (len(octets) == 1 or octets[1] < 0x80)):
        return False
    return int.from_bytes(octets) < p256.N


def c07_validity(certificate: Certificate, _kind: Kind) -> Iterator[str]:
    """4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050, in Zulu seconds; the end is not before the begin."""
    begin, end = certificate.not_before, certificate.not_after
    if not (_is_well_written(begin) and _is_well_written(end)):
        yield "a time is not UTCTime through 2049 or GeneralizedTime from 2050, to the second, with Z"
    elif begin.at and end.at and end.at < begin.at:
        yield "the validity ends before it begins"


def _is_well_written(time: Time) -> bool:
    return time.at is not None and (time.tag == der.UTC_TIME) == (time.at.year < 2050)


def c07_expiry(certificate: Certificate, _kind: Kind) -> Iterator[str]:
    """Core 6.2.2.3 to 6.2.2.5 allow "no well-defined expiry" (4.1.2.5); a device outlives any other date."""
    if certificate.not_after.at != _NO_EXPIRY:
        yield "notAfter is not 99991231235959Z"


def c10_key(certificate: Certificate, _kind: Kind) -> Iterator[str]:
    """Core 6.2.2.3 to 6.2.2.5: id-ecPublicKey on prime256v1; RFC 5480 2.2: here always uncompressed, 65 octets."""
    try:
        algorithm = der.children(certificate.spki)[0].raw
        point = certificate.point()
    except (DerError, IndexError, MatterError):
        yield "the public key is not an algorithm and a BIT STRING"
        return
    if algorithm != _EC_P256 or not p256.is_point(point):
        yield "the public key is not an uncompressed point of prime256v1"
