"""An approver's sitting: the queue of proposals that wait for this person, read, judged and signed with one passphrase.

For each proposal, in this order:
 1. Its bytes are rendered here (obis.cli.rendering).
 2. They are judged here (obis.cli.judgement) against the trust root walked from the pinned fingerprint: a proposal that
    does not hold is not signed, whatever the cloud says of it.
 3. The person says yes.
 4. The key signs the PAE of exactly those bytes; the cloud verifies and counts persons.

The queue leaves out what the person proposed or signed, and what no key of theirs may sign.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from obis.cli.approver_key import ApproverKey
from obis.cli.connection import Cloud, connect_enrolment
from obis.cli.judgement import Finding, judge, must_not_sign
from obis.cli.profile import Mesh
from obis.cli.rendering import kind_of_object, render
from obis.refusal import Refused
from obis.trust.envelope import sign_with
from obis.trust.trust_root import TrustRootView, walk
from obis.v1.grants_pb2 import GetProposalRequest, ListProposalsRequest, Proposal, SignProposalRequest
from obis.v1.reason_pb2 import Reason


@dataclass(frozen=True)
class Review:
    """One proposal as the approver's own machine sees it."""

    proposal: Proposal
    kind: str
    text: str
    findings: tuple[Finding, ...]


async def fetch_root(mesh: Mesh) -> TrustRootView:
    """The newest trust root, walked from the pinned fingerprint. Raises Refused where it does not lead there."""
    from obis.v1.enrolment_pb2 import GetTrustRequest

    async with connect_enrolment(mesh) as enrolment:
        answer = await enrolment.GetTrust(GetTrustRequest(), timeout=30)
    return walk(answer.trust_roots, mesh.fingerprint)


async def queue(cloud: Cloud, root: TrustRootView, key: ApproverKey) -> list[Proposal]:
    """Open proposals that this key may sign and its person has neither proposed nor signed, oldest first."""
    answer = await cloud.grants.ListProposals(ListProposalsRequest(open_only=True), timeout=30)
    return [each for each in answer.proposals if _waits_for(each, root, key)]


async def find(cloud: Cloud, proposal_id: bytes) -> Proposal:
    """One proposal."""
    return (await cloud.grants.GetProposal(GetProposalRequest(proposal_id=proposal_id), timeout=30)).proposal


async def review(cloud: Cloud, root: TrustRootView, proposal: Proposal) -> Review:
    """Steps 1 and 2. Raises Refused for bytes that cannot be shown in full."""
    kind, payload_type = kind_of_object(proposal.envelope)
    text = render(proposal.envelope)
    verified = root.verify_partial(proposal.envelope, payload_type)
    return Review(proposal, kind, text, tuple(await judge(cloud, root, verified)))


async def sign(cloud: Cloud, reviewed: Review, key: ApproverKey) -> Proposal:
    """Step 4. Raises Refused where a finding forbids it, or where the cloud refuses."""
    if reason := must_not_sign(reviewed.findings):
        raise Refused(Reason.REASON_STATE_CONFLICT, f"not signed: {reason}", reviewed.kind)
    _, payload_type = kind_of_object(reviewed.proposal.envelope)
    signature = sign_with(payload_type, reviewed.proposal.envelope.payload, key)
    request = SignProposalRequest(proposal_id=reviewed.proposal.proposal_id, signature=signature)
    return (await cloud.grants.SignProposal(request, timeout=60)).proposal


async def sign_queue(
    cloud: Cloud,
    root: TrustRootView,
    key: ApproverKey,
    proposals: list[Proposal],
    yes: Callable[[Review], Awaitable[bool]],
) -> list[Proposal]:
    """A sitting: each proposal reviewed, then signed if `yes`; those signed, as they stand now."""
    signed = []
    for each in proposals:
        reviewed = await review(cloud, root, each)
        if await yes(reviewed):
            signed.append(await sign(cloud, reviewed, key))
    return signed


def _waits_for(proposal: Proposal, root: TrustRootView, key: ApproverKey) -> bool:
    if key.key_id not in root.keys:
        raise Refused(
            Reason.REASON_KEY_UNKNOWN,
            "the trust root does not know this key",
            key.key_id,
            "give --key with another file",
        )
    person = root.holder(key.key_id)
    may = key.key_id in {each.key_id for each in root.keys_of(proposal.role)}
    return may and person != proposal.proposer and person not in proposal.signed_by
