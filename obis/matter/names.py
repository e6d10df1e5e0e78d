"""Finds the vendor and product id in a distinguished name (Core 6.2.2.1 and 6.2.2.2).

Rules (lint C09):
 1. An attribute of a Matter type holds exactly four of 0-9A-F in a UTF8String or PrintableString, and stands once.
 2. Where any Matter attribute stands, common names say nothing.
 3. Otherwise the first 64 octets of a common name may hold "Mvid:" and "Mpid:", each followed by four of 0-9A-F, in any
    place and order; the first well-formed one counts. A prefix never so followed spoils the name.
"""

import re
from dataclasses import dataclass
from typing import Final

from obis.matter import der, ids
from obis.matter.certificate import Name
from obis.matter.errors import MatterError
from obis.matter.ids import ProductId, VendorId

_FALLBACK_OCTETS: Final = 64
_STRING_TAGS: Final = (der.UTF8_STRING, der.PRINTABLE_STRING)


@dataclass(frozen=True, slots=True)
class AttestationIds:
    """What a name says; `from_common_name` is true where rule 3 found it."""

    vendor_id: VendorId | None
    product_id: ProductId | None
    from_common_name: bool = False


def attestation_ids(name: Name) -> AttestationIds:
    """The ids in a name; raises MatterError CERTIFICATE_LINT_FAILED (C09)."""
    vendor, product = _attribute(name, ids.OID_VENDOR_ID), _attribute(name, ids.OID_PRODUCT_ID)
    from_common_name = vendor is None and product is None
    if from_common_name:
        vendor, product = _in_common_name(name, b"Mvid:"), _in_common_name(name, b"Mpid:")
    return AttestationIds(
        None if vendor is None else VendorId.from_hex4(vendor),
        None if product is None else ProductId.from_hex4(product),
        from_common_name and (vendor or product) is not None,
    )


def _attribute(name: Name, oid: str) -> str | None:
    """Rule 1."""
    found = name.values(oid)
    if not found:
        return None
    text = found[0].value.decode("latin-1")
    if len(found) > 1 or found[0].tag not in _STRING_TAGS or not ids.is_hex4(text):
        raise MatterError(MatterError.CERTIFICATE_LINT_FAILED, "C09: an id attribute is repeated or not four of 0-9A-F")
    return text


def _in_common_name(name: Name, prefix: bytes) -> str | None:
    """Rule 3."""
    heads = [attribute.value[:_FALLBACK_OCTETS] for attribute in name.values(ids.OID_COMMON_NAME)]
    for head in heads:
        if match := re.search(prefix + b"([0-9A-F]{4})", head):
            return match[1].decode()
    if any(prefix in head for head in heads):
        raise MatterError(MatterError.CERTIFICATE_LINT_FAILED, "C09: an id in the common name is not four of 0-9A-F")
    return None
