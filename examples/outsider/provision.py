"""Provisions one device with the generated stubs alone; see README.md beside it."""

from __future__ import annotations

import argparse
import json
import ssl
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import grpc
from device import OpensslDevice

from obis.v1.device_objects_pb2 import DebugState, DeviceReport, Lifecycle
from obis.v1.provisioning_pb2 import DeviceStep, FirmwareStep, IssueStep, OutcomeStep, ProvisionRequest, StepReply
from obis.v1.provisioning_pb2_grpc import ProvisioningStub
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import DeviceId, EvidenceLevel


def main() -> int:
    """0 with a DAC; 1 with the reason why not."""
    told = arguments()
    with tempfile.TemporaryDirectory() as folder, channel(told) as connection:
        device = OpensslDevice(told.soc, bytes.fromhex(told.uid), told.device_key or Path(folder) / "device.key")
        device.make_key()
        try:
            made = provision(ProvisioningStub(connection), bytes.fromhex(told.auth), device, told.firmware.read_bytes())
        except RefusedByEdgeHsm as refused:
            print(json.dumps({"refused": str(refused)}))
            return 1
    print(json.dumps(made))
    return 0


def provision(stub: ProvisioningStub, auth_id: bytes, device: OpensslDevice, firmware: bytes) -> dict[str, object]:
    """Two round trips. Raises RefusedByEdgeHsm."""
    digest, named = sha256(firmware).digest(), DeviceId(soc=device.soc, uid=device.uid)
    issue = DeviceStep(step_id=1, auth_id=auth_id, device=named, issue=IssueStep(csr_der=device.request()))
    program = DeviceStep(step_id=2, auth_id=auth_id, device=named, firmware=FirmwareStep(firmware_digest=digest))
    issued, _ = ask(stub, issue, program)
    # ... here a station would write certificates and firmware into the chip, and lock it ...
    outcome = finished(device, digest, auth_id, issued.issued.boundary_nonce)
    (told,) = ask(stub, DeviceStep(step_id=3, auth_id=auth_id, device=named, outcome=outcome))
    return {
        "dac": ssl.DER_cert_to_PEM_cert(issued.issued.dac_der),
        "issue_leaf": issued.issued.log_index,
        "outcome_leaf": told.outcome.log_index,
        "evidence": EvidenceLevel.Name(told.outcome.evidence),
        "repeated": issued.issued.repeated_answer,
    }


def finished(device: OpensslDevice, firmware_digest: bytes, auth_id: bytes, nonce: bytes) -> OutcomeStep:
    """The outcome, kept beside the key before it is sent: a PASS is recorded once, so it is repeated byte for byte."""
    kept = device.key_file.with_suffix(".outcome")
    if kept.exists():
        return OutcomeStep.FromString(kept.read_bytes())
    report = DeviceReport(
        auth_id=auth_id,
        device=DeviceId(soc=device.soc, uid=device.uid),
        boundary_nonce=nonce,
        firmware_digest=firmware_digest,
        lifecycle=Lifecycle.LIFECYCLE_LOCKED,
        debug_state=DebugState.DEBUG_STATE_LOCKED,
    )
    outcome = OutcomeStep(passed=True, report=device.sign(report))
    kept.write_bytes(outcome.SerializeToString())
    return outcome


class RefusedByEdgeHsm(Exception):
    """The gate said no."""


def ask(stub: ProvisioningStub, *steps: DeviceStep) -> list[StepReply]:
    """The replies in the order of the steps, from one message."""

    def requests() -> Iterator[ProvisionRequest]:
        yield ProvisionRequest(steps=steps)

    replies: dict[int, StepReply] = {}
    for response in stub.Provision(requests(), timeout=20):
        replies |= {reply.step_id: reply for reply in response.replies}
        if len(replies) == len(steps):
            break
    for reply in replies.values():
        if reply.HasField("refused"):
            raise RefusedByEdgeHsm(f"{Reason.Name(reply.refused.reason)}: {reply.refused.what}")
    return [replies[step.step_id] for step in steps]


def channel(told: argparse.Namespace) -> grpc.Channel:
    """Mutual TLS; the server must carry the name it was asked for."""
    credentials = grpc.ssl_channel_credentials(
        told.site_ca.read_bytes(), told.key.read_bytes(), told.chain.read_bytes()
    )
    return grpc.secure_channel(told.edgehsm, credentials, [("grpc.ssl_target_name_override", told.name)])


def arguments() -> argparse.Namespace:
    """What the README says."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("edgehsm", "name", "auth", "soc", "uid"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("key", "chain", "site-ca", "firmware"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--device-key", type=Path, help="keep the device's key in this file, to ask again later")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
