"""Puts proposals on the table: fixes the bytes, the role and the threshold, and keeps them for signatures.

What a payload says is decided by whoever drafts it (`workspace`, `grants`, `factories`); here it only becomes a proposal.
"""

from __future__ import annotations

from hashlib import sha256
from secrets import token_bytes
from typing import TypeVar

from google.protobuf.message import Message
from sqlmodel import Session, col, select

from cloud.roots import Roots
from cloud.store.governance import ProposalRow, ProposalSignatureRow
from obis.refusal import Refused
from obis.trust.envelope import make_envelope
from obis.trust.payload import PayloadType
from obis.v1.envelope_pb2 import Envelope, Sig
from obis.v1.grants_pb2 import Proposal, ProposalState
from obis.v1.reason_pb2 import Reason

_M = TypeVar("_M", bound=Message)


def propose(
    session: Session,
    roots: Roots,
    payload_type: PayloadType[_M],
    message: _M,
    *,
    proposer: str,
    subject: bytes,
    title: str,
    now: int,
) -> ProposalRow:
    """A new open proposal about `subject`. Raises Refused STATE_CONFLICT where one is open already.

    Raises Refused for a payload the type does not allow, so that nobody is asked to sign one.
    """
    role = payload_type.role
    if role is None:
        raise ValueError("only types with a trust root role gather signatures")
    _require_none_open(session, payload_type, subject)
    envelope = make_envelope(payload_type, message.SerializeToString(deterministic=True))
    row = ProposalRow(
        proposal_id=token_bytes(16),
        payload_type=payload_type.text,
        role=role,
        threshold=roots.view(session).threshold(role),
        payload=envelope.payload,
        payload_digest=sha256(envelope.payload).digest(),
        subject=subject,
        title=title[:200],
        state=ProposalState.PROPOSAL_STATE_PROPOSED,
        proposer=proposer,
        proposed_at=now,
    )
    session.add(row)
    session.flush()
    return row


def signatures_of(session: Session, row: ProposalRow) -> list[ProposalSignatureRow]:
    """In the order envelopes want them: by key id."""
    query = (
        select(ProposalSignatureRow)
        .where(ProposalSignatureRow.proposal_id == row.proposal_id)
        .order_by(col(ProposalSignatureRow.key_id))
    )
    return list(session.exec(query))


def envelope_of(session: Session, row: ProposalRow) -> Envelope:
    """The exact bytes and the signatures so far."""
    signatures = [Sig.FromString(each.signature) for each in signatures_of(session, row)]
    return Envelope(payload=row.payload, payload_type=row.payload_type, signatures=signatures)


def shown(session: Session, row: ProposalRow) -> Proposal:
    """As the contract shows it."""
    return Proposal(
        proposal_id=row.proposal_id,
        envelope=envelope_of(session, row),
        role=row.role,  # type: ignore[arg-type]  # an enum's number, as stored
        threshold=row.threshold,
        state=row.state,  # type: ignore[arg-type]  # the same
        proposer=row.proposer,
        proposed_at=row.proposed_at,
        signed_by=sorted(each.person_id for each in signatures_of(session, row)),
        title=row.title,
    )


def _require_none_open(session: Session, payload_type: PayloadType[_M], subject: bytes) -> None:
    query = select(ProposalRow.proposal_id).where(
        ProposalRow.payload_type == payload_type.text,
        ProposalRow.subject == subject,
        ProposalRow.state == ProposalState.PROPOSAL_STATE_PROPOSED,
    )
    if session.exec(query).first() is not None:
        raise Refused(
            Reason.REASON_STATE_CONFLICT,
            "a proposal about this is open already",
            payload_type.text,
            "withdraw it first",
        )
