"""What one stream still has to send of one log, and the pages it sends: those that wait, joined.

Joined pages carry the last one's checkpoint and no proof for the whole: their leaves prove as much (decision 5).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from factory.buffer import Buffer, LogId
from obis.v1.delivery_pb2 import LogPage

LINGER_SECONDS: Final = 0.5
JOINED_LEAVES: Final = 500
_JOINED_BYTES: Final = 900 * 1024  # a message holds 1 MiB


@dataclass
class Outgoing:
    """What this stream still has to send of one log. It lives as long as the stream."""

    next_index: int
    results_sent: int
    ahead: list[int] = field(default_factory=list)  # ends of pages sent and not cosigned
    stopped: bool = False
    joins: bool = True
    sent_at: float = 0.0
    evidence_sent: int = 0


def joined(buffer: Buffer, log: LogId, index: int, limit: int) -> LogPage | None:
    """The page with leaf `index`, and those after it while all together have at most `limit` leaves and 900 KiB.

    Joined, they carry the last one's checkpoint and no proof. None if leaf `index` is not here.
    """
    first = buffer.page_with(log, index)
    if first is None:
        return None
    page = LogPage.FromString(first.content)
    size = len(first.content)
    while len(page.leaves) < limit and (after := buffer.page_with(log, page.first_index + len(page.leaves))):
        size += len(after.content)
        more = LogPage.FromString(after.content)
        if size > _JOINED_BYTES or len(page.leaves) + len(more.leaves) > limit:
            break
        page.leaves.extend(more.leaves)
        page.checkpoint = more.checkpoint
        del page.consistency_proof[:]
    return page
