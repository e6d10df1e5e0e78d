"""Certification declarations for development: the Alliance signs real ones, and no commissioner accepts these.

A product rule names the signers it accepts, so a development signer is good for the products that name it and for no
other.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Final

from obis.cli.approver_key import ApproverKey
from obis.cli.exits import Usage
from obis.matter.declaration import CERTIFICATION_TYPES, Declaration, sign_declaration
from obis.matter.errors import MatterError

POINT_BYTES: Final = (
    65  # the end of a P-256 SubjectPublicKeyInfo (RFC 5480 2.2); its SHA-1 names the key (RFC 5280 4.2.1.2)
)


def development_declaration(
    signer: ApproverKey, *, vendor_id: int, product_code: int, device_type: int, certificate_id: str, version: int = 1
) -> bytes:
    """CMS (DER) of a declaration of type test for one product. `certificate_id` is 19 characters. Raises Usage."""
    try:
        declaration = Declaration(
            vendor_id=vendor_id,
            product_ids=(product_code,),
            device_type_id=device_type,
            certificate_id=certificate_id,
            version_number=version,
            certification_type=CERTIFICATION_TYPES["test"],
        )
    except MatterError as failure:
        raise Usage(f"not a certification declaration: {failure}") from None
    point = signer.public.spki_der[-POINT_BYTES:]
    return sign_declaration(declaration, key_id=sha1(point, usedforsecurity=False).digest(), sign=signer.sign)
