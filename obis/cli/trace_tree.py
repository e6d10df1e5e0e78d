"""A trace as a tree of 80 columns: what is tied to a device, a serial, a batch or an Authorization.

Signed objects are opened here, verified under the pinned trust root, and shown with who signed them; what the cloud
merely says (facts, states) stands apart under "the cloud says".
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.message import DecodeError, Message

from obis.cli.plain import enum_word, when
from obis.refusal import Refused, word
from obis.trust import payload
from obis.trust.payload import PayloadType
from obis.trust.trust_root import TrustRootView
from obis.v1.authorization_pb2 import Authorization
from obis.v1.device_objects_pb2 import Lifecycle
from obis.v1.enrolment_objects_pb2 import EnrolmentApproval
from obis.v1.envelope_pb2 import Envelope
from obis.v1.grant_pb2 import Grant
from obis.v1.leaf_pb2 import LogLeaf
from obis.v1.rule_pb2 import ProductRule
from obis.v1.scope_pb2 import EvidenceLevel
from obis.v1.trace_pb2 import FindResponse, ProductionRecord, RecordState
from obis.v1.trust_root_pb2 import TrustRoot

WIDTH: Final = 80
SHOWN_DEVICES: Final = 20

_SIGNED: Final[tuple[PayloadType[Any], ...]] = (
    payload.PRODUCT_RULE,
    payload.GRANT,
    payload.ENROLMENT_APPROVAL,
    payload.AUTHORIZATION,
)


@dataclass(frozen=True)
class Node:
    """One line of the tree, and what hangs below it."""

    text: str
    below: tuple[Node, ...] = field(default=())


def trace_tree(found: FindResponse, root: TrustRootView) -> Node:
    """The tree of an answer."""
    cloud_says = tuple(Node(f"{fact.label}: {fact.value}") for fact in found.facts)
    parts = [
        Node("the cloud says", cloud_says),
        Node("signed above it", tuple(_signed(each, root) for each in found.objects)),
        Node("certificates above it", tuple(Node(_certificate(each)) for each in found.certificates_der)),
        _devices(found),
        Node("its leaves in EdgeHSM's log", tuple(Node(_leaf(each)) for each in found.leaves)),
    ]
    return Node(f"{found.total} record{'' if found.total == 1 else 's'}", tuple(part for part in parts if part.below))


def draw(node: Node) -> str:
    """The tree as text, every line within 80 columns."""
    return "\n".join([*textwrap.wrap(node.text, WIDTH), *_branches(node.below, "")])


def _branches(nodes: Sequence[Node], indent: str) -> Iterator[str]:
    for number, node in enumerate(nodes, 1):
        is_last = number == len(nodes)
        head, rest = (f"{indent}└─ ", f"{indent}   ") if is_last else (f"{indent}├─ ", f"{indent}│  ")
        continued = rest + ("│  " if node.below else "   ")
        pieces = textwrap.wrap(node.text, WIDTH - len(head), subsequent_indent="  ") or [""]
        yield head + pieces[0]
        for piece in pieces[1:]:
            yield continued[: len(head)] + piece
        yield from _branches(node.below, rest)


def _devices(found: FindResponse) -> Node:
    shown = tuple(_device(record) for record in found.records[:SHOWN_DEVICES])
    left = found.total - len(shown)
    more = (Node(f"and {left} more: obis records --batch, or --json"),) if left > 0 else ()
    return Node("the device" if found.total == 1 else "devices", shown + more)


def _device(record: ProductionRecord) -> Node:
    state = enum_word(RecordState.DESCRIPTOR, record.state)
    evidence = enum_word(EvidenceLevel.DESCRIPTOR, record.evidence) if record.evidence else "no evidence yet"
    below = [
        Node(f"DAC serial {record.dac_serial.hex()}, issued {when(record.issued_at)}"),
        Node(f"factory {record.factory_id}, EdgeHSM {record.edgehsm_id}, epoch {record.epoch}"),
        Node(f"log indexes {', '.join(map(str, record.leaf_indexes))}"),
        Node(f"chip {enum_word(Lifecycle.DESCRIPTOR, record.lifecycle)}") if record.lifecycle else None,
        Node(f"firmware {record.firmware_digest.hex()}") if record.firmware_digest else None,
        Node(f"Secure Debug re-opened {record.debug_sessions} times") if record.debug_sessions else None,
        Node(f"batch {record.batch_id.hex()}"),
        Node(f"authorization {record.auth_id.hex()}"),
    ]
    failure = f" ({record.failure})" if record.failure else ""
    name = f"{record.device.soc}:{record.device.uid.hex()}  {state}{failure}, {evidence}"
    return Node(name, tuple(each for each in below if each))


def _signed(envelope: Envelope, root: TrustRootView) -> Node:
    if envelope.payload_type == payload.TRUST_ROOT.text:
        return _trust_root(envelope)
    for kind in _SIGNED:
        if envelope.payload_type == kind.text:
            return _opened(envelope, kind, root)
    return Node(f"{envelope.payload_type}: not shown by this version")


def _opened(envelope: Envelope, kind: PayloadType[Any], root: TrustRootView) -> Node:
    try:
        verified = root.verify(envelope, kind)
    except Refused as refusal:
        return Node(f"{kind.text}: NOT VALID: {word(refusal.reason)}: {refusal.what}")
    persons = sorted(root.persons.keys() & verified.persons)
    signers = ", ".join(persons) if persons else "the cloud"
    head, *details = _object(verified.message)
    below = [*details, f"signed by {signers}", f"sha256 {verified.digest.hex()}"]
    return Node(head, tuple(Node(each) for each in below))


def _object(message: Message) -> list[str]:
    match message:
        case ProductRule():
            return [
                f"ProductRule {message.sequence}: {message.name} ({message.vendor_id:04X}/{message.product_code:04X})",
                f"at most {message.lifetime_quantity} devices, ever",
            ]
        case Grant():
            shares = ", ".join(f"{cap.edgehsm_id} {cap.max_quantity}" for cap in message.edge_caps)
            return [
                f"Grant {message.sequence}: {message.total_quantity} devices, {message.granted_before} granted before",
                f"shares: {shares}",
                f"window {when(message.window.starts_at)} to {when(message.window.ends_at)}",
            ]
        case EnrolmentApproval():
            return [f"EnrolmentApproval: {message.edgehsm_id} at {message.factory_id}, epoch {message.epoch}"]
        case Authorization():
            return [
                f"Authorization {message.sequence} for {message.edgehsm_id}: {message.quantity} devices",
                f"id {message.auth_id.hex()}",
                f"window {when(message.window.starts_at)} to {when(message.window.ends_at)}",
            ]
        case _:
            return [message.DESCRIPTOR.name]


def _trust_root(envelope: Envelope) -> Node:
    try:
        root = TrustRoot.FromString(envelope.payload)
    except DecodeError:
        return Node("TrustRoot: NOT VALID: its bytes do not parse")
    return Node(f"TrustRoot {root.version} of {root.mesh_name}, {len(root.persons)} persons, {len(root.sites)} sites")


def _certificate(certificate_der: bytes) -> str:
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(certificate_der)
    except ValueError:
        return "not a certificate"
    return f"{certificate.subject.rfc4514_string()}, serial {certificate.serial_number:x}"


def _leaf(leaf_bytes: bytes) -> str:
    try:
        leaf = LogLeaf.FromString(leaf_bytes)
    except DecodeError:
        return "NOT VALID: its bytes do not parse"
    return f"{leaf.index:>6}  {when(leaf.at)}  {leaf.WhichOneof('entry') or 'nothing'}"
