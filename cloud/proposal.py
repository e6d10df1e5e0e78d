"""Proposals as decisions: bytes that wait for a quorum, and when one is reached.

1. The payload is fixed when it is proposed; a signature never changes it.
2. The proposer never counts, and the same person counts once, whatever keys they hold.
3. A Grant's place in the chain is computed by the cloud inside the transaction and checked again at every signature: a
   Grant that another one overtook can no longer be completed.
4. One open proposal a version, an EdgeHSM and epoch: who proposes again withdraws first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from obis.refusal import Refused
from obis.trust.trust_root import Verified
from obis.v1.enrolment_objects_pb2 import EnrolmentApproval, EnrolTicket, TicketSubject
from obis.v1.grant_pb2 import EdgeCap, Grant
from obis.v1.reason_pb2 import Reason
from obis.v1.rule_pb2 import ProductRule


@dataclass(frozen=True)
class ChainPlace:
    """Where the next Grant of a product stands."""

    sequence: int
    previous_digest: bytes
    granted_before: int


def next_place(earlier: Sequence[Verified[Grant]]) -> ChainPlace:
    """After these Grants, in the order of their sequence. Released quantity (`releases`) is given again."""
    given = sum(each.message.total_quantity for each in earlier)
    released = sum(release.quantity for each in earlier for release in each.message.releases)
    return ChainPlace(len(earlier) + 1, earlier[-1].digest if earlier else b"", given - released)


def require_in_place(grant: Grant, earlier: Sequence[Verified[Grant]]) -> None:
    """Raises Refused STATE_CONFLICT where another Grant was signed since this one was proposed."""
    place = next_place(earlier)
    if (grant.sequence, grant.previous_digest) != (place.sequence, place.previous_digest):
        raise Refused(
            Reason.REASON_STATE_CONFLICT,
            f"another Grant of the product was signed since: this one would be {grant.sequence}, now {place.sequence}",
            "sequence",
            "withdraw it and propose again",
        )


def require_new_signer(person: str, proposer: str, signed_by: Sequence[str]) -> None:
    """Raises Refused PROPOSER_SIGNED or ALREADY_SIGNED."""
    if person == proposer:
        raise Refused(Reason.REASON_PROPOSER_SIGNED, "the proposer never counts", "signature")
    if person in signed_by:
        raise Refused(Reason.REASON_ALREADY_SIGNED, f"{person} has signed this already", "signature")


def require_lifetime(rule: ProductRule, place: ChainPlace, total_quantity: int) -> None:
    """Raises Refused LIFETIME_QUANTITY_EXCEEDED with the figures."""
    if place.granted_before + total_quantity > rule.lifetime_quantity:
        left = rule.lifetime_quantity - place.granted_before
        raise Refused(
            Reason.REASON_LIFETIME_QUANTITY_EXCEEDED,
            f"{rule.lifetime_quantity} in the product's lifetime, {place.granted_before} granted, {left} left",
            "total_quantity",
        )


def grant_title(grant: Grant, product: str, label: str) -> str:
    """One line for people."""
    shares = ", ".join(_share(cap) for cap in grant.edge_caps[:3])
    more = f" and {len(grant.edge_caps) - 3} more" if len(grant.edge_caps) > 3 else ""
    return f"Grant {grant.sequence} of {product} {label}: {grant.total_quantity} devices ({shares}{more})"[:200]


def ticket_title(ticket: EnrolTicket) -> str:
    """One line for people."""
    if ticket.subject == TicketSubject.TICKET_SUBJECT_FACTORY:
        return f"Ticket for the Factory Service of {ticket.factory_id}"
    return f"Ticket for EdgeHSM {ticket.edgehsm_id} epoch {ticket.epoch} at {ticket.factory_id}"


def approval_title(approval: EnrolmentApproval, fingerprint: bytes) -> str:
    """One line for people; the fingerprint is what they compared."""
    return (
        f"EdgeHSM {approval.edgehsm_id} epoch {approval.epoch} at {approval.factory_id}, keys {fingerprint.hex()[:16]}…"
    )


def _share(cap: EdgeCap) -> str:
    return f"{cap.edgehsm_id}: {cap.max_quantity}"
