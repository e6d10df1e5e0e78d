"""The one table of signed payload types, and the only way from signed bytes to a message.

Rules of `parse_closed`, in this order:
 1. The bytes are at most 256 KiB.
 2. They parse as the type's message.
 3. Closed: no field, at any depth, that this version does not know (REASON_UNKNOWN_FIELD). A new field is a new type.
 4. One form: they are what a serializer writes, fields in order, none twice, no default spelled out, so that two
    readers can never see two messages in the same signed bytes (REASON_MALFORMED).
 5. Every field keeps its documented rule (REASON_MALFORMED).

The trust root role of a type is who may sign it; a type without role is signed by a key that stands elsewhere
(an EdgeHSM's identity, a chip's DAC key, the vault's site root), see `envelope.verify_single`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import protovalidate
from google.protobuf.message import DecodeError, Message

from obis.refusal import Refused
from obis.v1.authorization_pb2 import Authorization
from obis.v1.device_objects_pb2 import DebugResponse, DeviceReport
from obis.v1.enrolment_objects_pb2 import (
    EnrolmentApproval,
    EnrolRequest,
    EnrolTicket,
    PaiRequest,
    PersonRequest,
    StationTicket,
    Voucher,
)
from obis.v1.export_pb2 import ExportManifest, VaultAct
from obis.v1.grant_pb2 import DeviceList, Grant, ScrapCredit
from obis.v1.package_pb2 import BatchPackage
from obis.v1.reason_pb2 import Reason
from obis.v1.revocation_pb2 import Beacon, RevocationList, TimeTicket
from obis.v1.rule_pb2 import ProductRule
from obis.v1.trust_root_pb2 import RootRole, TrustRoot

MAX_PAYLOAD_BYTES: Final = 256 * 1024

M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class PayloadType(Generic[M]):
    """A signed type: its text (domain and version), its message, and the trust root role that signs it, if one does."""

    text: str
    message: type[M]
    role: RootRole.ValueType | None = None


def _type(name: str, message: type[M], role: RootRole.ValueType | None = None) -> PayloadType[M]:
    return PayloadType(f"application/vnd.obis.{name}.v1+protobuf", message, role)


TRUST_ROOT: Final = _type("trust-root", TrustRoot, RootRole.ROOT_ROLE_ROOT)
PRODUCT_RULE: Final = _type("product-rule", ProductRule, RootRole.ROOT_ROLE_GRANT)
GRANT: Final = _type("grant", Grant, RootRole.ROOT_ROLE_GRANT)
SCRAP_CREDIT: Final = _type("scrap-credit", ScrapCredit, RootRole.ROOT_ROLE_GRANT)
DEVICE_LIST: Final = _type("device-list", DeviceList, RootRole.ROOT_ROLE_GRANT)
ENROL_TICKET: Final = _type("enrol-ticket", EnrolTicket, RootRole.ROOT_ROLE_ENROLMENT)
ENROLMENT_APPROVAL: Final = _type("enrolment-approval", EnrolmentApproval, RootRole.ROOT_ROLE_ENROLMENT)
TIME_TICKET: Final = _type("time-ticket", TimeTicket, RootRole.ROOT_ROLE_ENROLMENT)
AUTHORIZATION: Final = _type("authorization", Authorization, RootRole.ROOT_ROLE_ONLINE)
BATCH_PACKAGE: Final = _type("batch-package", BatchPackage, RootRole.ROOT_ROLE_ONLINE)
EXPORT_MANIFEST: Final = _type("export-manifest", ExportManifest, RootRole.ROOT_ROLE_ONLINE)
REVOCATION_LIST: Final = _type("revocation-list", RevocationList, RootRole.ROOT_ROLE_REVOCATION)
BEACON: Final = _type("beacon", Beacon, RootRole.ROOT_ROLE_BEACON)
STATION_TICKET: Final = _type("station-ticket", StationTicket, RootRole.ROOT_ROLE_SITE)
VOUCHER: Final = _type("voucher", Voucher, RootRole.ROOT_ROLE_VOUCHER)
ENROL_REQUEST: Final = _type("enrol-request", EnrolRequest)  # every new key but HPKE and wrap
PAI_REQUEST: Final = _type("pai-request", PaiRequest)  # the EdgeHSM's identity key
PERSON_REQUEST: Final = _type("person-request", PersonRequest)  # any trust root key of that person
DEVICE_REPORT: Final = _type("device-report", DeviceReport)  # the DAC key in the chip
DEBUG_RESPONSE: Final = _type("debug-response", DebugResponse)  # the product's debug authority key
VAULT_ACT: Final = _type("vault-act", VaultAct)  # the site root key of the trust root


def parse_closed(payload_type: PayloadType[M], payload: bytes) -> M:
    """The message in `payload`, which must keep the five rules. Raises Refused."""
    return parse_message(payload_type.message, payload, payload_type.text)


def parse_message(message_class: type[M], payload: bytes, where: str) -> M:
    """As `parse_closed`, for closed bytes that carry no envelope of their own (log leaves, VersionManifest)."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Refused(Reason.REASON_TOO_LARGE, f"{len(payload)} bytes, more than {MAX_PAYLOAD_BYTES}", where)
    try:
        message = message_class.FromString(payload)
    except DecodeError as error:
        raise Refused(Reason.REASON_MALFORMED, "the bytes do not parse", where) from error
    require_closed(message, where)
    if message.SerializeToString(deterministic=True) != payload:
        raise Refused(Reason.REASON_MALFORMED, "the bytes are not in the one form a serializer writes", where)
    require_rules(message, where)
    return message


def require_closed(message: Message, where: str) -> None:
    """Raises Refused UNKNOWN_FIELD where the message, at any depth, came with a field this version does not know."""
    known = type(message)()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    if known.ByteSize() != message.ByteSize():
        raise Refused(Reason.REASON_UNKNOWN_FIELD, "a field that this version does not know", where)


def require_rules(message: Message, where: str) -> None:
    """Raises Refused MALFORMED with the path of the first field that breaks its documented rule."""
    try:
        protovalidate.validate(message)
    except protovalidate.ValidationError as error:
        first = error.violations[0]
        path = first.proto.field
        field = ".".join(element.field_name for element in path.elements) if path else ""
        raise Refused(
            Reason.REASON_MALFORMED, first.proto.message or first.proto.rule_id, f"{where} {field}"
        ) from error
