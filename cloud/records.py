"""Folds leaves into Production Records: one a device, nothing in it that is not in a leaf.

A record is what its leaves say, in their order; folding the same leaf again gives the same record. Nobody else writes
one. What a leaf says of the chip beyond the boundary's own words comes from the DeviceReport in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from google.protobuf.message import DecodeError

from obis.matter.certificate import read_certificate
from obis.matter.errors import MatterError
from obis.refusal import word
from obis.v1.device_objects_pb2 import DeviceReport
from obis.v1.envelope_pb2 import Envelope
from obis.v1.leaf_pb2 import LogLeaf
from obis.v1.scope_pb2 import DeviceId
from obis.v1.trace_pb2 import RecordState

_PASSED: Final = RecordState.RECORD_STATE_PASSED
_FAILED: Final = RecordState.RECORD_STATE_FAILED


@dataclass(frozen=True)
class Record:
    """The fold so far. `last_outcome` is PASSED, FAILED or 0; times in Unix seconds."""

    soc: str
    uid: bytes
    auth_id: bytes = b""
    dac_serial: bytes = b""
    dac_der: bytes = b""
    leaf_indexes: tuple[int, ...] = ()
    issued_at: int = 0
    last_outcome: int = 0
    debug_open: bool = False
    scrapped: bool = False
    evidence: int = 0
    failure: str = ""
    lifecycle: int = 0
    debug_sessions: int = 0
    firmware_digest: bytes = b""

    @property
    def state(self) -> RecordState.ValueType:
        """Where the device stands."""
        if self.scrapped:
            return RecordState.RECORD_STATE_SCRAPPED
        if self.debug_open:
            return RecordState.RECORD_STATE_IN_REWORK
        return RecordState.ValueType(self.last_outcome) or RecordState.RECORD_STATE_ISSUED


class Unreadable(Exception):
    """The leaf is in the log and says nothing this version understands."""


def read_leaf(content: bytes, edgehsm_id: str, epoch: int, index: int) -> LogLeaf:
    """The leaf; raises Unreadable if it does not parse or names another place than it stands at."""
    try:
        leaf = LogLeaf.FromString(content)
    except DecodeError:
        raise Unreadable("it does not parse") from None
    if (leaf.edgehsm_id, leaf.epoch, leaf.index) != (edgehsm_id, epoch, index):
        raise Unreadable(f"it says that it is leaf {leaf.index} of {leaf.edgehsm_id}/{leaf.epoch}")
    if leaf.WhichOneof("entry") is None:
        raise Unreadable("its entry is of a kind this version does not know")
    return leaf


def device_of(leaf: LogLeaf) -> DeviceId | None:
    """The device whose record a leaf belongs to, or None. A refusal names a device and changes no record."""
    kind = leaf.WhichOneof("entry")
    if kind is None or kind == "refused":
        return None
    entry = getattr(leaf, kind)
    return entry.device if "device" in entry.DESCRIPTOR.fields_by_name else None


def fold(record: Record, leaf: LogLeaf) -> Record:
    """The record with one leaf more. Raises Unreadable for a DAC that is no certificate."""
    if leaf.index in record.leaf_indexes:
        return record
    grown = replace(record, leaf_indexes=(*record.leaf_indexes, leaf.index))
    folding = _FOLDS.get(leaf.WhichOneof("entry") or "")
    return folding(grown, leaf) if folding else grown


def _issued(record: Record, leaf: LogLeaf) -> Record:
    return replace(_with_dac(record, leaf.issued.dac_der), auth_id=leaf.issued.auth_id, issued_at=leaf.at)


def _replaced(record: Record, leaf: LogLeaf) -> Record:
    return replace(_with_dac(record, leaf.replaced.dac_der), last_outcome=0, failure="")


def _scrapped(record: Record, leaf: LogLeaf) -> Record:
    return replace(record, scrapped=True, auth_id=record.auth_id or leaf.scrapped.auth_id)


def _debug_opened(record: Record, leaf: LogLeaf) -> Record:
    opened = replace(record, debug_open=True, debug_sessions=record.debug_sessions + 1)
    return replace(opened, auth_id=record.auth_id or leaf.debug_opened.auth_id)


def _debug_closed(record: Record, leaf: LogLeaf) -> Record:
    return _with_report(replace(record, debug_open=False), leaf.debug_closed.report)


def _with_dac(record: Record, dac_der: bytes) -> Record:
    try:
        serial = read_certificate(dac_der).serial.content
    except MatterError as failure:
        raise Unreadable(f"its DAC is no certificate: {failure}") from None
    return replace(record, dac_der=dac_der, dac_serial=serial)


def _outcome(record: Record, leaf: LogLeaf) -> Record:
    outcome = leaf.outcome
    settled = replace(
        record,
        auth_id=record.auth_id or outcome.auth_id,
        last_outcome=_PASSED if outcome.passed else _FAILED,
        evidence=outcome.evidence,
        failure="" if outcome.passed or not outcome.reason else word(outcome.reason),
    )
    return _with_report(settled, outcome.report)


def _with_report(record: Record, report: Envelope) -> Record:
    """What the chip said of itself; the boundary checked its signature before it wrote the leaf."""
    try:
        said = DeviceReport.FromString(report.payload)
    except DecodeError:
        return record
    if not said.auth_id:
        return record
    return replace(record, lifecycle=said.lifecycle, firmware_digest=said.firmware_digest or record.firmware_digest)


_FOLDS: Final[dict[str, Callable[[Record, LogLeaf], Record]]] = {
    "issued": _issued,
    "replaced": _replaced,
    "outcome": _outcome,
    "scrapped": _scrapped,
    "debug_opened": _debug_opened,
    "debug_closed": _debug_closed,
}
