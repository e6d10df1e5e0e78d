"""An EdgeHSM small enough to read, for tests of the station alone: it issues, remembers and refuses.

The real one answers in tests/station/test_end_to_end.py; here a test decides what is answered and when.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from obis.matter import profile
from obis.matter.csr import parse_csr
from obis.v1.provisioning_pb2 import (
    FirmwareReply,
    IssueReply,
    OutcomeReply,
    ProvisionResponse,
    StepRefusal,
    StepReply,
)
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import EvidenceLevel
from tests.obis.matter.pki import PREFIX, pki
from tests.station.orders import PAI

TEMPLATE = pki().template(pai_der=PAI)


@dataclass
class Gate:
    """`messages` are all ProvisionRequests it got; `no` maps a step's kind to a reason it refuses it with."""

    issued: dict[bytes, tuple[bytes, IssueReply]] = field(default_factory=dict)
    outcomes: dict[bytes, object] = field(default_factory=dict)
    messages: list = field(default_factory=list)
    no: dict[str, int] = field(default_factory=dict)
    break_after_messages: int = 0
    leaves: int = 0

    async def __call__(self, requests):
        async for request in requests:
            self.messages.append(request)
            if self.break_after_messages and len(self.messages) <= self.break_after_messages:
                raise broken_stream()
            yield ProvisionResponse(replies=[self.reply(step) for step in request.steps])

    def reply(self, step) -> StepReply:
        kind = step.WhichOneof("step")
        if kind in self.no:
            return refused(step, self.no[kind])
        return getattr(self, kind)(step)

    def issue(self, step) -> StepReply:
        key = parse_csr(step.issue.csr_der)
        if step.device.uid in self.issued:
            held, reply = self.issued[step.device.uid]
            if held != key.spki_digest:
                return refused(step, Reason.REASON_DEVICE_KEY_CHANGED)
            again = IssueReply()
            again.CopyFrom(reply)
            again.repeated_answer = True
            return StepReply(step_id=step.step_id, issued=again)
        tbs = TEMPLATE.tbs(key.point, PREFIX + secrets.token_bytes(8))
        dac = profile.splice(tbs, pki().pai_key.sign(tbs))
        reply = IssueReply(dac_der=dac, boundary_nonce=secrets.token_bytes(16), log_index=self._leaf())
        self.issued[step.device.uid] = (key.spki_digest, reply)
        return StepReply(step_id=step.step_id, issued=reply)

    def firmware(self, step) -> StepReply:
        return StepReply(step_id=step.step_id, firmware=FirmwareReply(log_index=self._leaf()))

    def outcome(self, step) -> StepReply:
        self.outcomes[step.device.uid] = step.outcome
        evidence = EvidenceLevel.EVIDENCE_LEVEL_CHIP_SIGNED
        return StepReply(step_id=step.step_id, outcome=OutcomeReply(log_index=self._leaf(), evidence=evidence))

    def _leaf(self) -> int:
        self.leaves += 1
        return self.leaves


def refused(step, reason) -> StepReply:
    return StepReply(step_id=step.step_id, refused=StepRefusal(reason=reason, what="the test says no"))


def broken_stream():
    import grpc

    return grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "gone")
