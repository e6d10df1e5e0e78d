"""Cosigned checkpoints: the cloud's word for how much of the log it has, the only licence to prune and what renews leases.

The highest one is kept in the ledger and, once more, in a file of its own beside it: a ledger restored from a snapshot
meets a cosigned checkpoint that it does not contain, and the boundary does not start.
"""

from __future__ import annotations

from typing import Final

from edgehsm.boundary.book import Book
from obis.refusal import Refused
from obis.trust.checkpoint import Checkpoint, verify_cosignature, verify_note, witness_name
from obis.v1.reason_pb2 import Reason
from obis.v1.trust_root_pb2 import RootRole

KIND: Final = "cosigned"
WHERE: Final = "cosigned checkpoint"


def take_cosigned(book: Book, note: bytes) -> bool:
    """Whether it is higher than the one held, and held from now on. Raises Refused, BROKEN_CHAIN if it is not ours."""
    checkpoint, seen_at = read_cosigned(book, note)
    book.log.require_contains(checkpoint, WHERE)
    held = book.holdings
    if checkpoint.size < held.cosigned_size:
        return False
    held.cosigned_size = checkpoint.size
    # When the witness saw it, not when it came: an old cosignature shown again renews no lease.
    held.cosigned_at = max(held.cosigned_at, min(seen_at, book.now))
    book.ledger.seen_up_to(checkpoint.size)
    book.keep(KIND, b"", note, max(held.views))
    return True


def read_cosigned(book: Book, note: bytes) -> tuple[Checkpoint, int]:
    """The checkpoint and when it was cosigned (Unix seconds), signed by this log's key and by a WITNESS of any trust root held. Raises Refused."""
    verify_note(note, book.log.origin, book.log.spki_der)
    held = book.holdings
    name = witness_name(held.place.fingerprint)
    keys = {key.spki_der for view in held.views.values() for key in view.keys_of(RootRole.ROOT_ROLE_WITNESS)}
    refused: Refused | None = None
    for spki_der in sorted(keys):
        try:
            return verify_cosignature(note, name, spki_der)
        except Refused as error:
            refused = error
    raise refused or Refused(Reason.REASON_ROLE_NOT_HELD, "the trust root names no witness", WHERE)
