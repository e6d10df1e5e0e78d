"""What a chip's DeviceReport proves, checked against what was issued and granted.

1. The envelope is signed by the DAC key of this device, and by no other key.
2. It names this Authorization and device, and carries the nonce it was given.
3. Where it is to count as a PASS, the chip is what the approved version says: the granted image and agent, locked
where debug must be locked or secure boot on.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edgehsm.boundary.operations import Asker
from obis.refusal import Refused
from obis.trust.envelope import verify_single
from obis.trust.payload import DEVICE_REPORT
from obis.v1.device_objects_pb2 import DebugState, DeviceReport, Lifecycle
from obis.v1.envelope_pb2 import Envelope, SigScheme
from obis.v1.grant_pb2 import Grant
from obis.v1.leaf_pb2 import IssuedLeaf
from obis.v1.package_pb2 import ChipSecurity
from obis.v1.reason_pb2 import Reason


def read_report(report: Envelope, asker: Asker, issued: IssuedLeaf, nonce: bytes) -> DeviceReport:
    """The report, by rules 1 and 2. Raises Refused."""
    said = verify_single(report, DEVICE_REPORT, dac_spki(issued.dac_der), SigScheme.SIG_SCHEME_P256)
    if said.auth_id != asker.auth_id or said.device != asker.device_id:
        raise _mismatch("the report is of another device or authorization")
    if said.boundary_nonce != nonce:
        raise _mismatch("the report carries another nonce")
    return said


def require_as_granted(said: DeviceReport, grant: Grant, wanted: ChipSecurity) -> None:
    """Rule 3. Raises Refused REPORT_MISMATCH."""
    if said.firmware_digest != grant.firmware_digest:
        raise _mismatch("the chip holds another image than the grant's")
    if said.agent_digest != grant.agent_digest:
        raise _mismatch("the chip ran another agent than the grant's")
    if wanted.debug_locked and said.debug_state != DebugState.DEBUG_STATE_LOCKED:
        raise _mismatch("debug is not locked")
    locked = said.lifecycle == Lifecycle.LIFECYCLE_LOCKED
    if not locked and (wanted.secure_boot or said.lifecycle != Lifecycle.LIFECYCLE_PROGRAMMED):
        raise _mismatch("the chip's lifecycle is not that of a finished unit")


def dac_spki(dac_der: bytes) -> bytes:
    """DER SubjectPublicKeyInfo of a DAC that was issued here."""
    key = x509.load_der_x509_certificate(dac_der).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _mismatch(what: str) -> Refused:
    return Refused(Reason.REASON_REPORT_MISMATCH, what, "report")
