"""Device steps as messages, and replies as values: the one place that knows both."""

from __future__ import annotations

from obis.refusal import Refused
from obis.v1.provisioning_pb2 import DeviceStep, FirmwareStep, IssueStep, OutcomeStep, StepRefusal, StepReply
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import DeviceId
from station.actions import Answer, Ask, Issued, Tell, Told


def asked(auth_id: bytes, device: DeviceId, ask: Ask) -> list[DeviceStep]:
    """Issue and firmware steps, in this order."""
    issue = IssueStep(csr_der=ask.key.csr_der, key_agreement_spki_der=ask.key.key_agreement_spki_der)
    firmware = FirmwareStep(firmware_digest=ask.firmware_digest)
    return [
        DeviceStep(auth_id=auth_id, device=device, issue=issue),
        DeviceStep(auth_id=auth_id, device=device, firmware=firmware),
    ]


def outcome(tell: Tell, duration_ms: int) -> OutcomeStep:
    """The outcome step."""
    return OutcomeStep(passed=tell.passed, reason=tell.reason, report=tell.report, duration_ms=duration_ms)


def answer(replies: list[StepReply]) -> Answer:
    """The replies to `asked`, in its order; raises Refused MALFORMED for replies of other kinds."""
    issue, firmware = replies
    if issue.WhichOneof("reply") == "refused":
        return Answer(refusal(issue.refused), -1)
    if issue.WhichOneof("reply") != "issued":
        raise _unexpected(issue)
    issued = Issued(
        issue.issued.dac_der, issue.issued.boundary_nonce, issue.issued.log_index, issue.issued.repeated_answer
    )
    if firmware.WhichOneof("reply") == "refused":
        return Answer(issued, refusal(firmware.refused))
    if firmware.WhichOneof("reply") != "firmware":
        raise _unexpected(firmware)
    return Answer(issued, firmware.firmware.log_index)


def recorded(replies: list[StepReply]) -> Told:
    """The reply to an outcome step; raises the gate's Refused, or MALFORMED."""
    (reply,) = replies
    if reply.WhichOneof("reply") == "refused":
        raise refusal(reply.refused)
    if reply.WhichOneof("reply") != "outcome":
        raise _unexpected(reply)
    return Told(reply.outcome.log_index, reply.outcome.evidence)


def refusal(said: StepRefusal) -> Refused:
    """The gate's no as everybody here raises it; a reason this version does not know is INTERNAL."""
    known = said.reason in Reason.values() and said.reason != Reason.REASON_UNSPECIFIED
    return Refused(said.reason if known else Reason.REASON_INTERNAL, said.what, said.where, said.next_step)


def _unexpected(reply: StepReply) -> Refused:
    kind = reply.WhichOneof("reply") or "nothing"
    return Refused(Reason.REASON_MALFORMED, f"EdgeHSM answered a step with {kind}", "StepReply")
