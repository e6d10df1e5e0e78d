"""Rule, Grant and Authorization: each dimension beyond its bound is refused with its own reason; the bounds hold."""

import pytest

from obis.refusal import Refused, word
from obis.trust.authorization import check_authorization
from obis.trust.envelope import digest
from obis.trust.grant import check_grant, find_cap, find_operation
from obis.trust.rule import check_rule
from obis.trust.trust_root import Verified
from obis.v1.grant_pb2 import EdgeCap, GrantRelease, LeaseKind
from obis.v1.scope_pb2 import Operation
from tests.obis.trust import objects
from tests.obis.trust.people import BEGIN

ISSUE, REPLACE, FIRMWARE, DEBUG, CLOSE, SCRAP = range(6)


def verified(message):
    payload = message.SerializeToString(deterministic=True)
    return Verified(message, payload, digest(payload), frozenset({"bob", "carol"}))


def rule():
    return objects.product_rule()


def grant():
    return objects.grant(verified(rule()).digest)


def authorization(given=None):
    given = given or grant()
    return objects.authorization(verified(given).digest, given)


def reason_of(check) -> str:
    with pytest.raises(Refused) as refusal:
        check()
    return word(refusal.value.reason)


# ---- Rules ----


def following(**changed):
    made = rule()
    made.sequence, made.previous_digest = 2, verified(rule()).digest
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def test_a_rule_follows_the_one_before():
    check_rule(verified(rule()))
    check_rule(verified(following(lifetime_quantity=7)), verified(rule()))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"sequence": 3}, "SEQUENCE_GAP"),
        ({"previous_digest": bytes(32)}, "DIGEST_MISMATCH"),
        ({"product_id": b"x" * 16}, "WRONG_PRODUCT"),
        ({"vendor_id": 0xFFF2}, "WRONG_PRODUCT"),
        ({"product_code": 0x8001}, "WRONG_PRODUCT"),
        ({"sequence": 1}, "DIGEST_MISMATCH"),
        ({"previous_digest": b""}, "DIGEST_MISMATCH"),
    ],
    ids=str,
)
def test_a_rule_that_does_not_follow_is_refused(changed, reason):
    assert reason_of(lambda: check_rule(verified(following(**changed)), verified(rule()))) == reason


def test_a_key_twice_in_a_rule_is_refused():
    doubled = rule()
    doubled.keys.append(doubled.keys[0])
    assert reason_of(lambda: check_rule(verified(doubled))) == "MALFORMED"


# ---- Grants ----


def test_a_grant_within_every_bound_holds_alone_and_in_its_chain():
    check_grant(verified(rule()), verified(grant()))
    check_grant(verified(rule()), verified(grant()), [])


GRANTS = {
    "another rule": (lambda g: setattr(g, "rule_digest", bytes(32)), "DIGEST_MISMATCH"),
    "another product": (lambda g: setattr(g, "product_id", b"x" * 16), "WRONG_PRODUCT"),
    "another VID": (lambda g: setattr(g.template, "vendor_id", 0xFFF2), "WRONG_PRODUCT"),
    "another PID": (lambda g: setattr(g.template, "product_code", 0x8001), "WRONG_PRODUCT"),
    "a name that grows too long": (
        lambda g: setattr(g.template, "common_name_pattern", "x" * 25 + "{serial}"),
        "MALFORMED",
    ),
    "more than ever": (lambda g: setattr(g, "granted_before", 51), "LIFETIME_QUANTITY_EXCEEDED"),
    "shares above the total": (lambda g: setattr(g.edge_caps[1], "max_quantity", 31), "EDGE_CAP_EXCEEDED"),
    "two shares of one EdgeHSM": (lambda g: g.edge_caps.append(g.edge_caps[0]), "MALFORMED"),
    "an operation twice": (lambda g: g.operations.append(g.operations[SCRAP]), "MALFORMED"),
    "issuing before the window": (
        lambda g: setattr(g.operations[ISSUE].window, "starts_at", BEGIN - 1),
        "WINDOW_NOT_OPEN",
    ),
    "issuing after the window": (
        lambda g: setattr(g.operations[ISSUE].window, "ends_at", g.window.ends_at + 1),
        "WINDOW_CLOSED",
    ),
    "issuing above the total": (lambda g: setattr(g.operations[ISSUE], "max_total", 51), "GRANT_EXCEEDED"),
    "debug without a time-box": (lambda g: setattr(g.operations[DEBUG], "time_box_seconds", 0), "MALFORMED"),
    "debug without permissions": (lambda g: setattr(g.operations[DEBUG], "debug_permissions", 0), "MALFORMED"),
    "permissions without debug": (lambda g: setattr(g.operations[SCRAP], "debug_permissions", 1), "MALFORMED"),
    "a lease that is none": (lambda g: setattr(g.lease, "max_issues", 5), "MALFORMED"),
    "a lease without bounds": (lambda g: setattr(g.lease, "kind", LeaseKind.LEASE_KIND_COSIGNED), "MALFORMED"),
}


@pytest.mark.parametrize("name", GRANTS)
def test_a_grant_beyond_a_bound_is_refused(name):
    bend, reason = GRANTS[name]
    bent = grant()
    bend(bent)

    assert reason_of(lambda: check_grant(verified(rule()), verified(bent))) == reason


def second(first, **changed):
    made = grant()
    made.sequence, made.previous_digest, made.granted_before = 2, verified(first).digest, first.total_quantity
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def test_what_was_granted_before_is_added_up_from_the_chain():
    first = grant()
    chain = [verified(first)]
    check_grant(verified(rule()), verified(second(first)), chain)
    for changed, reason in (
        ({"granted_before": 49}, "LIFETIME_QUANTITY_EXCEEDED"),
        ({"granted_before": 0}, "LIFETIME_QUANTITY_EXCEEDED"),
        ({"sequence": 3}, "SEQUENCE_GAP"),
        ({"previous_digest": bytes(32)}, "DIGEST_MISMATCH"),
    ):
        bent = second(first, **changed)
        assert reason_of(lambda bent=bent: check_grant(verified(rule()), verified(bent), chain)) == reason
    assert reason_of(lambda: check_grant(verified(rule()), verified(second(first)), [])) == "SEQUENCE_GAP"


def test_an_earlier_grant_of_another_product_is_no_chain():
    first = grant()
    first.product_id = b"x" * 16
    check = lambda: check_grant(verified(rule()), verified(second(first)), [verified(first)])  # noqa: E731
    assert reason_of(check) == "WRONG_PRODUCT"


def releasing(first, *releases, before):
    made = second(first, granted_before=before)
    made.releases.extend(releases)
    return made


def test_released_quantity_may_be_granted_again_once():
    first = grant()
    chain = [verified(first)]
    back = GrantRelease(grant_digest=verified(first).digest, quantity=10, closed_leaf_hashes=[b"1" * 32])
    check_grant(verified(rule()), verified(releasing(first, back, before=40)), chain)
    cases = {
        "REPLAYED": releasing(first, back, back, before=30),
        "GRANT_EXCEEDED": releasing(
            first, GrantRelease(grant_digest=back.grant_digest, quantity=51, closed_leaf_hashes=[b"2" * 32]), before=0
        ),
        "DEPENDENCY_MISSING": releasing(first, GrantRelease(grant_digest=back.grant_digest, quantity=10), before=40),
        "LIFETIME_QUANTITY_EXCEEDED": releasing(first, back, before=39),
    }
    for reason, bent in cases.items():
        assert reason_of(lambda bent=bent: check_grant(verified(rule()), verified(bent), chain)) == reason
    unknown = GrantRelease(grant_digest=bytes(32), quantity=1, closed_leaf_hashes=[b"3" * 32])
    bent = releasing(first, unknown, before=49)
    assert reason_of(lambda: check_grant(verified(rule()), verified(bent), chain)) == "GRANT_EXCEEDED"


def test_a_share_is_found_by_all_its_names():
    assert find_cap(grant(), "th-1", "edge-th", 1) == EdgeCap(
        factory_id="th-1", edgehsm_id="edge-th", epoch=1, max_quantity=20
    )
    assert find_operation(grant(), Operation.OPERATION_SCRAP).max_total == 5
    for names, reason in (
        (("th-1", "edge-xx", 1), "WRONG_EDGEHSM"),
        (("vn-1", "edge-th", 1), "WRONG_FACTORY"),
        (("th-1", "edge-th", 2), "WRONG_EPOCH"),
    ):
        assert reason_of(lambda names=names: find_cap(grant(), *names)) == reason


# ---- Authorizations ----


def test_an_authorization_within_every_bound_holds():
    check_authorization(verified(grant()), verified(authorization()))


AUTHORIZATIONS = {
    "another grant": (lambda a: setattr(a, "grant_digest", bytes(32)), "DIGEST_MISMATCH"),
    "another product": (lambda a: setattr(a, "product_id", b"x" * 16), "WRONG_PRODUCT"),
    "another version": (lambda a: setattr(a, "version_digest", bytes(32)), "WRONG_PRODUCT_VERSION"),
    "an EdgeHSM without a share": (lambda a: setattr(a, "edgehsm_id", "edge-xx"), "WRONG_EDGEHSM"),
    "another factory": (lambda a: setattr(a, "factory_id", "vn-1"), "WRONG_FACTORY"),
    "another epoch": (lambda a: setattr(a, "epoch", 2), "WRONG_EPOCH"),
    "more than the share": (lambda a: setattr(a, "quantity", 21), "EDGE_CAP_EXCEEDED"),
    "before the window": (lambda a: setattr(a.window, "starts_at", BEGIN - 1), "WINDOW_NOT_OPEN"),
    "after the window": (lambda a: setattr(a.window, "ends_at", BEGIN + 30 * objects.DAY + 1), "WINDOW_CLOSED"),
    "an operation twice": (lambda a: a.operations.append(a.operations[SCRAP]), "MALFORMED"),
    "an operation not granted": (
        lambda a: setattr(a.operations[SCRAP], "operation", Operation.OPERATION_RELABEL),
        "OPERATION_NOT_GRANTED",
    ),
    "more of an operation": (lambda a: setattr(a.operations[SCRAP], "max_total", 6), "GRANT_EXCEEDED"),
    "more for a device": (lambda a: setattr(a.operations[DEBUG], "max_per_device", 3), "DEVICE_LIMIT_REACHED"),
    "no bound for a device": (lambda a: setattr(a.operations[DEBUG], "max_per_device", 0), "DEVICE_LIMIT_REACHED"),
    "more for a day": (lambda a: setattr(a.operations[DEBUG], "max_per_day", 4), "DAY_LIMIT_REACHED"),
    "no bound for a day": (lambda a: setattr(a.operations[DEBUG], "max_per_day", 0), "DAY_LIMIT_REACHED"),
    "an operation before its window": (
        lambda a: setattr(a.operations[DEBUG].window, "starts_at", BEGIN - 1),
        "WINDOW_NOT_OPEN",
    ),
    "an operation after its window": (
        lambda a: setattr(a.operations[DEBUG].window, "ends_at", BEGIN + 301 * objects.DAY),
        "WINDOW_CLOSED",
    ),
    "wider debug permissions": (
        lambda a: setattr(a.operations[DEBUG], "debug_permissions", 0b0111),
        "OPERATION_NOT_GRANTED",
    ),
    "a longer time-box": (lambda a: setattr(a.operations[DEBUG], "time_box_seconds", 3601), "OPERATION_NOT_GRANTED"),
    "another template": (lambda a: setattr(a.template, "not_after", BEGIN + 1), "CERTIFICATE_LINT_FAILED"),
    "a negative serial": (lambda a: setattr(a, "serial_prefix", b"\x80aaa"), "MALFORMED"),
    "a serial that begins with zero": (lambda a: setattr(a, "serial_prefix", b"\x00aaa"), "MALFORMED"),
    "certificates that begin too late": (lambda a: setattr(a, "dac_not_before", objects.NO_EXPIRY), "MALFORMED"),
}


@pytest.mark.parametrize("name", AUTHORIZATIONS)
def test_an_authorization_beyond_a_bound_is_refused(name):
    bend, reason = AUTHORIZATIONS[name]
    bent = authorization()
    bend(bent)

    assert reason_of(lambda: check_authorization(verified(grant()), verified(bent))) == reason


def test_a_tighter_authorization_holds():
    tight = authorization()
    tight.quantity = 1
    tight.operations[DEBUG].max_per_device = 1
    tight.operations[DEBUG].debug_permissions = 0
    tight.operations[FIRMWARE].max_per_day = 5
    del tight.operations[SCRAP]

    check_authorization(verified(grant()), verified(tight))
