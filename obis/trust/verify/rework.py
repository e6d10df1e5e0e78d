"""Leaves about devices after they were made: Secure Debug, scrap, labels. See `admission` for the form.

An Authorization that is closed for making may still cover rework; its operations have windows of their own.
"""

from __future__ import annotations

from obis.refusal import Refused
from obis.trust.grant import find_operation
from obis.trust.verify.making import check_report, spend
from obis.trust.verify.state import DebugSession, LogState, key_of
from obis.v1.device_objects_pb2 import DebugState
from obis.v1.leaf_pb2 import DebugClosedLeaf, DebugOpenedLeaf, LogLeaf, RelabelledLeaf, ScrappedLeaf
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import EvidenceLevel, Operation


def take_debug_opened(state: LogState, leaf: LogLeaf, entry: DebugOpenedLeaf) -> None:
    """Counted, for a fresh challenge, with no more permissions and no more time than granted."""
    state.device(entry.device)
    batch = state.open_batch(entry.auth_id)
    spend(state, batch, Operation.OPERATION_REOPEN_DEBUG, entry.device, leaf.at)
    rule = find_operation(batch.grant.message, Operation.OPERATION_REOPEN_DEBUG)
    if entry.permissions & ~rule.debug_permissions:
        raise Refused(Reason.REASON_OPERATION_NOT_GRANTED, "permissions the Grant does not give")
    if entry.close_before > leaf.at + rule.time_box_seconds:
        raise Refused(Reason.REASON_OPERATION_NOT_GRANTED, "a longer time-box than the Grant gives")
    if entry.challenge_digest in state.challenges or entry.session_id in state.sessions:
        raise Refused(Reason.REASON_CHALLENGE_REUSED, "the challenge or session stands in an earlier leaf")
    state.challenges.add(entry.challenge_digest)
    state.sessions[entry.session_id] = DebugSession(key_of(entry.device), entry.auth_id)


def take_debug_closed(state: LogState, leaf: LogLeaf, entry: DebugClosedLeaf) -> None:
    """Closes the session it opened, on the same device; a report is the chip's and says that the port is locked.

    Closing is never counted and never refused for a bound: an open port is worse.
    """
    del leaf
    device = state.device(entry.device)
    session = state.sessions.get(entry.session_id)
    if session is None or not session.is_open or session.device != key_of(entry.device):
        raise Refused(Reason.REASON_DEBUG_SESSION_UNKNOWN, "no such session is open on this device")
    if entry.HasField("report"):
        report = check_report(device, entry.device, entry.report)
        if report.boundary_nonce != entry.session_id:
            raise Refused(Reason.REASON_REPORT_MISMATCH, "the report is for another session")
        if report.debug_state != DebugState.DEBUG_STATE_LOCKED:
            raise Refused(Reason.REASON_REPORT_MISMATCH, "the chip reports that its port is not locked")
    elif entry.evidence > EvidenceLevel.EVIDENCE_LEVEL_STATION_REPORTED:
        raise Refused(Reason.REASON_EVIDENCE_TOO_LOW, "it claims the chip's evidence and holds no report")
    session.is_open = False


def take_scrapped(state: LogState, leaf: LogLeaf, entry: ScrappedLeaf) -> None:
    """A device that has a DAC is named with it; a scrapped one stays counted."""
    spend(state, state.open_batch(entry.auth_id), Operation.OPERATION_SCRAP, entry.device, leaf.at)
    if not entry.dac_serial and key_of(entry.device) not in state.everything.devices:
        return
    device = state.device(entry.device)
    if entry.dac_serial != device.dac_serial:
        raise Refused(Reason.REASON_DEVICE_KEY_CHANGED, "it names a DAC the device does not have")
    device.is_scrapped = True


def take_relabelled(state: LogState, leaf: LogLeaf, entry: RelabelledLeaf) -> None:
    """Counted, for a device issued here."""
    state.device(entry.device)
    spend(state, state.open_batch(entry.auth_id), Operation.OPERATION_RELABEL, entry.device, leaf.at)
