"""Leaves about devices in the making: issued, replaced, keys, firmware, outcomes. See `admission` for the form."""

from __future__ import annotations

from typing import Final

from obis.refusal import Refused, word
from obis.trust.envelope import verify_single
from obis.trust.grant import find_operation
from obis.trust.payload import DEVICE_REPORT
from obis.trust.verify.dacs import Dac
from obis.trust.verify.state import Batch, Device, LogState, key_of
from obis.trust.verify.tallies import Tallies
from obis.v1.device_objects_pb2 import DebugState, DeviceReport, Lifecycle
from obis.v1.envelope_pb2 import Envelope, SigScheme
from obis.v1.grant_pb2 import Grant
from obis.v1.leaf_pb2 import (
    FirmwareAuthorizedLeaf,
    IssuedLeaf,
    KeyDeliveredLeaf,
    LogLeaf,
    OutcomeLeaf,
    ReplacedLeaf,
)
from obis.v1.package_pb2 import ChipSecurity
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import DeviceId, EvidenceLevel, Operation, Window

START_TOLERANCE_SECONDS: Final = 300  # clocks differ; the end has none
DAY: Final = 86400


def take_issued(state: LogState, leaf: LogLeaf, entry: IssuedLeaf) -> None:
    """One device more: counted without a gap, within every bound, with a DAC that is what was approved."""
    batch = state.open_batch(entry.auth_id, to_make=True)
    _require_in(batch.auth.window, leaf.at)
    if entry.count != batch.issued + 1:
        raise Refused(Reason.REASON_SEQUENCE_GAP, f"device {entry.count} of the Authorization after {batch.issued}")
    if entry.count > batch.quantity:
        raise Refused(Reason.REASON_QUANTITY_SPENT, f"device {entry.count} of {batch.quantity}")
    if leaf.assurance < batch.grant.message.required_assurance:
        raise Refused(Reason.REASON_ASSURANCE_TOO_LOW, "the element is below what the Grant requires")
    if entry.device.soc != batch.grant.message.soc:
        raise Refused(Reason.REASON_WRONG_PRODUCT_VERSION, "the device is of another chip family than the Grant's")
    spend(state, batch, Operation.OPERATION_ISSUE_DAC, entry.device, leaf.at)
    if key_of(entry.device) in state.everything.devices:
        raise Refused(Reason.REASON_REPLAYED, "the device was issued before")
    dac = _new_dac(state, batch, entry.dac_der, entry.spki_digest)
    batch.issued = entry.count
    device = Device(entry.auth_id, state.edgehsm, dac.spki_der, dac.serial, entry.boundary_nonce)
    state.everything.devices[key_of(entry.device)] = device


def take_replaced(state: LogState, leaf: LogLeaf, entry: ReplacedLeaf) -> None:
    """Another DAC for a device that has one; counted for itself, never as a device."""
    batch = state.open_batch(entry.auth_id)
    device = state.device(entry.device)
    if entry.count != batch.replaced + 1:
        raise Refused(Reason.REASON_SEQUENCE_GAP, f"replacement {entry.count} after {batch.replaced}")
    if entry.replaced_serial != device.dac_serial:
        raise Refused(Reason.REASON_DEVICE_KEY_CHANGED, "it replaces a DAC the device does not have")
    spend(state, batch, Operation.OPERATION_REPLACE_DAC, entry.device, leaf.at)
    dac = _new_dac(state, batch, entry.dac_der, entry.spki_digest)
    batch.replaced = entry.count
    device.spki_der, device.dac_serial, device.boundary_nonce = dac.spki_der, dac.serial, entry.boundary_nonce
    device.outcome, device.reason = None, ""


def _new_dac(state: LogState, batch: Batch, dac_der: bytes, spki_digest: bytes) -> Dac:
    dac = batch.dacs.check(dac_der)
    if dac.spki_digest != spki_digest:
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "the leaf says another key than its DAC")
    if spki_digest in state.everything.key_digests:
        raise Refused(Reason.REASON_KEY_REUSED, "the key has a DAC already")
    serial = (batch.auth.pai_cert_digest, dac.serial)
    if serial in state.everything.dac_serials:
        raise Refused(Reason.REASON_REPLAYED, "the serial number was used before")
    state.everything.key_digests.add(spki_digest)
    state.everything.dac_serials.add(serial)
    return dac


def take_key_delivered(state: LogState, leaf: LogLeaf, entry: KeyDeliveredLeaf) -> None:
    """Within its operation's bounds, to a device issued here."""
    state.device(entry.device)
    spend(state, state.open_batch(entry.auth_id), Operation.OPERATION_DELIVER_KEY, entry.device, leaf.at)


def take_firmware_authorized(state: LogState, leaf: LogLeaf, entry: FirmwareAuthorizedLeaf) -> None:
    """The Grant's image, and no other, for a device issued here."""
    batch = state.open_batch(entry.auth_id)
    state.device(entry.device)
    if entry.firmware_digest != batch.grant.message.firmware_digest:
        raise Refused(Reason.REASON_FIRMWARE_NOT_GRANTED, "the image is not the one the Grant names")
    spend(state, batch, Operation.OPERATION_PROGRAM_FIRMWARE, entry.device, leaf.at)


def take_outcome(state: LogState, leaf: LogLeaf, entry: OutcomeLeaf) -> None:
    """What became of a device issued here; a PASS carries the evidence its Grant asks for."""
    del leaf
    device = state.device(entry.device)
    batch = state.batch(entry.auth_id)
    grant = batch.grant.message
    if entry.passed and entry.reason:
        raise Refused(Reason.REASON_OUTCOME_CONFLICT, "a pass with a reason for failing")
    if entry.passed and entry.evidence < grant.minimum_evidence:
        raise Refused(Reason.REASON_EVIDENCE_TOO_LOW, "a pass with less evidence than the Grant requires")
    if entry.HasField("report"):
        report = check_report(device, entry.device, entry.report)
        if report.auth_id != entry.auth_id or report.boundary_nonce != device.boundary_nonce:
            raise Refused(Reason.REASON_REPORT_MISMATCH, "the report is for another Authorization or issue")
        if entry.passed:
            _require_good(report, grant, batch.version.chip_security)
    elif entry.evidence > EvidenceLevel.EVIDENCE_LEVEL_STATION_REPORTED:
        raise Refused(Reason.REASON_EVIDENCE_TOO_LOW, "it claims the chip's evidence and holds no report")
    state.everything.tally.evidence[EvidenceLevel.Name(entry.evidence).removeprefix("EVIDENCE_LEVEL_")] += 1
    device.outcome = entry.passed
    device.reason = word(entry.reason) if entry.reason else ""


def check_report(device: Device, named: DeviceId, envelope: Envelope) -> DeviceReport:
    """The report, signed by the device's own DAC key, about the device itself. Raises Refused."""
    report = verify_single(envelope, DEVICE_REPORT, device.spki_der, SigScheme.SIG_SCHEME_P256)
    if report.device != named:
        raise Refused(Reason.REASON_REPORT_MISMATCH, "the report names another device")
    return report


def _require_good(report: DeviceReport, grant: Grant, wanted: ChipSecurity) -> None:
    """A chip that passed is what people approved: image, agent, lifecycle, debug port."""
    if report.firmware_digest != grant.firmware_digest or report.agent_digest != grant.agent_digest:
        raise Refused(Reason.REASON_REPORT_MISMATCH, "the chip that passed reports other firmware or another agent")
    if wanted.debug_locked and report.debug_state != DebugState.DEBUG_STATE_LOCKED:
        raise Refused(Reason.REASON_REPORT_MISMATCH, "the chip that passed reports an open debug port")
    if wanted.secure_boot and report.lifecycle != Lifecycle.LIFECYCLE_LOCKED:
        raise Refused(Reason.REASON_REPORT_MISMATCH, "the chip that passed reports that it is not locked")


def spend(state: LogState, batch: Batch, operation: Operation.ValueType, device: DeviceId, at: int) -> None:
    """Count one operation: against the Authorization's rule, and against the Grant's over all Authorizations here."""
    own = [rule for rule in batch.auth.operations if rule.operation == operation]
    if not own:
        raise Refused(Reason.REASON_OPERATION_NOT_GRANTED, f"{Operation.Name(operation)} is not authorized")
    granted = find_operation(batch.grant.message, operation)
    state.grant_tallies.setdefault(batch.grant.digest, Tallies()).spend(granted, key_of(device), at // DAY)
    _require_in(own[0].window, at)
    batch.tallies.spend(own[0], key_of(device), at // DAY)


def _require_in(window: Window, at: int) -> None:
    if at < window.starts_at - START_TOLERANCE_SECONDS:
        raise Refused(Reason.REASON_WINDOW_NOT_OPEN, "before the window")
    if at >= window.ends_at:
        raise Refused(Reason.REASON_WINDOW_CLOSED, "after the window")
