"""Product Versions as decisions: what one is made of, whether it may stand, and what changed.

1. A version is exact bytes, complete from the draft on; its digest is their SHA-256 and never changes.
2. States: draft -> submitted -> approved or rejected. Only a signed Grant approves.
3. The certification declaration verifies under the product's accepted signers and fits VID, PID and PAA.
4. The factory data obeys what the device will be able to say of itself (lengths, onboarding flow and discovery).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha1
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.message import Message

from obis.matter.certificate import read_certificate
from obis.matter.declaration import require_fit, verify_declaration
from obis.matter.errors import MatterError
from obis.matter.ids import ProductId, VendorId
from obis.matter.names import AttestationIds
from obis.matter.onboarding import Discovery
from obis.refusal import Refused, reason_of
from obis.trust.signature import load_public_key
from obis.v1.envelope_pb2 import SigScheme
from obis.v1.package_pb2 import FactoryDataTemplate, VersionManifest
from obis.v1.reason_pb2 import Reason
from obis.v1.rule_pb2 import ProductRule

_ALL_DISCOVERY: Final = (1 << len(Discovery)) - 1


def check_manifest(manifest: VersionManifest, rule: ProductRule, paa_der: bytes) -> None:
    """Rules 3 and 4. Raises Refused CD_INVALID or FACTORY_DATA_INVALID."""
    check_factory_data(manifest.factory_data)
    try:
        _check_declaration(manifest.certification_declaration, rule, paa_der)
    except MatterError as error:
        raise Refused(reason_of(error.reason), error.what, "certification_declaration") from error


def check_factory_data(data: FactoryDataTemplate) -> None:
    """Rule 4, beyond the field rules of the contract. Raises Refused FACTORY_DATA_INVALID."""
    for name in ("vendor_name", "product_name", "part_number", "product_label"):
        if not all(character.isprintable() for character in getattr(data, name)):
            raise Refused(Reason.REASON_FACTORY_DATA_INVALID, "a text is not printable", f"factory_data.{name}")
    if not 0 < data.discovery_capabilities <= _ALL_DISCOVERY:
        raise Refused(
            Reason.REASON_FACTORY_DATA_INVALID,
            "there is no way of discovery, or a reserved one",
            "factory_data.discovery_capabilities",
        )
    if data.product_url and not data.product_url.startswith(("https://", "http://")):
        raise Refused(Reason.REASON_FACTORY_DATA_INVALID, "not a web address", "factory_data.product_url")


def changes(before: Message, after: Message, path: str = "") -> Iterator[tuple[str, str, str]]:
    """(path, before, after) as text for every field that differs, nested fields by their path."""
    for field in after.DESCRIPTOR.fields:
        name = f"{path}{field.name}"
        old, new = getattr(before, field.name), getattr(after, field.name)
        if field.message_type is not None and not field.is_repeated:
            yield from changes(old, new, f"{name}.")
        elif old != new:
            yield name, _text(field, old), _text(field, new)


def title(manifest: VersionManifest) -> str:
    """One line for people."""
    return f"{manifest.label} for {manifest.soc}, firmware {manifest.firmware_version}"


def _check_declaration(declaration_der: bytes, rule: ProductRule, paa_der: bytes) -> None:
    declaration = verify_declaration(declaration_der, _signers(rule))
    names = AttestationIds(VendorId(rule.vendor_id), ProductId(rule.product_code))
    require_fit(
        declaration,
        vendor_id=rule.vendor_id,
        product_id=rule.product_code,
        dac=names,
        pai=names,
        paa_key_id=read_certificate(paa_der).subject_key_id(),
    )


def _signers(rule: ProductRule) -> Mapping[bytes, bytes]:
    """Key identifiers (SHA-1 of the point, as the Alliance names its keys) to points."""
    keys = [load_public_key(spki_der, SigScheme.SIG_SCHEME_P256) for spki_der in rule.cd_signer_spki_der]
    points = [key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) for key in keys]
    return {sha1(point, usedforsecurity=False).digest(): point for point in points}


def _text(field: Any, value: object) -> str:
    if isinstance(value, bytes):
        return value.hex() if len(value) <= 32 else f"{value[:16].hex()}… ({len(value)} bytes)"
    if field.enum_type is not None and isinstance(value, int):
        return str(field.enum_type.values_by_number[value].name)
    return str(value)
