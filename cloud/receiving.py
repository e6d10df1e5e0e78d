"""Takes a page of a log in: verdict, one transaction, the witness, then the cosignature.

1. The checkpoint's signature is checked first, by the log key of the EnrolmentApproval people signed. A page that fails
   here proves nothing about EdgeHSM; it is refused and changes nothing.
2. Leaves, checkpoint, records and counts are one transaction; a crash leaves all of it or none.
3. Then the witness moves, then the cosignature goes out. A crash in between heals at the next contact (`catch_up`).
4. A forked log is frozen, with both branches kept; from then on nothing of it is accepted or cosigned.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import structlog
from sqlmodel import Session

from cloud.intake import Accept, Damaged, Forked, Gap, Held, Page, Repeat, judge
from cloud.projection import Run, project
from cloud.store import Store, leaves
from cloud.store.evidence import ForkRow, LogRow
from cloud.store.sites import EdgeHsmRow
from cloud.witness import Witness, Witnessed
from obis.refusal import Refused, word
from obis.trust.checkpoint import log_origin, verify_note
from obis.v1.delivery_pb2 import LogPage
from obis.v1.enrolment_objects_pb2 import EnrolmentApproval
from obis.v1.envelope_pb2 import Envelope
from obis.v1.factories_pb2 import EdgeHsmState
from obis.v1.factory_link_pb2 import Cosignature, EdgeHsmCursor, LogFrozen, PageRefused, SyncResponse
from obis.v1.reason_pb2 import Reason

_FROZEN = "its log forked or went back; two people decide what happens to it"
_log = structlog.get_logger("cloud")


def wall_clock_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 10**6


@dataclass(frozen=True)
class Seen:
    """What became of a page in its transaction: an answer to send now, or the log's size for the witness."""

    answer: SyncResponse | None
    size: int = 0


class Receiver:
    """The intake of one cloud process. Pages of one log must come one at a time; the link sees to that."""

    def __init__(self, store: Store, witness: Witness, now_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._store, self._witness, self._now_ms = store, witness, now_ms

    async def take(self, page: LogPage, factory_id: str) -> SyncResponse:
        """Keep a page and say so: Cosignature, EdgeHsmCursor, PageRefused or LogFrozen. Raises Refused NOT_FOUND."""
        witnessed = self._witness.last(page.edgehsm_id, page.epoch)
        try:
            seen = await self._store.write(partial(self._take, page=page, factory_id=factory_id, witnessed=witnessed))
        except Refused as refusal:
            if refusal.reason == Reason.REASON_NOT_FOUND:
                raise
            return refused(page, refusal.reason, refusal.what)
        if seen.answer is not None:
            return seen.answer
        return await self.catch_up(page.edgehsm_id, page.epoch)

    async def catch_up(self, edgehsm_id: str, epoch: int) -> SyncResponse:
        """Bring the witness up to what is durable; the last cosignature, or where to go on while there is none."""
        return await self._store.read(partial(self._catch_up, edgehsm_id=edgehsm_id, epoch=epoch))

    def _take(self, session: Session, page: LogPage, factory_id: str, witnessed: Witnessed) -> Seen:
        edgehsm = find_edgehsm(session, page.edgehsm_id, page.epoch, factory_id)
        if edgehsm.state == EdgeHsmState.EDGE_HSM_STATE_FROZEN:
            return Seen(frozen(edgehsm))
        checkpoint = verify_note(page.checkpoint, log_origin(page.edgehsm_id, page.epoch), log_key(edgehsm))
        log = leaves.log_row(session, page.edgehsm_id, page.epoch)
        at = (session, page.edgehsm_id, page.epoch)
        held = Held(
            log.size,
            partial(leaves.frontier_at, *at),
            partial(leaves.held_hashes, *at),
            witnessed.size,
            witnessed.root,
        )
        verdict = judge(Page(page.first_index, page.leaves, checkpoint, page.consistency_proof), held)
        match verdict:
            case Accept():
                self._keep(session, edgehsm, log, page, verdict)
                return Seen(None, log.size)
            case Repeat():
                log.repeats += len(page.leaves)
                session.add(log)
                return Seen(None, log.size)
            case Gap():
                return Seen(cursor(page.edgehsm_id, page.epoch, log.size))
            case Damaged():
                return Seen(refused(page, verdict.reason, verdict.what))
            case Forked():
                return Seen(self._freeze(session, edgehsm, log, page, verdict.what))

    def _keep(self, session: Session, edgehsm: EdgeHsmRow, log: LogRow, page: LogPage, verdict: Accept) -> None:
        fresh = page.leaves[verdict.first_new - page.first_index :]
        now_ms = self._now_ms()
        leaves.add_leaves(session, log, verdict.first_new, fresh, verdict.hashes)
        leaves.add_checkpoint(session, log, verdict.frontier, page.checkpoint, now_ms // 1000)
        log.repeats += verdict.first_new - page.first_index
        log.size = edgehsm.log_size = verdict.frontier.size
        edgehsm.last_page_at = now_ms // 1000
        session.add(log)
        session.add(edgehsm)
        project(Run(session, page.edgehsm_id, page.epoch, edgehsm.factory_id, now_ms), verdict.first_new, list(fresh))

    def _freeze(self, session: Session, edgehsm: EdgeHsmRow, log: LogRow, page: LogPage, what: str) -> SyncResponse:
        content = page.SerializeToString(deterministic=True)
        row = {"edgehsm_id": page.edgehsm_id, "epoch": page.epoch, "page_digest": sha256(content).digest()}
        row |= {"page": content, "what": what[:200], "held_size": log.size, "received_at": self._now_ms() // 1000}
        leaves.insert_new(session, ForkRow, [row])
        edgehsm.state = EdgeHsmState.EDGE_HSM_STATE_FROZEN
        session.add(edgehsm)
        _log.error("log frozen", edgehsm=page.edgehsm_id, epoch=page.epoch, why=what, held=log.size)
        return frozen(edgehsm, what)

    def _catch_up(self, session: Session, edgehsm_id: str, epoch: int) -> SyncResponse:
        log = session.get(LogRow, (edgehsm_id, epoch))
        size = log.size if log else 0
        seen = self._witness.last(edgehsm_id, epoch)
        if size > seen.size or (size == 0 and not seen.note):
            note = leaves.last_note(session, edgehsm_id, epoch, size)
            if not note:
                return cursor(edgehsm_id, epoch, size)
            seen = self._witness.advance(edgehsm_id, epoch, seen, note, self._now_ms() // 1000)
        if size < seen.size:
            return cursor(edgehsm_id, epoch, size)
        return SyncResponse(
            cosignature=Cosignature(edgehsm_id=edgehsm_id, epoch=epoch, size=seen.size, checkpoint=seen.note)
        )


def find_edgehsm(session: Session, edgehsm_id: str, epoch: int, factory_id: str) -> EdgeHsmRow:
    """The enrolled (or frozen) EdgeHSM of the calling factory. Raises Refused NOT_FOUND, for a foreign one too."""
    row = session.get(EdgeHsmRow, (edgehsm_id, epoch))
    if row is None or row.factory_id != factory_id or not row.approval:
        raise Refused(Reason.REASON_NOT_FOUND, f"no EdgeHSM {edgehsm_id}/{epoch} at this factory", "edgehsm_id")
    return row


def log_key(edgehsm: EdgeHsmRow) -> bytes:
    """DER SubjectPublicKeyInfo of the log key people approved; their signatures were checked when they signed."""
    approval = EnrolmentApproval.FromString(Envelope.FromString(edgehsm.approval).payload)
    return approval.keys.log_spki_der


def cursor(edgehsm_id: str, epoch: int, size: int, delivered_up_to: int = 0) -> SyncResponse:
    """Where a log goes on."""
    return SyncResponse(
        cursor=EdgeHsmCursor(edgehsm_id=edgehsm_id, epoch=epoch, size=size, delivered_up_to=delivered_up_to)
    )


def refused(page: LogPage, reason: Reason.ValueType, what: str) -> SyncResponse:
    """A page that was altered on the way."""
    return SyncResponse(
        page_refused=PageRefused(
            edgehsm_id=page.edgehsm_id,
            epoch=page.epoch,
            first_index=page.first_index,
            reason=word(reason),
            what=what,
        )
    )


def frozen(edgehsm: EdgeHsmRow, what: str = _FROZEN) -> SyncResponse:
    """A log that is not accepted any more."""
    return SyncResponse(frozen=LogFrozen(edgehsm_id=edgehsm.edgehsm_id, epoch=edgehsm.epoch, what=what))
