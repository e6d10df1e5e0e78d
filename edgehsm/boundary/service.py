"""One request to one reply: decide, then commit, then answer. The order is the invariant.

`decide` changes memory and says what must become durable; `commit` makes it so; only then may the reply leave. The
server (`server`) is the only caller. If the disk is full nothing of the request is kept: memory is rebuilt from the store by the
same code as at a start, and every asker is told STORAGE_FULL.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import structlog

from edgehsm.boundary import codec, enrolment
from edgehsm.boundary.admission.roots import KIND as ROOT_KIND
from edgehsm.boundary.book import Book, draw
from edgehsm.boundary.changes import Changes, Stored
from edgehsm.boundary.clock import Clocks
from edgehsm.boundary.element import Element
from edgehsm.boundary.holdings import Place
from edgehsm.boundary.restore import ENROLMENT_KIND, open_book, restore
from edgehsm.boundary.store import StorageFull, Store
from edgehsm.boundary.witnessed import KIND as COSIGNED_KIND
from edgehsm.durable import replace_file
from obis.refusal import Refused
from obis.v1.boundary_pb2 import BeginEnrolment, BoundaryReply, BoundaryRequest, EnrolmentFinished
from obis.v1.enrolment_pb2 import GetEdgeHsmEnrolmentResponse
from obis.v1.envelope_pb2 import Envelope
from obis.v1.leaf_pb2 import IncarnationLeaf, LogLeaf
from obis.v1.reason_pb2 import Reason

_log = structlog.get_logger("boundary")
SOFTWARE_VERSION = f"obis-mesh {version('obis-mesh')}"


class Boundary:
    """The room: element, store and book, and the machine's clocks."""

    def __init__(
        self, place: Place, element: Element, store: Store, cosigned_file: Path, machine: Callable[[], Clocks]
    ) -> None:
        """Raises StoreUnusable for a ledger that does not verify."""
        self._place = place
        self._element = element
        self._store = store
        self._cosigned_file = cosigned_file
        self._machine = machine
        self._early = Changes()  # what enrolment keeps before there is a book
        self._book = restore(place, element, store, cosigned_file)
        if self._book is not None:
            self._book.begin(machine())
            self._write_incarnation(self._book)
            self.commit()
        # A million devices are long-lived objects; without this each full collection would walk them all.
        gc.freeze()

    @property
    def epoch(self) -> int:
        """The epoch, 0 before the enrolment is finished."""
        return self._book.holdings.place.epoch if self._book else 0

    @property
    def log_size(self) -> int:
        """Leaves."""
        return self._book.log.size if self._book else 0

    def decide(self, request: BoundaryRequest) -> BoundaryReply:
        """The answer, which may leave after `commit` alone."""
        reply = BoundaryReply(request_id=request.request_id)
        try:
            self._decide(request, reply)
        except Refused as refused:
            codec.refuse(reply.refused, refused)
        except OSError as error:
            # The element could not keep a new key. It is asked before anything else changes, so nothing has.
            _log.warning("no room for a key", why=error.strerror)
            codec.refuse(reply.refused, Refused(Reason.REASON_STORAGE_FULL, "no room for a key", "element"))
        return reply

    def commit(self) -> None:
        """Make durable what was decided. Raises StorageFull after putting memory back to what is kept."""
        changes = self._take_changes()
        if changes.empty:
            return
        try:
            self._store.commit(changes)
        except StorageFull:
            self._book = restore(self._place, self._element, self._store, self._cosigned_file)
            raise
        for stored in changes.objects:
            if stored.kind == COSIGNED_KIND:
                self._keep_beside(stored.content)

    def _keep_beside(self, note: bytes) -> None:
        """The ledger has it; the second copy is for the day on which the ledger is another one."""
        try:
            replace_file(self._cosigned_file, note)
        except OSError as error:
            _log.warning("the cosigned checkpoint is kept in the ledger alone", why=error.strerror)

    def tick(self) -> None:
        """Nobody asks: windows end all the same."""
        if self._book is not None:
            self._book.begin(self._machine())
            self._book.sweep()
            self._book.keep_time()
            self.commit()

    def _decide(self, request: BoundaryRequest, reply: BoundaryReply) -> None:
        intent = request.WhichOneof("intent")
        if intent == "begin_enrolment":
            reply.enrol_request.CopyFrom(self._begin_enrolment(request.begin_enrolment))
        elif intent == "finish_enrolment":
            reply.finished.CopyFrom(self._finish_enrolment(request.finish_enrolment))
        elif intent is None:
            raise Refused(Reason.REASON_MALFORMED, "the request has no intent", "boundary request")
        elif self._book is None:
            raise Refused(Reason.REASON_NOT_ENROLLED, "this EdgeHSM is not enrolled yet", "boundary")
        else:
            self._book.begin(self._machine())
            self._book.sweep()
            codec.INTENTS[intent](self._book, self._store, request, reply)

    def _begin_enrolment(self, begin: BeginEnrolment) -> Envelope:
        """The same request again for the same ticket."""
        kept = {each.kind: each.content for each in self._store.objects()}
        ticket = begin.ticket.SerializeToString(deterministic=True)
        if kept.get(enrolment.TICKET_KIND) == ticket:
            return Envelope.FromString(kept[enrolment.REQUEST_KIND])
        if self._book is not None:
            raise Refused(Reason.REASON_STATE_CONFLICT, "enrolled already; another epoch needs a new ledger", "ticket")
        now = self._machine().wall
        request = enrolment.begin(self._place, self._element, begin.ticket, SOFTWARE_VERSION, now)
        self._early.objects += [
            Stored(enrolment.TICKET_KIND, b"", ticket, 0, now),
            Stored(enrolment.REQUEST_KIND, b"", request.SerializeToString(deterministic=True), 0, now),
        ]
        return request

    def _finish_enrolment(self, answer: GetEdgeHsmEnrolmentResponse) -> EnrolmentFinished:
        """From here on there is a book, and its first leaf is an incarnation."""
        if self._book is None:
            kept = {each.kind: each.content for each in self._store.objects()}
            if enrolment.TICKET_KIND not in kept:
                raise Refused(Reason.REASON_STATE_CONFLICT, "no enrolment was begun here", "finish_enrolment")
            ticket, clocks = Envelope.FromString(kept[enrolment.TICKET_KIND]), self._machine()
            book = open_book(self._place, self._element, self._store, ticket, answer, now=clocks.wall)
            book.begin(clocks)
            book.keep(ENROLMENT_KIND, b"", answer.SerializeToString(deterministic=True))
            for number, envelope in enumerate(answer.trust_roots, 1):
                book.keep(ROOT_KIND, number.to_bytes(4), envelope.SerializeToString(deterministic=True))
            self._write_incarnation(book)
            self._book = book
        place = self._book.holdings.place
        return EnrolmentFinished(factory_id=place.factory_id, edgehsm_id=place.edgehsm_id, epoch=place.epoch)

    def _write_incarnation(self, book: Book) -> None:
        """Two copies of one state differ from here on."""
        leaf = IncarnationLeaf(
            incarnation=draw(32),
            previous_root=book.log.root(),
            boot_id=book.clocks.boot_id,
            software_version=SOFTWARE_VERSION,
        )
        book.write(LogLeaf(incarnation=leaf))

    def _take_changes(self) -> Changes:
        if self._early.empty and self._book is not None and not self._book.changes.empty:
            return self._book.take_changes()
        early, self._early = self._early, Changes()
        return early
