"""Authorizations: a batch for this EdgeHSM, spent from a Grant that people signed.

1. Signed by the cloud's ONLINE key.
2. Sequence: one more than the last. The same one with the same content is ALREADY_ADMITTED; with other content, or
closed, REPLAYED; a later one SEQUENCE_GAP. So none can be left out and none can come twice.
3. It names this factory, EdgeHSM and epoch.
4. Its Grant is held here, and neither is revoked; the RevocationList it asks for is held.  DEPENDENCY_MISSING, REVOKED,
REVOCATION_STALE
5. It is a subset of its Grant, in every dimension (obis.trust.authorization).
6. All admitted Authorizations of the Grant, with this one, are within this EdgeHSM's share. EDGE_CAP_EXCEEDED
7. The package opens here, is the one the Authorization names, is signed by the ONLINE key, and is of the same
Authorization, EdgeHSM, epoch, version and PAI.
8. That PAI is held here.                                                                   PAI_NOT_READY
9. The template makes DACs that pass the lint, from dac_not_before on.                      CERTIFICATE_LINT_FAILED
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from edgehsm.boundary.admission.notices import lower_quantities
from edgehsm.boundary.admission.papers import AuthorizationPapers
from edgehsm.boundary.book import Book
from edgehsm.boundary.ledger import Standing
from edgehsm.boundary.signer import EpochKeys
from obis.refusal import Refused
from obis.trust.authorization import check_authorization
from obis.trust.package import open_with
from obis.trust.payload import AUTHORIZATION, BATCH_PACKAGE
from obis.trust.trust_root import TrustRootView, Verified
from obis.v1.authorization_pb2 import Authorization
from obis.v1.leaf_pb2 import AuthorizationAdmittedLeaf, LogLeaf
from obis.v1.package_pb2 import BatchPackage, SealedPackage
from obis.v1.reason_pb2 import Reason

KIND: Final = "authorization"
WHERE: Final = "authorization"


def admit_authorization(book: Book, delivery: AuthorizationPapers) -> None:
    """Hold the Authorization, with nothing spent. Raises Refused."""
    verified = book.holdings.view.verify(delivery.authorization, AUTHORIZATION, now=book.now)
    authorization = verified.message
    _require_ours(book, authorization)
    _require_next(book, verified)
    standing = read_standing(book, verified, book.now)
    _require_in_force(book, standing)
    _require_share(book, standing)
    _open_package(book, book.holdings.view, delivery.package, authorization)
    book.issuer(standing)
    book.ledger.stand(standing)
    lower_quantities(book)
    book.changes.accounts[authorization.sequence] = standing.account()
    book.keep(KIND, authorization.auth_id, delivery.exact, max(book.holdings.views))
    book.write(LogLeaf(authorization_admitted=_leaf(standing)))


def read_standing(book: Book, verified: Verified[Authorization], at: int) -> Standing:
    """The Authorization under its Grant (rules 4 and 5). Raises Refused."""
    authorization = verified.message
    held = book.holdings.grants.get(authorization.grant_digest)
    if held is None:
        raise Refused(Reason.REASON_DEPENDENCY_MISSING, "its grant has not arrived", WHERE, "deliver the grant first")
    granted = Verified(held.grant, b"", held.digest, frozenset())
    check_authorization(granted, verified)
    return Standing(authorization, verified.digest, held.grant, held.digest, at)


def _require_ours(book: Book, authorization: Authorization) -> None:
    """Rule 3."""
    place = book.holdings.place
    if authorization.factory_id != place.factory_id:
        raise Refused(Reason.REASON_WRONG_FACTORY, "the authorization names another factory", WHERE)
    if authorization.edgehsm_id != place.edgehsm_id:
        raise Refused(Reason.REASON_WRONG_EDGEHSM, "the authorization names another EdgeHSM", WHERE)
    if authorization.epoch != place.epoch:
        raise Refused(Reason.REASON_WRONG_EPOCH, f"this is epoch {place.epoch}", WHERE)


def _require_next(book: Book, verified: Verified[Authorization]) -> None:
    """Rule 2."""
    sequence, last = verified.message.sequence, book.ledger.last_sequence
    known = book.ledger.by_sequence.get(sequence)
    if known is not None and known.digest == verified.digest and not known.closed:
        raise Refused(Reason.REASON_ALREADY_ADMITTED, "this authorization is held", WHERE)
    if known is not None:
        raise Refused(Reason.REASON_REPLAYED, f"sequence {sequence} was used, or is closed", WHERE)
    if sequence != last + 1:
        raise Refused(Reason.REASON_SEQUENCE_GAP, f"sequence {sequence} after {last}", WHERE)
    if book.standing(verified.message.auth_id) is not None:
        raise Refused(Reason.REASON_REPLAYED, "this id was admitted under another sequence", WHERE)


def _require_in_force(book: Book, standing: Standing) -> None:
    """Rule 4."""
    authorization, revocations = standing.authorization, book.holdings.revocations
    if authorization.auth_id in revocations.auth_ids or standing.grant_digest in revocations.grant_digests:
        raise Refused(Reason.REASON_REVOKED, "the authorization or its grant is revoked", WHERE)
    if authorization.minimum_revocation_sequence > revocations.sequence:
        wanted, held = authorization.minimum_revocation_sequence, revocations.sequence
        raise Refused(Reason.REASON_REVOCATION_STALE, f"list {wanted} is required, {held} is held", WHERE)


def _require_share(book: Book, standing: Standing) -> None:
    """Rule 6: what is closed counts only what it used."""
    committed = book.ledger.committed_to(standing.grant_digest) + standing.authorization.quantity
    cap = book.holdings.grants[standing.grant_digest].cap
    if committed > cap:
        raise Refused(Reason.REASON_EDGE_CAP_EXCEEDED, f"{committed} of a share of {cap}", WHERE)


def _open_package(book: Book, view: TrustRootView, sealed: SealedPackage, authorization: Authorization) -> None:
    """Rules 7 and 8. What is inside is checked and not kept: the sealed form is."""
    place = book.holdings.place
    if (sealed.edgehsm_id, sealed.auth_id) != (place.edgehsm_id, authorization.auth_id):
        raise Refused(Reason.REASON_SEAL_INVALID, "sealed for another EdgeHSM or authorization", "package")
    hpke = EpochKeys(place.epoch).hpke
    envelope = open_with(lambda box, info: book.element.open_sealed(hpke, box, info), sealed)
    verified = view.verify(envelope, BATCH_PACKAGE, now=book.now)
    if verified.digest != authorization.package_digest:
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "the authorization names another package", "package")
    _require_same(verified.message, authorization)
    product = book.holdings.products[authorization.product_id]
    if authorization.pai_cert_digest not in product.pais:
        raise Refused(Reason.REASON_PAI_NOT_READY, "its PAI has not arrived", "package", "deliver the PAI first")


def _require_same(package: BatchPackage, authorization: Authorization) -> None:
    named = (authorization.auth_id, authorization.edgehsm_id, authorization.epoch)
    if (package.auth_id, package.edgehsm_id, package.epoch) != named:
        raise Refused(Reason.REASON_SEAL_INVALID, "the package inside is for somebody else", "package")
    if sha256(package.version_manifest).digest() != authorization.version_digest:
        raise Refused(Reason.REASON_WRONG_PRODUCT_VERSION, "the package holds another version", "package")
    if sha256(package.pai_cert_der).digest() != authorization.pai_cert_digest:
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "the package holds another PAI", "package")


def _leaf(standing: Standing) -> AuthorizationAdmittedLeaf:
    authorization = standing.authorization
    return AuthorizationAdmittedLeaf(
        auth_id=authorization.auth_id,
        authorization_digest=standing.digest,
        grant_digest=standing.grant_digest,
        sequence=authorization.sequence,
        quantity=authorization.quantity,
        package_digest=authorization.package_digest,
    )
