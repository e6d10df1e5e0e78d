"""What a Grant must be beyond its signatures. Everybody who acts on one checks it alone; nobody takes another's word.

1. It names the rule by digest, is of the rule's product, and its template has the rule's VID and PID.
2. granted_before + total_quantity is at most the rule's lifetime quantity.
3. The shares (edge caps) sum to at most total_quantity, one for each EdgeHSM and epoch.
4. Each operation stands once. ISSUE_DAC stays within the Grant's window and total; the window of any other operation
   is its own (rework outlives production). Only REOPEN_DEBUG has permissions and a time-box, and has both.
5. A lease of kind NONE is empty; a COSIGNED one has both bounds.
6. With the chain of earlier Grants at hand (vault, cloud, approver's command, verifier; an EdgeHSM has no chain and
   counts on 2): the sequence has no gap, previous_digest is the Grant before, and granted_before is the sum of earlier
   totals less what releases, here and earlier, give back.
7. A release names an earlier Grant and its evidence; no evidence stands twice, and no Grant gives back more than it
   gave. Whether closed leaves and ScrapCredits say so is for whoever holds them (`verify`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from obis.refusal import Refused
from obis.trust.trust_root import Verified
from obis.v1.grant_pb2 import EdgeCap, Grant, GrantRelease, Lease, LeaseKind, OpRule
from obis.v1.reason_pb2 import Reason
from obis.v1.rule_pb2 import ProductRule
from obis.v1.scope_pb2 import Operation, Window

WHERE: Final = "grant"
MAX_COMMON_NAME: Final = 64  # X.520 ub-common-name
MAX_SERIAL_HEX: Final = 40


def check_grant(
    rule: Verified[ProductRule], grant: Verified[Grant], previous: Sequence[Verified[Grant]] | None = None
) -> None:
    """Raises Refused with one reason for each dimension. `previous`: all earlier Grants of the product, in order."""
    _check_product(rule, grant.message)
    _check_caps(grant.message)
    _check_operations(grant.message)
    _check_lease(grant.message.lease)
    if previous is not None:
        _check_chain(grant.message, previous)
    total = grant.message.granted_before + grant.message.total_quantity
    if total > rule.message.lifetime_quantity:
        raise Refused(
            Reason.REASON_LIFETIME_QUANTITY_EXCEEDED, f"{total} of {rule.message.lifetime_quantity} ever", WHERE
        )


def find_cap(grant: Grant, factory_id: str, edgehsm_id: str, epoch: int) -> EdgeCap:
    """The share of one EdgeHSM in one epoch. Raises Refused WRONG_EDGEHSM, WRONG_FACTORY or WRONG_EPOCH."""
    caps = [cap for cap in grant.edge_caps if cap.edgehsm_id == edgehsm_id]
    if not caps:
        raise Refused(Reason.REASON_WRONG_EDGEHSM, f"the Grant gives {edgehsm_id} no share", WHERE)
    caps = [cap for cap in caps if cap.factory_id == factory_id]
    if not caps:
        raise Refused(Reason.REASON_WRONG_FACTORY, f"{edgehsm_id} stands in another factory", WHERE)
    for cap in caps:
        if cap.epoch == epoch:
            return cap
    raise Refused(Reason.REASON_WRONG_EPOCH, f"the share is for another epoch than {epoch}", WHERE)


def find_operation(grant: Grant, operation: Operation.ValueType) -> OpRule:
    """The Grant's rule for an operation. Raises Refused OPERATION_NOT_GRANTED."""
    for rule in grant.operations:
        if rule.operation == operation:
            return rule
    raise Refused(Reason.REASON_OPERATION_NOT_GRANTED, f"{Operation.Name(operation)} is not granted", WHERE)


def require_within(inner: Window, outer: Window, what: str, where: str) -> None:
    """Raises Refused WINDOW_NOT_OPEN or WINDOW_CLOSED where `inner` reaches out of `outer`."""
    if inner.starts_at < outer.starts_at:
        raise Refused(Reason.REASON_WINDOW_NOT_OPEN, f"{what} begins before its bound", where)
    if inner.ends_at > outer.ends_at:
        raise Refused(Reason.REASON_WINDOW_CLOSED, f"{what} ends after its bound", where)


def _check_product(rule: Verified[ProductRule], grant: Grant) -> None:
    if grant.rule_digest != rule.digest:
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "rule_digest is not the digest of this rule", WHERE)
    if grant.product_id != rule.message.product_id:
        raise Refused(Reason.REASON_WRONG_PRODUCT, "the rule is of another product", WHERE)
    template = grant.template
    if (template.vendor_id, template.product_code) != (rule.message.vendor_id, rule.message.product_code):
        raise Refused(Reason.REASON_WRONG_PRODUCT, "the template has another VID or PID than the rule", WHERE)
    if len(template.common_name_pattern.replace("{serial}", "0" * MAX_SERIAL_HEX)) > MAX_COMMON_NAME:
        raise Refused(Reason.REASON_MALFORMED, "the common name can grow beyond 64 characters", WHERE)


def _check_caps(grant: Grant) -> None:
    names = [(cap.edgehsm_id, cap.epoch) for cap in grant.edge_caps]
    if len(names) != len(set(names)):
        raise Refused(Reason.REASON_MALFORMED, "an EdgeHSM and epoch has two shares", WHERE)
    shares = sum(cap.max_quantity for cap in grant.edge_caps)
    if shares > grant.total_quantity:
        raise Refused(
            Reason.REASON_EDGE_CAP_EXCEEDED, f"shares of {shares} in a total of {grant.total_quantity}", WHERE
        )


def _check_operations(grant: Grant) -> None:
    require_once(grant.operations, WHERE)
    for rule in grant.operations:
        if rule.operation == Operation.OPERATION_ISSUE_DAC:
            require_within(rule.window, grant.window, "ISSUE_DAC's window", WHERE)
            if rule.max_total > grant.total_quantity:
                raise Refused(Reason.REASON_GRANT_EXCEEDED, "ISSUE_DAC may pass the Grant's total", WHERE)
        is_debug = rule.operation == Operation.OPERATION_REOPEN_DEBUG
        if bool(rule.debug_permissions) != is_debug or bool(rule.time_box_seconds) != is_debug:
            raise Refused(
                Reason.REASON_MALFORMED, "permissions and time-box go with REOPEN_DEBUG and nothing else", WHERE
            )


def require_once(rules: Sequence[OpRule], where: str) -> None:
    """Raises Refused MALFORMED where an operation has two rules."""
    if len({rule.operation for rule in rules}) != len(rules):
        raise Refused(Reason.REASON_MALFORMED, "an operation has two rules", where)


def _check_lease(lease: Lease) -> None:
    is_cosigned = lease.kind == LeaseKind.LEASE_KIND_COSIGNED
    if bool(lease.max_seconds) != is_cosigned or bool(lease.max_issues) != is_cosigned:
        raise Refused(Reason.REASON_MALFORMED, "a NONE lease is empty, a COSIGNED one has both bounds", WHERE)


def _check_chain(grant: Grant, previous: Sequence[Verified[Grant]]) -> None:
    if grant.sequence != len(previous) + 1:
        raise Refused(Reason.REASON_SEQUENCE_GAP, f"Grant {grant.sequence} after {len(previous)}", WHERE)
    if grant.previous_digest != (previous[-1].digest if previous else b""):
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "previous_digest is not the Grant before it", WHERE)
    if any(each.message.product_id != grant.product_id for each in previous):
        raise Refused(Reason.REASON_WRONG_PRODUCT, "an earlier Grant is of another product", WHERE)
    releases = [release for each in previous for release in each.message.releases] + list(grant.releases)
    _check_releases(releases, previous)
    before = sum(each.message.total_quantity for each in previous) - sum(each.quantity for each in releases)
    if grant.granted_before != before:
        raise Refused(
            Reason.REASON_LIFETIME_QUANTITY_EXCEEDED,
            f"granted_before says {grant.granted_before}, the chain of Grants {before}",
            WHERE,
        )


def _check_releases(releases: Sequence[GrantRelease], previous: Sequence[Verified[Grant]]) -> None:
    totals = {each.digest: each.message.total_quantity for each in previous}
    given_back: Counter[bytes] = Counter()
    evidence: Counter[bytes] = Counter()
    for release in releases:
        given_back[release.grant_digest] += release.quantity
        evidence.update(release.closed_leaf_hashes)
        if release.scrap_credit_digest:
            evidence[release.scrap_credit_digest] += 1
        if not release.closed_leaf_hashes and not release.scrap_credit_digest:
            raise Refused(Reason.REASON_DEPENDENCY_MISSING, "a release without evidence", WHERE)
    if any(count > 1 for count in evidence.values()):
        raise Refused(Reason.REASON_REPLAYED, "the same evidence releases twice", WHERE)
    for digest, quantity in given_back.items():
        if quantity > totals.get(digest, 0):
            raise Refused(Reason.REASON_GRANT_EXCEEDED, "more given back than an earlier Grant gave", WHERE)
