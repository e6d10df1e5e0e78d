"""Devices of a test's own: real keys, the steps a station would send for them, the reports their chips would sign."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from obis.trust.envelope import make_envelope
from obis.trust.payload import DEVICE_REPORT
from obis.v1.device_objects_pb2 import DebugChallenge, DebugState, DeviceReport, Lifecycle
from obis.v1.envelope_pb2 import Envelope
from obis.v1.provisioning_pb2 import DeviceStep, FirmwareStep, IssueStep, OpenDebug, OutcomeStep, StepReply
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import DeviceId
from tests.obis.trust.keys import Key


def new_key(curve: ec.EllipticCurve | None = None) -> Key:
    return Key(ec.generate_private_key(curve or ec.SECP256R1()))


@dataclass(frozen=True)
class Device:
    """One unit on a bench."""

    soc: str
    uid: bytes = field(default_factory=lambda: os.urandom(8))
    key: Key = field(default_factory=new_key)

    @property
    def id(self) -> DeviceId:
        return DeviceId(soc=self.soc, uid=self.uid)

    def issue(self, auth_id: bytes, csr: bytes | None = None) -> DeviceStep:
        step = IssueStep(csr_der=self.key.csr() if csr is None else csr)
        return DeviceStep(step_id=1, auth_id=auth_id, device=self.id, issue=step)

    def firmware(self, auth_id: bytes, digest: bytes) -> DeviceStep:
        return DeviceStep(step_id=2, auth_id=auth_id, device=self.id, firmware=FirmwareStep(firmware_digest=digest))

    def outcome(self, auth_id: bytes, **said) -> DeviceStep:
        return DeviceStep(step_id=3, auth_id=auth_id, device=self.id, outcome=OutcomeStep(**said))

    def challenge(self) -> bytes:
        """What the chip's debug port says."""
        challenge = DebugChallenge(device=self.id, nonce=os.urandom(32), lifecycle=Lifecycle.LIFECYCLE_LOCKED)
        return challenge.SerializeToString(deterministic=True)

    def open_debug(self, auth_id: bytes) -> OpenDebug:
        return OpenDebug(auth_id=auth_id, challenge=self.challenge(), rework_reason="radio", operator="badge-7")

    def report_message(self, auth_id: bytes, nonce: bytes, **said) -> DeviceReport:
        told = {"lifecycle": Lifecycle.LIFECYCLE_LOCKED, "debug_state": DebugState.DEBUG_STATE_LOCKED} | said
        return DeviceReport(auth_id=auth_id, device=self.id, boundary_nonce=nonce, **told)

    def report(self, auth_id: bytes, nonce: bytes, **said) -> Envelope:
        """Under its DAC key, as the chip signs it."""
        message = self.report_message(auth_id, nonce, **said)
        return make_envelope(DEVICE_REPORT, message.SerializeToString(deterministic=True), [self.key])


def csr_for(key: Key, *subject: tuple[str, str]) -> bytes:
    """A request by this key for the subject it would like: (OID, value) pairs."""
    name = x509.Name([x509.NameAttribute(x509.ObjectIdentifier(oid), value) for oid, value in subject])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key.private, hashes.SHA256())
    return made.public_bytes(Encoding.DER)


def reason(reply: StepReply) -> str:
    """The word of a refusal, or nothing."""
    refused = getattr(reply, "refused", reply)
    return Reason.Name(refused.reason).removeprefix("REASON_") if refused.reason else ""
