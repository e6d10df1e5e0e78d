"""What is told from time to time: RevocationLists and Beacons. Each has its own rising sequence; an older one is refused.

A RevocationList is the full list of what is stopped. Taking it closes what it names, at once and for good: the
AUTHORIZATION_CLOSED leaves behind the REVOCATION leaf are the proof that it is enforced, and how much was made until
then. It lowers quantities and never raises one. A Beacon moves the clock's lower bound.
"""

from __future__ import annotations

from typing import Final

from edgehsm.boundary.book import Book
from obis.refusal import Refused
from obis.trust.payload import BEACON, REVOCATION_LIST
from obis.trust.trust_root import Verified
from obis.v1.envelope_pb2 import Envelope
from obis.v1.leaf_pb2 import CloseReason, LogLeaf, RevocationLeaf, TimeLeaf
from obis.v1.reason_pb2 import Reason
from obis.v1.revocation_pb2 import Beacon, RevocationList

REVOCATIONS_KIND: Final = "revocations"
BEACON_KIND: Final = "beacon"
LATEST_TIME: Final = 2**37  # a day in the year 6325: a later one, which never goes back, is no date that libraries know
BEACON_LEAF_SECONDS: Final = 3600  # beacons come with every contact; a leaf an hour shows that they do


def admit_revocations(book: Book, envelope: Envelope) -> None:
    """Enforce a newer list. Raises Refused."""
    verified = book.holdings.view.verify(envelope, REVOCATION_LIST)
    held = book.holdings
    if verified.digest == held.revocation_digest:
        raise Refused(Reason.REASON_ALREADY_ADMITTED, "this list is held", "revocation list")
    if verified.message.sequence <= held.revocations.sequence:
        raise Refused(Reason.REASON_REVOCATION_STALE, f"list {held.revocations.sequence} is held", "revocation list")
    hold_revocations(book, verified)
    version = max(held.views)
    book.keep(REVOCATIONS_KIND, b"", envelope.SerializeToString(deterministic=True), version)
    leaf = RevocationLeaf(sequence=verified.message.sequence, payload_digest=verified.digest)
    book.write(LogLeaf(revocation=leaf))
    _close_revoked(book, verified.message)


def hold_revocations(book: Book, verified: Verified[RevocationList]) -> None:
    """Let the list count, lowered quantities included."""
    book.holdings.revoke(verified.message, verified.digest)
    lower_quantities(book)


def lower_quantities(book: Book) -> None:
    """What the list held says of Authorizations held; nothing is ever raised."""
    for lowered in book.holdings.revocations.lowered:
        standing = book.standing(lowered.auth_id)
        if standing is not None:
            standing.quantity = min(standing.quantity, lowered.quantity)


def _close_revoked(book: Book, revocations: RevocationList) -> None:
    auth_ids, grants = set(revocations.auth_ids), set(revocations.grant_digests)
    for standing in list(book.ledger.open.values()):
        if standing.auth_id in auth_ids or standing.grant_digest in grants:
            book.close(standing, CloseReason.CLOSE_REASON_REVOKED)


def admit_beacon(book: Book, envelope: Envelope) -> None:
    """Take a newer lower bound for time. Raises Refused."""
    verified = book.holdings.view.verify(envelope, BEACON)
    held, beacon = book.holdings, verified.message
    if beacon.edgehsm_id not in ("", held.place.edgehsm_id):
        raise Refused(Reason.REASON_WRONG_EDGEHSM, "the beacon is for another EdgeHSM", "beacon")
    if beacon.time > LATEST_TIME:
        raise Refused(Reason.REASON_MALFORMED, "its time is no date", "beacon.time")
    if verified.digest == held.beacon_digest:
        raise Refused(Reason.REASON_ALREADY_ADMITTED, "this beacon is held", "beacon")
    if beacon.sequence <= held.beacon_sequence:
        raise Refused(Reason.REASON_REPLAYED, f"beacon {held.beacon_sequence} is held", "beacon")
    hold_beacon(book, verified)
    book.keep(BEACON_KIND, b"", envelope.SerializeToString(deterministic=True), max(held.views))
    book.take_beacon(beacon.time)
    if beacon.time - book.last_beacon_leaf >= BEACON_LEAF_SECONDS:
        _write_leaf(book, beacon)


def hold_beacon(book: Book, verified: Verified[Beacon]) -> None:
    """Older ones are refused from here on."""
    book.holdings.beacon_sequence, book.holdings.beacon_digest = verified.message.sequence, verified.digest


def _write_leaf(book: Book, beacon: Beacon) -> None:
    book.last_beacon_leaf = beacon.time
    leaf = TimeLeaf(
        beacon_sequence=beacon.sequence, beacon_time=beacon.time, wall_clock=max(book.scene.reading.claimed, 0)
    )
    book.write(LogLeaf(time=leaf))
