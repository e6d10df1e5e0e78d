"""Products as decisions: what a ProductRule is made of, and the arithmetic of quantities.

1. The rule people sign fixes everything: name, VID, PID, lifetime quantity, keys, the PAA by digest, accepted signers of
   the certification declaration.
2. Promised to Grants <= lifetime; promised to batches <= promised to Grants. Both are guarded again in the database.
"""

from __future__ import annotations

from dataclasses import dataclass

from obis.refusal import Refused
from obis.v1.reason_pb2 import Reason
from obis.v1.rule_pb2 import KeyPurpose, ProductKey, ProductRule


@dataclass(frozen=True)
class Room:
    """How much of a quantity is promised already."""

    total: int
    promised: int

    @property
    def left(self) -> int:
        """What may still be promised."""
        return max(0, self.total - self.promised)

    def figures(self) -> str:
        """For people: "10000 in all, 9800 promised, 200 left"."""
        return f"{self.total} in all, {self.promised} promised, {self.left} left"


def first_rule(
    product_id: bytes,
    name: str,
    vendor_id: int,
    product_code: int,
    lifetime_quantity: int,
    keys: list[ProductKey],
    cd_signer_spki_der: list[bytes],
    *,
    paa_cert_digest: bytes,
    proposer: str,
    now: int,
) -> ProductRule:
    """The rule of a new product, sequence 1. Raises Refused MALFORMED for a key that stands twice."""
    names = [(key.purpose, key.name) for key in keys]
    if len(set(names)) != len(names):
        raise Refused(Reason.REASON_MALFORMED, "a key stands twice", "keys")
    return ProductRule(
        product_id=product_id,
        name=name,
        vendor_id=vendor_id,
        product_code=product_code,
        lifetime_quantity=lifetime_quantity,
        keys=keys,
        sequence=1,
        paa_cert_digest=paa_cert_digest,
        cd_signer_spki_der=cd_signer_spki_der,
        proposer=proposer,
        proposed_at=now,
    )


def secure_boot_key(rule: ProductRule) -> bytes:
    """DER SubjectPublicKeyInfo of the key that signs this product's firmware; empty where it has none."""
    for key in rule.keys:
        if key.purpose == KeyPurpose.KEY_PURPOSE_SECURE_BOOT and key.spki_der:
            return key.spki_der
    return b""


def title(rule: ProductRule) -> str:
    """One line for people."""
    return (
        f"Product {rule.name} ({rule.vendor_id:04X}/{rule.product_code:04X}), at most {rule.lifetime_quantity} devices"
    )
