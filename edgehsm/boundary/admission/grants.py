"""Grants: people's order to be ready for a product.

 1. Rule and Grant are each signed by the GRANT quorum of the trust root held here, counted here; proposers never count.
 2. The Grant is of this rule, within the product's lifetime quantity, its dimensions in order (obis.trust.grant).
 3. It gives this EdgeHSM in this epoch a share.                            WRONG_EDGEHSM, WRONG_FACTORY, WRONG_EPOCH
 4. It is newer than every Grant of the product held here.                  REPLAYED
 5. The element is as well protected as it requires.                        ASSURANCE_TOO_LOW
 6. The manifest has the digest it names, and is of the same product, chip and image.
 7. The PAA certificate has the digest the rule names and obeys the Matter profile.
Then the product's PAI key and debug authority key are made inside (once), and a PaiRequest signed by the identity key
says so. Keys are durable before the Grant is; a crash between leaves keys that the same Grant finds again.
"""

from __future__ import annotations

from hashlib import sha256

from edgehsm.boundary.admission.papers import GrantPapers
from edgehsm.boundary.book import Book
from edgehsm.boundary.element import KeyKind
from edgehsm.boundary.holdings import HeldGrant, HeldProduct
from edgehsm.boundary.request import pkcs10
from edgehsm.boundary.signer import ElementSigner, EpochKeys
from obis.matter.findings import errors_of
from obis.matter.lint import lint_paa
from obis.refusal import Refused
from obis.trust.envelope import digest, make_envelope
from obis.trust.grant import check_grant, find_cap
from obis.trust.payload import GRANT, PAI_REQUEST, PRODUCT_RULE, parse_message
from obis.trust.rule import check_rule
from obis.trust.trust_root import TrustRootView
from obis.v1.enrolment_objects_pb2 import PaiRequest
from obis.v1.envelope_pb2 import Envelope
from obis.v1.grant_pb2 import Grant
from obis.v1.leaf_pb2 import GrantAdmittedLeaf, LogLeaf, ProductKeysLeaf
from obis.v1.package_pb2 import VersionManifest
from obis.v1.reason_pb2 import Reason

KIND = "grant"
REQUEST_KIND = "pai-request"


def admit_grant(book: Book, delivery: GrantPapers) -> Envelope | None:
    """Hold the Grant; the product's PaiRequest until its PAI is here. Raises Refused."""
    if digest(delivery.grant.payload) in book.holdings.grants:
        raise Refused(Reason.REASON_ALREADY_ADMITTED, "this grant is held", "grant")
    held = read_grant(book, book.holdings.view, delivery, now=book.now)
    if any(each.grant.sequence >= held.grant.sequence for each in book.holdings.grants_of(held.grant.product_id)):
        raise Refused(Reason.REASON_REPLAYED, "a grant of this sequence or a later one is held", "grant.sequence")
    if book.element.assurance < held.grant.required_assurance:
        raise Refused(Reason.REASON_ASSURANCE_TOO_LOW, "the grant requires a better element", "grant")
    keys = EpochKeys(book.holdings.place.epoch)
    for handle in (keys.pai(held.grant.product_id), keys.debug(held.grant.product_id)):
        book.element.ensure(handle, KeyKind.SIGN_P256)
    book.holdings.grants[held.digest] = held
    book.keep(KIND, held.digest, delivery.exact, root_version=max(book.holdings.views))
    book.write(LogLeaf(grant_admitted=_admitted_leaf(held)))
    product = book.holdings.products.get(held.grant.product_id) or _order_keys(book, held)
    return None if product.pais else product.pai_request


def known_request(book: Book, grant: Envelope) -> Envelope | None:
    """The PaiRequest of a held Grant's product."""
    held = book.holdings.grants.get(digest(grant.payload))
    return book.holdings.products[held.grant.product_id].pai_request if held else None


def read_grant(book: Book, view: TrustRootView, delivery: GrantPapers, *, now: int | None) -> HeldGrant:
    """The Grant by rules 1 to 3, 6 and 7; `now` (Unix seconds) is None for one admitted before. Raises Refused."""
    rule = view.verify(delivery.rule, PRODUCT_RULE, now=now)
    grant = view.verify(delivery.grant, GRANT, now=now)
    check_rule(rule)
    check_grant(rule, grant)
    place = book.holdings.place
    cap = find_cap(grant.message, place.factory_id, place.edgehsm_id, place.epoch)
    manifest = _read_manifest(grant.message, delivery.version_manifest)
    _require_paa(delivery.paa_cert_der, rule.message.paa_cert_digest)
    return HeldGrant(
        grant.message,
        grant.digest,
        rule.message,
        rule.digest,
        cap.max_quantity,
        manifest,
        delivery.paa_cert_der,
        now or 0,
    )


def _read_manifest(grant: Grant, manifest_bytes: bytes) -> VersionManifest:
    """Rule 6."""
    if sha256(manifest_bytes).digest() != grant.version_digest:
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "the manifest is not the one the grant names", "version_manifest")
    manifest = parse_message(VersionManifest, manifest_bytes, "version_manifest")
    said = (manifest.product_id, manifest.soc, manifest.firmware_digest, manifest.agent_digest)
    if said != (grant.product_id, grant.soc, grant.firmware_digest, grant.agent_digest):
        raise Refused(Reason.REASON_WRONG_PRODUCT_VERSION, "grant and manifest disagree", "version_manifest")
    return manifest


def _require_paa(paa_der: bytes, wanted: bytes) -> None:
    """Rule 7."""
    if sha256(paa_der).digest() != wanted:
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "the PAA is not the one the rule names", "paa_cert_der")
    if errors := errors_of(lint_paa(paa_der)):
        raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, "; ".join(map(str, errors)), "paa_cert_der")


def _admitted_leaf(held: HeldGrant) -> GrantAdmittedLeaf:
    return GrantAdmittedLeaf(
        grant_digest=held.digest,
        rule_digest=held.rule_digest,
        product_id=held.grant.product_id,
        edge_cap=held.cap,
    )


def _order_keys(book: Book, held: HeldGrant) -> HeldProduct:
    """The product's two keys on record, and the request to certify one of them."""
    product_id, keys = held.grant.product_id, EpochKeys(book.holdings.place.epoch)
    pai_spki, debug_spki = book.element.public(keys.pai(product_id)), book.element.public(keys.debug(product_id))
    leaf = ProductKeysLeaf(
        product_id=product_id,
        grant_digest=held.digest,
        pai_spki_digest=sha256(pai_spki).digest(),
        debug_spki_digest=sha256(debug_spki).digest(),
    )
    book.write(LogLeaf(product_keys=leaf))
    request = _request(book, held, pai_spki, debug_spki)
    product = hold_product(book, product_id, held.digest, request)
    book.keep(REQUEST_KIND, product_id, request.SerializeToString(deterministic=True))
    return product


def hold_product(book: Book, product_id: bytes, grant_digest: bytes, request: Envelope) -> HeldProduct:
    """A product whose keys are in the element."""
    keys = EpochKeys(book.holdings.place.epoch)
    pai, debug = keys.pai(product_id), keys.debug(product_id)
    product = HeldProduct(pai, debug, book.element.public(pai), book.element.public(debug), grant_digest, request)
    book.holdings.products[product_id] = product
    return product


def _request(book: Book, held: HeldGrant, pai_spki: bytes, debug_spki: bytes) -> Envelope:
    place, keys = book.holdings.place, EpochKeys(book.holdings.place.epoch)
    pai = keys.pai(held.grant.product_id)
    request = PaiRequest(
        edgehsm_id=place.edgehsm_id,
        epoch=place.epoch,
        product_id=held.grant.product_id,
        grant_digest=held.digest,
        pai_csr_der=pkcs10(f"PAI {place.edgehsm_id}", pai_spki, lambda tbs: book.element.sign(pai, tbs)),
        debug_spki_der=debug_spki,
    )
    signer = ElementSigner(book.element, keys.identity)
    return make_envelope(PAI_REQUEST, request.SerializeToString(deterministic=True), [signer])
