"""A certificate with a serial number of its own: what a record takes out of a DAC, without Matter around it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

_KEY = ec.generate_private_key(ec.SECP256R1())
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])


def serial(number: int) -> bytes:
    return b"\x40" + number.to_bytes(11)


@cache
def dac(number: int) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(_KEY.public_key())
        .serial_number(int.from_bytes(serial(number)))
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2046, 1, 1, tzinfo=UTC))
    )
    return builder.sign(_KEY, hashes.SHA256()).public_bytes(Encoding.DER)
