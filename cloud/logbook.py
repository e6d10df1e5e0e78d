"""Puts the link and the trace together over one store: what `python -m cloud serve` registers for records.

witness = open_witness(store, url, keystore.witness, fingerprint)
link = FactoryLinkServicer(link_parts(store, witness, keystore.beacon, artifacts))
"""

from __future__ import annotations

from typing import Protocol

from cloud.artifacts import Artifacts
from cloud.beacons import Beacons
from cloud.receiving import Receiver
from cloud.store import Store
from cloud.store.leaves import count_leaves
from cloud.stream import LinkParts
from cloud.witness import Witness, WitnessKey
from obis.trust.checkpoint import witness_name
from obis.trust.envelope import Signer


class WitnessSigner(Protocol):
    """The WITNESS key of the keystore."""

    spki_der: bytes

    def sign(self, message: bytes) -> bytes:
        """Ed25519, 64 bytes."""


def open_witness(store: Store, url: str, signer: WitnessSigner, fingerprint: bytes) -> Witness:
    """The witness at a database URL (`cloud.witness.witness_url(data)` by default). Raises WitnessMissing."""
    key = WitnessKey(witness_name(fingerprint), signer.spki_der, signer.sign)
    with store.reading() as session:
        is_new = count_leaves(session) == 0
    return Witness(url, key, may_create=is_new)


def link_parts(store: Store, witness: Witness, beacon: Signer, artifacts: Artifacts) -> LinkParts:
    """What `FactoryLinkServicer` needs."""
    return LinkParts(store, Receiver(store, witness), Beacons(beacon), artifacts)
