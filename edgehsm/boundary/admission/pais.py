"""PAI certificates: the PAA's licence for a key that was made here.

1. The product's keys were ordered by a Grant held here.                          DEPENDENCY_MISSING
2. The certificate's public key is the one in this element.                       DIGEST_MISMATCH
3. It obeys the Matter profile, and the PAA that the rule names signed it.        CERTIFICATE_LINT_FAILED
4. It is scoped to the rule's VID and PID.                                        WRONG_PRODUCT
"""

from __future__ import annotations

from hashlib import sha256

from edgehsm.boundary.admission.papers import PaiPapers
from edgehsm.boundary.book import Book
from edgehsm.boundary.holdings import HeldGrant, HeldProduct
from obis.matter.certificate import Certificate, read_certificate
from obis.matter.errors import MatterError
from obis.matter.findings import Kind, errors_of
from obis.matter.lint_chain import Link, lint_issued, x01_signature
from obis.matter.names import attestation_ids
from obis.refusal import Refused
from obis.v1.leaf_pb2 import LogLeaf, PaiInstalledLeaf
from obis.v1.reason_pb2 import Reason

KIND = "pai"


def admit_pai(book: Book, delivery: PaiPapers) -> None:
    """Hold the certificate. Raises Refused."""
    product = book.holdings.products.get(delivery.product_id)
    if product is None:
        raise Refused(Reason.REASON_DEPENDENCY_MISSING, "no grant ordered keys for this product here", "product_id")
    digest = sha256(delivery.pai_cert_der).digest()
    if digest in product.pais:
        raise Refused(Reason.REASON_ALREADY_ADMITTED, "this PAI is held", "pai")
    newest = book.holdings.grants_of(delivery.product_id)[-1]
    try:
        _require_ours(delivery.pai_cert_der, product, newest)
    except MatterError as error:
        raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, error.what, "pai_cert_der") from None
    hold_pai(product, delivery.pai_cert_der)
    book.keep(KIND, delivery.product_id + digest, delivery.pai_cert_der)
    book.write(LogLeaf(pai_installed=PaiInstalledLeaf(product_id=delivery.product_id, pai_cert_digest=digest)))


def hold_pai(product: HeldProduct, pai_der: bytes) -> None:
    """A PAI to issue under."""
    product.pais[sha256(pai_der).digest()] = pai_der


def _require_ours(pai_der: bytes, product: HeldProduct, held: HeldGrant) -> None:
    """Rules 2 to 4. Raises Refused or MatterError."""
    pai = read_certificate(pai_der)
    if bytes(pai.spki.raw) != product.pai_spki:
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "the PAI is for another key", "pai_cert_der")
    if errors := errors_of(lint_issued(held.paa_der, pai_der, Kind.PAI)):
        raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, "; ".join(map(str, errors)), "pai_cert_der")
    _require_signed(pai, read_certificate(held.paa_der))
    said = attestation_ids(pai.subject)
    if (said.vendor_id, said.product_id) != (held.rule.vendor_id, held.rule.product_code):
        raise Refused(Reason.REASON_WRONG_PRODUCT, "the PAI is scoped to another product", "pai_cert_der")


def _require_signed(pai: Certificate, paa: Certificate) -> None:
    if faults := list(x01_signature(Link(Kind.PAI, pai, paa))):
        raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, f"X01: {faults[0]}", "pai_cert_der")
