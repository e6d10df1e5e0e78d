"""A start: everything that was kept, read back through the code that admitted it, and checked against itself.

 1. The enrolment is finished again from its stored answer, against the fingerprint pinned in the configuration.
 2. Every signed object is verified again, under the trust root version it was admitted under.
 3. The log is hashed anew from its leaves and must have the root kept at the last commit; acts fold into the ledger;
    counted and issued numbers must agree.
 4. The log must contain the highest cosigned checkpoint, from the ledger and from the file beside it (rollback).
What disagrees refuses the start (StoreUnusable). Nothing is repaired here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from edgehsm.boundary import enrolment, site, witnessed
from edgehsm.boundary.admission import authorizations, grants, notices, pais, roots
from edgehsm.boundary.book import CLOCK, ROOT, Book
from edgehsm.boundary.changes import ActKind, Stored
from edgehsm.boundary.clock import Mark
from edgehsm.boundary.deliveries import grant_papers
from edgehsm.boundary.element import Element
from edgehsm.boundary.holdings import Holdings, Place
from edgehsm.boundary.ledger import Ledger
from edgehsm.boundary.log import Log
from edgehsm.boundary.signer import EpochKeys
from edgehsm.boundary.store import Store, StoreUnusable
from obis.refusal import Refused
from obis.trust.payload import AUTHORIZATION, BEACON, REVOCATION_LIST, STATION_TICKET
from obis.trust.trust_root import TrustRootView
from obis.v1.delivery_pb2 import AuthorizationDelivery, GrantDelivery
from obis.v1.enrolment_pb2 import GetEdgeHsmEnrolmentResponse
from obis.v1.envelope_pb2 import Envelope

ENROLMENT_KIND: Final = "enrolment"


def restore(place: Place, element: Element, store: Store, cosigned_file: Path) -> Book | None:
    """The book as it was left; None before the enrolment is finished. Raises StoreUnusable."""
    objects = store.objects()
    by_kind = {each.kind: each for each in objects}
    if ENROLMENT_KIND not in by_kind:
        return None
    try:
        answer = GetEdgeHsmEnrolmentResponse.FromString(by_kind[ENROLMENT_KIND].content)
        ticket = Envelope.FromString(by_kind[enrolment.TICKET_KIND].content)
        book = open_book(place, element, store, ticket, answer, now=None)
        # Roots first: a list or beacon renewed under a later root stands in the place of the first one.
        for stored in sorted(objects, key=lambda each: each.kind != roots.KIND):
            _hold(book, stored)
        notices.lower_quantities(book)
        _fold(book, store)
        _require_contained(book, by_kind.get(witnessed.KIND), cosigned_file)
    except Refused as refused:
        raise StoreUnusable(f"what is kept does not verify: {refused} ({refused.where})") from refused
    except (DecodeError, KeyError, ValueError, TypeError) as error:
        raise StoreUnusable(f"what is kept does not read: {type(error).__name__}") from error
    return book


def open_book(
    place: Place,
    element: Element,
    store: Store,
    ticket: Envelope,
    answer: GetEdgeHsmEnrolmentResponse,
    *,
    now: int | None,
) -> Book:
    """An empty book of an enrolled boundary. Raises Refused."""
    place, enrolled, views = enrolment.finish(place, element, ticket, answer, now=now)
    handle = EpochKeys(place.epoch).log
    log = Log(place.edgehsm_id, place.epoch, element.public(handle), lambda text: element.sign(handle, text))
    return Book(element, Holdings(place, views, enrolled), Ledger(), log, store.leaf)


def _hold(book: Book, stored: Stored) -> None:
    """One object back in its place."""
    if stored.kind == roots.KIND:
        _hold_root(book, stored)
    elif stored.kind == grants.KIND:
        held = grants.read_grant(
            book, _view(book, stored), grant_papers(GrantDelivery.FromString(stored.content)), now=None
        )
        book.holdings.grants[held.digest] = replace(held, admitted_at=stored.at)
    elif stored.kind == grants.REQUEST_KIND:
        request = Envelope.FromString(stored.content)
        grants.hold_product(book, stored.id, b"", request)
    elif stored.kind == pais.KIND:
        pais.hold_pai(book.holdings.products[stored.id[:16]], stored.content)
    elif stored.kind == authorizations.KIND:
        delivery = AuthorizationDelivery.FromString(stored.content)
        verified = _view(book, stored).verify(delivery.authorization, AUTHORIZATION)
        book.ledger.stand(authorizations.read_standing(book, verified, stored.at))
    elif stored.kind == site.CERTIFICATE_KIND:
        _hold_station(book, stored)
    else:
        _hold_notice(book, stored)


def _hold_notice(book: Book, stored: Stored) -> None:
    if stored.kind == notices.REVOCATIONS_KIND:
        verified = _view(book, stored).verify(Envelope.FromString(stored.content), REVOCATION_LIST)
        notices.hold_revocations(book, verified)
    elif stored.kind == notices.BEACON_KIND:
        notices.hold_beacon(book, _view(book, stored).verify(Envelope.FromString(stored.content), BEACON))
    elif stored.kind == site.TICKET_KIND:
        ticket = _view(book, stored).verify(Envelope.FromString(stored.content), STATION_TICKET)
        book.holdings.tickets[stored.id] = ticket.payload  # until its certificate, the next row, is read


def _hold_root(book: Book, stored: Stored) -> None:
    """The versions of the enrolment are held already."""
    version = int.from_bytes(stored.id)
    views = book.holdings.views
    if version not in views:
        views[version] = views[max(views)].extend(Envelope.FromString(stored.content))


def _hold_station(book: Book, stored: Stored) -> None:
    ticket = STATION_TICKET.message.FromString(book.holdings.tickets[stored.id])
    site.hold_station(book, ticket, stored.content)


def _view(book: Book, stored: Stored) -> TrustRootView:
    try:
        return book.holdings.views[stored.root_version]
    except KeyError:
        raise StoreUnusable(f"{stored.kind}: trust root {stored.root_version} is not kept") from None


def _fold(book: Book, store: Store) -> None:
    """Step 3."""
    book.log.fold(store.leaves(0))
    for act in store.acts():
        book.ledger.fold(act)
        if act.kind in (ActKind.REOPEN_DEBUG, ActKind.CLOSE_DEBUG):
            book.sessions.fold(act.log_index, book.leaf(act.log_index))
    if wrong := book.ledger.restore(store.accounts()):
        raise StoreUnusable("; ".join(wrong))
    state = store.state()
    if state[ROOT] != book.log.root():
        raise StoreUnusable("the leaves are not the ones that were committed")
    book.mark = Mark.decode(state[CLOCK])


def _require_contained(book: Book, stored: Stored | None, cosigned_file: Path) -> None:
    """Step 4. A witness's clock that runs ahead lengthens no lease: it is never later than when the note was kept."""
    held = book.holdings
    notes = [(stored.content, stored.at)] if stored else []
    if cosigned_file.is_file():
        notes.append((cosigned_file.read_bytes(), 0))  # a copy of what the ledger has: it renews nothing
    for note, kept_at in notes:
        checkpoint, seen_at = witnessed.read_cosigned(book, note)
        book.log.require_contains(checkpoint, witnessed.WHERE)
        held.cosigned_size = max(held.cosigned_size, checkpoint.size)
        held.cosigned_at = max(held.cosigned_at, min(seen_at, kept_at))
    book.ledger.seen_up_to(book.holdings.cosigned_size)
