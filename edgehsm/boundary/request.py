"""PKCS#10 requests for keys that are only handles (RFC 2986): the subject is a label, only the key counts."""

from __future__ import annotations

from typing import Final

from obis.matter.profile import Sign, Subject, sequence, splice

_VERSION: Final = b"\x02\x01\x00"
_NO_ATTRIBUTES: Final = b"\xa0\x00"


def pkcs10(common_name: str, spki_der: bytes, sign: Sign) -> bytes:
    """DER CertificationRequest for a P-256 key; `sign` returns a DER ECDSA signature over SHA-256 by that key."""
    info = sequence(_VERSION, Subject(common_name[:64]).encode(), spki_der, _NO_ATTRIBUTES)
    return splice(info, sign(info))
