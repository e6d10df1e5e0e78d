"""The room's decisions, without ports or tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud import batch, product, proposal, version
from cloud.product import Room
from obis.refusal import Refused
from obis.trust.trust_root import Verified
from obis.v1.grant_pb2 import EdgeCap, Grant, GrantRelease, OpRule
from obis.v1.package_pb2 import VersionManifest
from obis.v1.reason_pb2 import Reason
from obis.v1.rule_pb2 import KeyPurpose, ProductKey, ProductRule
from obis.v1.scope_pb2 import Operation, Window

WINDOW = Window(starts_at=1000, ends_at=2000)


def candidate(name=b"first", total=100, promised=0, share=100, spent=0, window=WINDOW):
    issue = OpRule(operation=Operation.OPERATION_ISSUE_DAC, max_total=total, window=window)
    rework = OpRule(
        operation=Operation.OPERATION_REOPEN_DEBUG, max_total=9, window=Window(starts_at=1000, ends_at=9000)
    )
    grant = Grant(total_quantity=total, window=window, operations=[issue, rework])
    return batch.Candidate(name, grant, Room(total, promised), Room(share, spent))


def refuses(reason):
    return pytest.raises(Refused, match=f"^{Reason.Name(reason).removeprefix('REASON_')}:")


def choose(candidates, quantity, product_left=1000, window=WINDOW, now=1500):
    return batch.choose_grant(candidates, Room(product_left, 0), quantity, window, now)


def test_the_oldest_grant_with_room_pays():
    full, roomy = candidate(promised=95), candidate(b"second")

    assert choose([full, roomy], 5).grant_digest == b"first"
    assert choose([full, roomy], 6).grant_digest == b"second"


@pytest.mark.parametrize("tight", [{"promised": 95}, {"spent": 95}, {"share": 5}])
def test_the_share_the_grant_and_the_product_each_bound_a_batch(tight):
    with refuses(Reason.REASON_QUOTA_EXCEEDED):
        choose([candidate(**tight)], 6)
    with refuses(Reason.REASON_QUOTA_EXCEEDED):
        choose([candidate()], 6, product_left=5)


def test_exactly_what_is_left_is_allowed():
    assert choose([candidate(promised=95, spent=95)], 5, product_left=5)


rooms = st.builds(Room, st.integers(1, 60), st.integers(0, 60))


@given(st.lists(st.tuples(rooms, rooms), max_size=5), rooms, st.integers(1, 70))
def test_a_batch_is_paid_exactly_when_somebody_can_pay_all_of_it(pairs, of_product, quantity):
    """Never more than any of the three bounds leaves, and never refused while one Grant could pay."""
    candidates = [
        batch.Candidate(bytes([place]), Grant(window=WINDOW), of_grant, of_share)
        for place, (of_grant, of_share) in enumerate(pairs)
    ]
    able = [each for each in candidates if quantity <= min(each.of_grant.left, each.of_share.left, of_product.left)]
    try:
        chosen = batch.choose_grant(candidates, of_product, quantity, WINDOW, 1500)
    except Refused:
        assert able == []
    else:
        assert chosen == able[0]


def test_without_a_share_the_edgehsm_is_wrong_and_not_the_quantity():
    with refuses(Reason.REASON_WRONG_EDGEHSM):
        choose([], 1)


def test_a_window_that_has_ended_is_closed_to_the_second():
    assert choose([candidate()], 1, now=1999)
    with refuses(Reason.REASON_WINDOW_CLOSED):
        choose([candidate()], 1, now=2000)


def test_issuing_is_cut_to_the_batch_and_rework_keeps_its_window():
    inner = Window(starts_at=1100, ends_at=1200)

    issue, rework = batch.operations_of(candidate().grant, 7, inner)

    assert (issue.max_total, issue.window) == (7, inner)
    assert (rework.max_total, rework.window.ends_at) == (9, 9000)


@pytest.mark.parametrize("drawn", [bytes(8), b"\xff" * 8, b"\x7e" * 8, b"\x7f" * 8])
def test_a_serial_prefix_begins_a_positive_number_of_fixed_width(drawn):
    prefix = batch.draw_prefix(drawn)

    assert len(prefix) == batch.SERIAL_PREFIX_BYTES
    assert 0x01 <= prefix[0] <= 0x7F


def grant(digest, total, released=()):
    releases = [GrantRelease(grant_digest=b"r" * 32, quantity=each) for each in released]
    return Verified(Grant(total_quantity=total, releases=releases), b"", digest, frozenset())


def test_the_chain_adds_up_and_subtracts_what_came_back():
    place = proposal.next_place([grant(b"a", 100), grant(b"b", 50, released=[30])])

    assert place == proposal.ChainPlace(3, b"b", 120)
    assert proposal.next_place([]) == proposal.ChainPlace(1, b"", 0)


def test_a_grant_elsewhere_in_the_chain_is_out_of_place():
    chain = [grant(b"a", 100)]
    proposal.require_in_place(Grant(sequence=2, previous_digest=b"a"), chain)

    for late in (Grant(sequence=1), Grant(sequence=2, previous_digest=b"x"), Grant(sequence=3, previous_digest=b"a")):
        with refuses(Reason.REASON_STATE_CONFLICT):
            proposal.require_in_place(late, chain)


def test_the_lifetime_is_reached_and_not_passed():
    rule, place = ProductRule(lifetime_quantity=100), proposal.ChainPlace(2, b"a", 90)

    proposal.require_lifetime(rule, place, 10)
    with refuses(Reason.REASON_LIFETIME_QUANTITY_EXCEEDED):
        proposal.require_lifetime(rule, place, 11)


def test_titles_say_what_is_signed():
    caps = [EdgeCap(edgehsm_id=f"e{number}", max_quantity=number) for number in range(1, 6)]

    title = proposal.grant_title(Grant(sequence=3, total_quantity=15, edge_caps=caps), "Bulb", "2.0")

    assert title == "Grant 3 of Bulb 2.0: 15 devices (e1: 1, e2: 2, e3: 3 and 2 more)"


def test_a_product_key_that_stands_twice_is_refused():
    key = ProductKey(purpose=KeyPurpose.KEY_PURPOSE_OTA, name="ota")

    with refuses(Reason.REASON_MALFORMED):
        product.first_rule(b"p" * 16, "Bulb", 1, 1, 1, [key, key], [], paa_cert_digest=b"", proposer="ann", now=1)


def test_only_a_secure_boot_key_with_a_public_half_signs_firmware():
    boot = ProductKey(purpose=KeyPurpose.KEY_PURPOSE_SECURE_BOOT, name="boot", spki_der=b"key")
    ota = ProductKey(purpose=KeyPurpose.KEY_PURPOSE_OTA, name="ota", spki_der=b"other")

    assert product.secure_boot_key(ProductRule(keys=[ota, boot])) == b"key"
    assert product.secure_boot_key(ProductRule(keys=[ota])) == b""


def test_changes_are_found_at_any_depth_and_only_there():
    before, after = VersionManifest(label="1", firmware_digest=b"\1" * 32), VersionManifest(label="1")
    after.firmware_digest = b"\2" * 32
    after.chip_security.secure_boot = True

    found = list(version.changes(before, after))

    assert [path for path, *_ in found] == ["firmware_digest", "chip_security.secure_boot"]
    assert found[0][1:] == ("01" * 32, "02" * 32)
    assert list(version.changes(after, after)) == []
