"""What a ProductRule must be beyond its signatures: the product, and the total that may ever be produced.

1. Sequence 1 follows nothing; sequence n names the payload of n-1 (`previous_digest`).
2. A product keeps its id, VID and PID through all its rules; its lifetime quantity may change, by quorum.
3. Each key stands once (purpose and name).
"""

from __future__ import annotations

from obis.refusal import Refused
from obis.trust.trust_root import Verified
from obis.v1.reason_pb2 import Reason
from obis.v1.rule_pb2 import ProductRule

WHERE = "product rule"


def check_rule(rule: Verified[ProductRule], previous: Verified[ProductRule] | None = None) -> None:
    """Raises Refused. Without `previous` only the first of the rules above that need none are checked."""
    names = [(key.purpose, key.name) for key in rule.message.keys]
    if len(names) != len(set(names)):
        raise Refused(Reason.REASON_MALFORMED, "a key stands twice", WHERE)
    if (rule.message.sequence == 1) != (rule.message.previous_digest == b""):
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "previous_digest is empty for sequence 1 and only then", WHERE)
    if previous is not None:
        _check_follows(rule.message, previous)


def _check_follows(rule: ProductRule, previous: Verified[ProductRule]) -> None:
    before = previous.message
    if rule.sequence != before.sequence + 1:
        raise Refused(Reason.REASON_SEQUENCE_GAP, f"rule {rule.sequence} after {before.sequence}", WHERE)
    if rule.previous_digest != previous.digest:
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "previous_digest is not the rule before it", WHERE)
    if rule.product_id != before.product_id:
        raise Refused(Reason.REASON_WRONG_PRODUCT, "the rule before it is of another product", WHERE)
    if (rule.vendor_id, rule.product_code) != (before.vendor_id, before.product_code):
        raise Refused(Reason.REASON_WRONG_PRODUCT, "a product keeps its VID and PID", WHERE)
