"""One Delivery to one DeliveryResult: which object it is, and what became of it."""

from __future__ import annotations

from hashlib import sha256

from edgehsm.boundary.admission import authorizations, grants, notices, pais, roots
from edgehsm.boundary.admission.papers import AuthorizationPapers, GrantPapers, PaiPapers
from edgehsm.boundary.book import Book
from obis.refusal import Refused, word
from obis.v1.delivery_pb2 import AuthorizationDelivery, Delivery, DeliveryResult, GrantDelivery
from obis.v1.envelope_pb2 import Envelope
from obis.v1.leaf_pb2 import RefusedLeaf
from obis.v1.reason_pb2 import Reason


def deliver(book: Book, delivery: Delivery) -> DeliveryResult:
    """What became of it; a refusal is a result. Raises nothing that is the courier's fault."""
    place = book.holdings.place
    result = DeliveryResult(number=delivery.number, edgehsm_id=place.edgehsm_id, epoch=place.epoch)
    try:
        request = _admit(book, delivery)
        result.accepted = True
    except Refused as refused:
        book.tell(refused, RefusedLeaf(object_digest=_object_digest(delivery)))
        result.accepted = refused.reason == Reason.REASON_ALREADY_ADMITTED
        result.reason, result.what = word(refused.reason), refused.what
        request = _known_request(book, delivery) if result.accepted else None
    if request is not None:
        result.pai_request.CopyFrom(request)
    return result


def grant_papers(delivery: GrantDelivery) -> GrantPapers:
    """As values."""
    exact = delivery.SerializeToString(deterministic=True)
    return GrantPapers(delivery.rule, delivery.grant, delivery.version_manifest, delivery.paa_cert_der, exact)


def authorization_papers(delivery: AuthorizationDelivery) -> AuthorizationPapers:
    """As values."""
    exact = delivery.SerializeToString(deterministic=True)
    return AuthorizationPapers(delivery.authorization, delivery.package, exact)


def _admit(book: Book, delivery: Delivery) -> Envelope | None:
    """The PaiRequest, where a Grant made keys. Raises Refused."""
    _require_addressed(book, delivery)
    if delivery.HasField("grant"):
        return grants.admit_grant(book, grant_papers(delivery.grant))
    if delivery.HasField("pai"):
        pais.admit_pai(book, PaiPapers(delivery.pai.product_id, delivery.pai.pai_cert_der))
    elif delivery.HasField("authorization"):
        authorizations.admit_authorization(book, authorization_papers(delivery.authorization))
    elif delivery.HasField("trust_root"):
        roots.admit_root(book, delivery.trust_root)
    elif delivery.HasField("revocation_list"):
        notices.admit_revocations(book, delivery.revocation_list)
    elif delivery.HasField("beacon"):
        notices.admit_beacon(book, delivery.beacon)
    else:
        raise Refused(Reason.REASON_PAYLOAD_TYPE_UNEXPECTED, "this boundary takes no such object yet", "delivery")
    return None


def _require_addressed(book: Book, delivery: Delivery) -> None:
    place = book.holdings.place
    if delivery.edgehsm_id != place.edgehsm_id:
        raise Refused(Reason.REASON_WRONG_EDGEHSM, "the delivery is for another EdgeHSM", "delivery.edgehsm_id")
    if delivery.epoch != place.epoch:
        raise Refused(Reason.REASON_WRONG_EPOCH, f"this is epoch {place.epoch}", "delivery.epoch")


def _known_request(book: Book, delivery: Delivery) -> Envelope | None:
    """A Grant delivered again gets the same PaiRequest again."""
    return grants.known_request(book, delivery.grant.grant) if delivery.HasField("grant") else None


def _object_digest(delivery: Delivery) -> bytes:
    """SHA-256 of what was refused: a signed object's payload, or a PAI's DER."""
    content = delivery.WhichOneof("content")
    if content == "grant":
        return sha256(delivery.grant.grant.payload).digest()
    if content == "authorization":
        return sha256(delivery.authorization.authorization.payload).digest()
    if content == "pai":
        return sha256(delivery.pai.pai_cert_der).digest()
    return sha256(getattr(delivery, content).payload).digest() if content else b""
