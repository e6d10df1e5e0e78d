"""ISSUE_DAC: a certificate for a key made in the chip, once a device.

In this order:
 1. Possession: the CSR's signature verifies (obis.matter.csr); nothing of it counts but the key.
 2. Known device, same key, same Authorization: the stored answer, no count. The station must still be enrolled and
    the Authorization neither revoked nor stopped; its window may be over, because the unit was counted inside it.
 3. The gate admits (all rules).
 4. To-be-signed bytes from the template, lint, signature in the element (`issuer`).
 5. Leaf and count enter the book; commit, then the reply, are the caller's.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, NamedTuple

from edgehsm.boundary.book import Book, draw
from edgehsm.boundary.changes import ActKind
from edgehsm.boundary.gate import Ask, Permit, admit
from edgehsm.boundary.issuer import refused_by
from edgehsm.boundary.operations import Asker, made_device
from obis.matter.csr import PublicKey, parse_csr
from obis.matter.dac import RANDOM_SERIAL_BYTES
from obis.matter.errors import MatterError
from obis.v1.leaf_pb2 import LogLeaf
from obis.v1.scope_pb2 import Operation

NONCE_BYTES: Final = 16
_ISSUE_DAC: Final = Operation.OPERATION_ISSUE_DAC


class IssuedDac(NamedTuple):
    """The answer; `repeated` where it was issued before."""

    dac_der: bytes
    boundary_nonce: bytes
    log_index: int
    repeated: bool = False


def issue_dac(book: Book, asker: Asker, csr_der: bytes, key_agreement_spki: bytes) -> IssuedDac:
    """A DAC, new or stored. `key_agreement_spki` is DER or empty. Raises Refused."""
    try:
        key = parse_csr(csr_der)
    except MatterError as error:
        raise refused_by(error, "csr_der") from None
    if stored := _stored(book, asker, key):
        return stored
    ask = Ask(_ISSUE_DAC, asker.device, asker.device_id.soc, key.spki_digest)
    permit = admit(ask, book.standing(asker.auth_id), book.station(asker.station), book.scene)
    return _issue(book, asker, permit, key, sha256(key_agreement_spki).digest() if key_agreement_spki else b"")


def _stored(book: Book, asker: Asker, key: PublicKey) -> IssuedDac | None:
    """Step 2. Another key or another Authorization is the gate's to refuse."""
    known, standing = book.ledger.by_device.get(asker.device), book.standing(asker.auth_id)
    if known is None or standing is None or known.spki_digest != key.spki_digest:
        return None
    if known.sequence != standing.sequence:
        return None
    made_device(book, asker)
    leaf = book.leaf(known.issued_index).issued
    return IssuedDac(leaf.dac_der, leaf.boundary_nonce, known.issued_index, repeated=True)


def _issue(book: Book, asker: Asker, permit: Permit, key: PublicKey, agreement_digest: bytes) -> IssuedDac:
    """Steps 4 and 5."""
    standing = permit.standing
    randomness = draw(RANDOM_SERIAL_BYTES + NONCE_BYTES)
    nonce = randomness[RANDOM_SERIAL_BYTES:]
    dac_der = book.issuer(standing).issue(book.element, key, randomness[:RANDOM_SERIAL_BYTES])
    leaf = LogLeaf()
    entry = leaf.issued  # filled in place: a message handed to another is copied
    entry.auth_id, entry.spki_digest, entry.dac_der = asker.auth_id, key.spki_digest, dac_der
    entry.device.CopyFrom(asker.device_id)
    entry.count, entry.boundary_nonce = standing.used + 1, nonce
    entry.key_agreement_digest = agreement_digest
    index = book.write(leaf, asker.station)
    book.spend(permit, ActKind.ISSUE_DAC, index)
    return IssuedDac(dac_der, nonce, index)
