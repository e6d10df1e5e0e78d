"""Decides what to do with a page of an EdgeHSM's log: keep it, know it, ask for another, refuse it, or freeze the log.

The courier in between is not trusted: a page may be late, twice, cut or altered. EdgeHSM is not trusted to remember: its
state may have been set back and used again. So the two are told apart by what each cannot fake:

1. The checkpoint is signed by the log key of the EnrolmentApproval (checked before this decision is asked for).
2. The leaves, appended to the tree held here up to where the page begins, give the checkpoint's root: the page is
   EdgeHSM's and follows from what is held. A proof that comes with it must say the same; a courier that joined pages
   has none for the whole, and the leaves prove as much.
3. Only one of the two holds: the other was damaged on the way. DAMAGED; nothing is kept, the log is not frozen. The
   same where the leaves do not fit and no proof came: then EdgeHSM's own page is asked for.
4. A proof came and neither holds: EdgeHSM signed a tree that does not continue the one held. FORKED.
5. The leaves are EdgeHSM's (rule 2) and differ from leaves held at the same place: FORKED, too.
6. The root at the size the witness last saw is the root the witness saw; else FORKED. This finds a cloud database that
   was itself set back and then given another history.

Sources: RFC 6962 section 2.1; C2SP tlog-witness (a proof that fails is refused, never stored).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from obis.refusal import Refused
from obis.trust.checkpoint import Checkpoint
from obis.trust.merkle import Frontier, leaf_hash, verify_consistency
from obis.v1.reason_pb2 import Reason


@dataclass(frozen=True)
class Page:
    """A run of leaves, with its checkpoint (its signature checked) and the proof from `first` to it."""

    first: int
    leaves: Sequence[bytes]
    checkpoint: Checkpoint
    proof: Sequence[bytes]


@dataclass(frozen=True)
class Held:
    """What the cloud holds of a log. `frontier_at` and `hashes` reach below `size`; the witness may be ahead of it."""

    size: int
    frontier_at: Callable[[int], Frontier]
    hashes: Callable[[int, int], Sequence[bytes]]  # leaf hashes of [first, end)
    witnessed_size: int
    witnessed_root: bytes


@dataclass(frozen=True)
class Accept:
    """Keep these leaves: `hashes` are theirs, from index `first_new` on."""

    first_new: int
    hashes: Sequence[bytes]
    frontier: Frontier


@dataclass(frozen=True)
class Repeat:
    """All of it is held already, the same."""


@dataclass(frozen=True)
class Gap:
    """Leaves before this page are missing: go on at the held size."""


@dataclass(frozen=True)
class Damaged:
    """Altered on the way."""

    reason: Reason.ValueType
    what: str


@dataclass(frozen=True)
class Forked:
    """EdgeHSM signed two histories."""

    what: str


Verdict: TypeAlias = Accept | Repeat | Gap | Damaged | Forked


def judge(page: Page, held: Held) -> Verdict:
    """The verdict on a page."""
    end = page.first + len(page.leaves)
    if page.checkpoint.size != end:
        return Damaged(
            Reason.REASON_MALFORMED, f"the checkpoint is of size {page.checkpoint.size}, the page ends at {end}"
        )
    if page.first > held.size:
        return Gap()
    base = held.frontier_at(page.first)
    hashes = [leaf_hash(leaf) for leaf in page.leaves]
    grown = base.extend(hashes)
    leaves_fit = grown.root() == page.checkpoint.root
    if leaves_fit and (not page.proof or _continues(page, base)):
        return _fits(page, held, hashes, grown)
    return _mismatch(page, base, leaves_fit=leaves_fit)


def _continues(page: Page, base: Frontier) -> bool:
    """Rule 2, the proof."""
    try:
        verify_consistency(page.first, page.checkpoint.size, page.proof, base.root(), page.checkpoint.root)
    except Refused:
        return False
    return True


def _mismatch(page: Page, base: Frontier, *, leaves_fit: bool) -> Verdict:
    """Rules 3 and 4."""
    if leaves_fit or not page.proof or _continues(page, base):
        part = "proof" if leaves_fit else "leaves"
        return Damaged(Reason.REASON_DIGEST_MISMATCH, f"the {part} of the page are not those of its checkpoint")
    return Forked(f"the checkpoint of size {page.checkpoint.size} does not continue the log held up to {page.first}")


def _fits(page: Page, held: Held, hashes: Sequence[bytes], grown: Frontier) -> Verdict:
    """Rules 5 and 6."""
    known = min(held.size, page.checkpoint.size) - page.first
    if list(held.hashes(page.first, page.first + known)) != list(hashes[:known]):
        return Forked(f"a leaf at or after {page.first} differs from the one held")
    if known == len(hashes):
        return Repeat()
    first_new = page.first + known
    if first_new < held.witnessed_size <= grown.size:
        at_witness = held.frontier_at(held.size).extend(hashes[known : held.witnessed_size - page.first])
        if at_witness.root() != held.witnessed_root:
            return Forked(f"the log differs from what was witnessed at size {held.witnessed_size}")
    return Accept(first_new, hashes[known:], grown)
