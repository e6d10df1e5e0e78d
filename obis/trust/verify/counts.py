"""The sums over all logs (architecture, "Counts that must hold").

    issue leaves = distinct devices <= authorization <= edge cap <= grant <= lifetime quantity
    certificates = issue + replace leaves

The replay holds each log to its own bounds; here stands what only the whole can show: that Grants and products were
kept to over every EdgeHSM, that the cloud authorized no more than was granted, and that what a Grant counts as given
back was given back.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from obis.refusal import Refused
from obis.trust.grant import find_cap
from obis.trust.verify.governance import Governance
from obis.trust.verify.state import Everything, LogState
from obis.trust.verify.verdict import ProductLine
from obis.v1.grant_pb2 import Grant, GrantRelease
from obis.v1.reason_pb2 import Reason
from obis.v1.rule_pb2 import ProductRule


def check_counts(everything: Everything, states: list[LogState]) -> None:
    """Raises Refused with the sum that does not hold."""
    issued = sum(batch.issued for state in states for batch in state.batches.values())
    replaced = sum(batch.replaced for state in states for batch in state.batches.values())
    _require_equal("devices", len(everything.devices), "issue leaves", issued)
    _require_equal("keys", len(everything.key_digests), "certificates", issued + replaced)
    _require_equal("serial numbers", len(everything.dac_serials), "certificates", issued + replaced)
    _check_authorized(everything.governance, states)
    _check_made(everything.governance, states)
    _check_releases(everything)


def _require_equal(what: str, count: int, other: str, expected: int) -> None:
    if count != expected:
        raise Refused(Reason.REASON_BROKEN_CHAIN, f"{count} {what}, {expected} {other}", "counts")


def _check_authorized(governance: Governance, states: list[LogState]) -> None:
    """Every Authorization the cloud signed, admitted or not, fits its share; a closed one holds what it used."""
    used = _used(states)
    held: Counter[tuple[bytes, str, str, int]] = Counter()
    for judged in governance.authorizations.values():
        auth = judged.message
        share = (auth.grant_digest, auth.factory_id, auth.edgehsm_id, auth.epoch)
        held[share] += used.get(auth.auth_id, auth.quantity)
        cap = find_cap(governance.grants[auth.grant_digest].message, *share[1:]).max_quantity
        if held[share] > cap:
            where = f"authorizations/{auth.auth_id.hex()}.dsse"
            raise Refused(Reason.REASON_EDGE_CAP_EXCEEDED, f"{held[share]} authorized of a share of {cap}", where)


def _used(states: list[LogState]) -> dict[bytes, int]:
    """What each admitted Authorization holds of its share: its quantity, or what it used once it is closed."""
    return {batch.auth.auth_id: batch.committed for state in states for batch in state.batches.values()}


def _check_made(governance: Governance, states: list[LogState]) -> None:
    by_grant: Counter[bytes] = Counter()
    by_product: Counter[bytes] = Counter()
    for state in states:
        for batch in state.batches.values():
            by_grant[batch.grant.digest] += batch.issued
            by_product[batch.auth.product_id] += batch.issued
    for digest, made in by_grant.items():
        grant = governance.grants[digest].message
        if made > grant.total_quantity:
            raise Refused(Reason.REASON_GRANT_EXCEEDED, f"{made} made of {grant.total_quantity}", grant_path(grant))
    for rule in newest_rules(governance).values():
        if by_product[rule.product_id] > rule.lifetime_quantity:
            raise Refused(
                Reason.REASON_LIFETIME_QUANTITY_EXCEEDED,
                f"{by_product[rule.product_id]} made of {rule.lifetime_quantity} ever",
                f"rules/{rule.product_id.hex()}-{rule.sequence:04d}.dsse",
            )


def _check_releases(everything: Everything) -> None:
    for judged in everything.governance.grants.values():
        for release in judged.message.releases:
            _check_release(everything, release, grant_path(judged.message))


def _check_release(everything: Everything, release: GrantRelease, path: str) -> None:
    """The closed leaves it names stand in the logs, are of that Grant, and gave back at least as much."""
    if release.scrap_credit_digest:
        raise Refused(Reason.REASON_DEPENDENCY_MISSING, "it counts on a ScrapCredit that is not in the export", path)
    given_back = 0
    for hashed in release.closed_leaf_hashes:
        grant_digest, released = everything.closed_leaves.get(hashed, (b"", 0))
        if grant_digest != release.grant_digest:
            raise Refused(Reason.REASON_DEPENDENCY_MISSING, "it counts on a closed leaf that no log holds", path)
        given_back += released
    if release.quantity > given_back:
        raise Refused(Reason.REASON_GRANT_EXCEEDED, f"counts on {release.quantity} back, {given_back} came", path)


def newest_rules(governance: Governance) -> dict[bytes, ProductRule]:
    """The rule in force for each product."""
    rules = sorted((each.message for each in governance.rules.values()), key=lambda rule: rule.sequence)
    return {rule.product_id: rule for rule in rules}


def grant_path(grant: Grant) -> str:
    """Where a Grant stands in an export."""
    return f"grants/{grant.product_id.hex()}-{grant.sequence:04d}.dsse"


def product_lines(governance: Governance, states: list[LogState]) -> list[ProductLine]:
    """Each product in one line, by name."""
    issued: Counter[bytes] = Counter()
    for state in states:
        for batch in state.batches.values():
            issued[batch.auth.product_id] += batch.issued
    used = _used(states)
    authorized: Counter[bytes] = Counter()
    for auth in governance.authorizations.values():
        authorized[auth.message.product_id] += used.get(auth.message.auth_id, auth.message.quantity)
    granted: dict[bytes, int] = defaultdict(int)
    for grant in governance.grants.values():
        granted[grant.message.product_id] += grant.message.total_quantity
    lines = [
        ProductLine(
            product.hex(), rule.name, issued[product], authorized[product], granted[product], rule.lifetime_quantity
        )
        for product, rule in newest_rules(governance).items()
    ]
    return sorted(lines, key=lambda line: (line.name, line.product_id))
