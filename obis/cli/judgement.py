"""What an approver's own machine finds out about a proposal, from signed objects alone, before a key is used.

 1. A Grant: its ProductRule and every earlier Grant are fetched, verified under the pinned root, and `granted_before`,
    sequence, digests, caps and lifetime are recomputed (obis.trust.grant). What changed against the last approved
    version is shown, as the cloud tells it; the version digest that is signed is in the text.
 2. A ProductRule: it follows the rule before it.
 3. An EnrolmentApproval: the fingerprint people compare with the appliance is computed from the keys in it.
 4. A ticket: its site is in the trust root.

A finding that is not `good` forbids signing.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from google.protobuf.message import Message

from obis.cli.connection import Cloud
from obis.refusal import Refused, word
from obis.trust import payload
from obis.trust.grant import check_grant
from obis.trust.rule import check_rule
from obis.trust.trust_root import TrustRootView, Verified
from obis.v1.enrolment_objects_pb2 import EdgeHsmKeys, EnrolmentApproval, EnrolTicket
from obis.v1.grant_pb2 import Grant
from obis.v1.grants_pb2 import ListGrantsRequest
from obis.v1.products_pb2 import GetProductRequest
from obis.v1.rule_pb2 import ProductRule
from obis.v1.versions_pb2 import DiffVersionRequest


@dataclass(frozen=True)
class Finding:
    """One thing found out; `good` is False where signing would be wrong."""

    good: bool
    text: str


async def judge(cloud: Cloud, root: TrustRootView, verified: Verified[Message]) -> list[Finding]:
    """Everything this machine can say about the object. A refused check is a finding, not an error."""
    message = verified.message
    if isinstance(message, Grant):
        return [each async for each in _grant(cloud, root, message, verified)]
    if isinstance(message, ProductRule):
        return [each async for each in _rule(cloud, root, message, verified)]
    if isinstance(message, EnrolmentApproval):
        return [
            _site(root, message.factory_id),
            Finding(True, f"key fingerprint {colons(key_fingerprint(message.keys))}"),
        ]
    if isinstance(message, EnrolTicket):
        return [_site(root, message.factory_id)]
    return []


def must_not_sign(findings: Sequence[Finding]) -> str:
    """Why not, or nothing."""
    return "; ".join(each.text for each in findings if not each.good)


def key_fingerprint(keys: EdgeHsmKeys) -> bytes:
    """32 bytes over the five key digests in field order: what the appliance shows and people compare."""
    spkis = (keys.identity_spki_der, keys.log_spki_der, keys.hpke_spki_der, keys.site_ca_spki_der, keys.wrap_spki_der)
    return sha256(b"".join(sha256(each).digest() for each in spkis)).digest()


def colons(fingerprint: bytes) -> str:
    """32 bytes in eight groups, as people read them to each other."""
    return ":".join(fingerprint[at : at + 4].hex() for at in range(0, len(fingerprint), 4))


async def _grant(
    cloud: Cloud, root: TrustRootView, grant: Grant, verified: Verified[Message]
) -> AsyncIterator[Finding]:
    product = (await cloud.products.GetProduct(GetProductRequest(product_id=grant.product_id), timeout=30)).product
    earlier = await cloud.grants.ListGrants(ListGrantsRequest(product_id=grant.product_id), timeout=30)
    try:
        rule = root.verify(product.rule, payload.PRODUCT_RULE)
        before = [root.verify(each.envelope, payload.GRANT) for each in earlier.grants]
        check_grant(rule, Verified(grant, verified.payload, verified.digest, verified.persons), before)
    except Refused as refusal:
        yield Finding(False, f"{word(refusal.reason)}: {refusal.what}")
        return
    total, lifetime = grant.granted_before + grant.total_quantity, rule.message.lifetime_quantity
    yield Finding(True, f"{total} of {lifetime} devices of the product's lifetime are granted with this one")
    yield _window(grant)
    async for finding in _changes(cloud, grant):
        yield finding


async def _changes(cloud: Cloud, grant: Grant) -> AsyncIterator[Finding]:
    answer = await cloud.versions.DiffVersion(DiffVersionRequest(version_id=grant.version_id), timeout=30)
    if not answer.against_digest:
        yield Finding(True, "first version of this product: nothing to compare with")
    for change in answer.changes:
        yield Finding(True, f"changed {change.path}: {change.before or '(nothing)'} -> {change.after or '(nothing)'}")


def _window(grant: Grant) -> Finding:
    if grant.window.ends_at <= time.time():
        return Finding(False, "its window has ended already")
    days = (grant.window.ends_at - grant.window.starts_at) / 86400
    return Finding(True, f"open for {days:.1f} days")


async def _rule(
    cloud: Cloud, root: TrustRootView, rule: ProductRule, verified: Verified[Message]
) -> AsyncIterator[Finding]:
    product = (await cloud.products.GetProduct(GetProductRequest(product_id=rule.product_id), timeout=30)).product
    try:
        before = root.verify(product.rule, payload.PRODUCT_RULE) if product.HasField("rule") else None
        check_rule(Verified(rule, verified.payload, verified.digest, verified.persons), before)
    except Refused as refusal:
        yield Finding(False, f"{word(refusal.reason)}: {refusal.what}")
        return
    yield Finding(True, "follows the rule in force" if before else "a new product")
    if before and before.message.lifetime_quantity != rule.lifetime_quantity:
        yield Finding(True, f"lifetime quantity {before.message.lifetime_quantity} -> {rule.lifetime_quantity}")


def _site(root: TrustRootView, factory_id: str) -> Finding:
    try:
        site = root.site(factory_id)
    except Refused:
        return Finding(False, f"the trust root knows no site {factory_id}")
    return Finding(True, f"site {factory_id} is {site.name or 'unnamed'}, {site.country}")
