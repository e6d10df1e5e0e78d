"""Trust roots: version N+1 after N, signed by the thresholds of both (obis.trust.trust_root); none is forgotten."""

from __future__ import annotations

from edgehsm.boundary.book import Book
from obis.refusal import Refused
from obis.trust.envelope import digest
from obis.trust.trust_root import TrustRootView
from obis.v1.envelope_pb2 import Envelope
from obis.v1.leaf_pb2 import LogLeaf, TrustRootLeaf
from obis.v1.reason_pb2 import Reason

KIND = "trust-root"


def admit_root(book: Book, envelope: Envelope) -> None:
    """Take the next version. Raises Refused, ALREADY_ADMITTED for one that is held."""
    views = book.holdings.views
    if any(view.payload_digest == digest(envelope.payload) for view in views.values()):
        raise Refused(Reason.REASON_ALREADY_ADMITTED, "this trust root is held", "trust root")
    view = views[max(views)].extend(envelope)
    keep_root(book, view, envelope)
    leaf = TrustRootLeaf(version=view.version, payload_digest=view.payload_digest)
    book.write(LogLeaf(trust_root=leaf))


def keep_root(book: Book, view: TrustRootView, envelope: Envelope) -> None:
    """Hold a verified version from here on, and make it durable."""
    book.holdings.views[view.version] = view
    book.keep(KIND, view.version.to_bytes(4), envelope.SerializeToString(deterministic=True))
