"""Leaves about ends and second lives: closed shares, released quantity, scrap, labels, keys, replacements, limits."""

import pytest

from obis.refusal import Refused
from obis.trust.envelope import digest, parse_envelope
from obis.trust.merkle import leaf_hash
from obis.trust.trust_root import Verified
from obis.trust.verify import verify_export
from obis.trust.verify.making import spend
from obis.trust.verify.state import Batch, LogState
from obis.v1.device_objects_pb2 import DebugState
from obis.v1.grant_pb2 import GrantRelease, OpRule
from obis.v1.leaf_pb2 import CloseReason
from obis.v1.scope_pb2 import DeviceId, EvidenceLevel, Operation
from tests.obis.trust.floor import HOUR, STATION, whole
from tests.obis.trust.forgery import (
    AUTH_ID,
    EDGE,
    GRANT_2,
    LOG,
    OTHER,
    at_leaf,
    changing,
    clone,
    honest,
    kind,
    refused,
    trust_root_leaf,
    with_leaves,
)
from tests.obis.trust.keys import p256
from tests.obis.trust.objects import MAKING, PRODUCT
from tests.obis.trust.people import BEGIN
from tests.obis.trust.world import World


def holds(edits):
    world = World(edits)
    return verify_export(world.files, world.fingerprint)


def adding(*leaves):
    """Edits for the log of EDGE that add leaves before its last (the close) and after all devices."""

    def edit(story):
        story[-1:-1] = [clone(leaf) for leaf in leaves]
        for leaf in leaves:
            assert leaf.at >= BEGIN + 9 * HOUR
        return story

    return {f"leaves {EDGE}": edit}


def device(number=2) -> DeviceId:
    return honest().issued[EDGE][number][0]


def serial_of(number=2) -> bytes:
    return honest().auths[EDGE].serial_prefix + bytes([number]) * 8


def scrapped(number=2, **changed):
    entry = {"auth_id": AUTH_ID, "device": device(number), "dac_serial": serial_of(number), "note": "broken"} | changed
    return honest().leaf(9, scrapped=entry)


def relabelled(hour=9, number=2):
    return honest().leaf(hour, relabelled={"auth_id": AUTH_ID, "device": device(number), "label_number": 2})


def delivered(number=2):
    entry = {
        "auth_id": AUTH_ID,
        "device": device(number),
        "key_agreement_digest": bytes(32),
        "sealed_digest": bytes(32),
    }
    return honest().leaf(9, key_delivered=entry)


def granting(operation, **bounds):
    """Grant and Authorization with one operation more."""
    more = changing(
        lambda each: each.operations.append(OpRule(operation=operation, max_total=9, window=MAKING, **bounds))
    )
    return {"grant": more}


def released(quantity, released_by_leaf):
    """A first log whose share is closed, and a second Grant that counts on what came back."""
    grant_digest = digest(whole(honest().grant))
    closed = honest().leaf(11, grant_closed={
        "grant_digest": grant_digest, "used": 6, "released": released_by_leaf,
        "close_reason": CloseReason.CLOSE_REASON_REQUESTED,
    })  # fmt: skip
    closed.edgehsm_id, closed.epoch, closed.index = EDGE, 1, 30

    def counting_on(grant):
        release = GrantRelease(
            grant_digest=grant_digest, quantity=quantity, closed_leaf_hashes=[leaf_hash(whole(closed))]
        )
        grant.releases.append(release)
        grant.granted_before -= quantity
        return grant

    return {"second_grant": counting_on, f"leaves {EDGE}": lambda leaves: [*leaves, clone(closed)]}


def test_a_closed_share_gives_back_what_the_next_grant_counts_on():
    assert holds(released(14, 14)).logs[0].leaves == 31


@pytest.mark.parametrize(
    ("quantity", "by_leaf", "reason", "where"),
    [(14, 13, "GRANT_EXCEEDED", GRANT_2), (14, 15, "BROKEN_CHAIN", f"{LOG}.leaves leaf 30")],
    ids=["more than came back", "more than was left"],
)
def test_a_release_that_is_too_large_is_refused(quantity, by_leaf, reason, where):
    refused(reason, where, World(released(quantity, by_leaf)))


def closing_the_share(used=6, *, early=False):
    def edit(leaves):
        entry = {"grant_digest": digest(whole(honest().grant)), "used": used, "released": 1, "close_reason": 3}
        at = -1 if early else len(leaves)
        leaves.insert(at, honest().leaf(10, grant_closed=entry))
        return leaves

    return {f"leaves {EDGE}": edit}


def test_a_share_is_closed_once_its_authorizations_have_ended_and_with_true_counts():
    holds(closing_the_share())
    refused("AUTHORIZATION_CLOSED", f"{LOG}.leaves leaf 29", World(closing_the_share(early=True)))
    refused("BROKEN_CHAIN", f"{LOG}.leaves leaf 30", World(closing_the_share(used=5)))


def test_a_scrapped_device_stays_counted_and_is_listed():
    verdict = holds(adding(scrapped(4)))

    assert verdict.logs[0].issued == 6
    assert "SCRAPPED" in {unit.reason for unit in verdict.failed_units}


def test_a_device_that_never_had_a_dac_may_be_scrapped_without_one():
    never = DeviceId(soc="generic-wifi", uid=b"never made")
    holds(adding(scrapped(device=never, dac_serial=b"")))
    refused("DEVICE_UNKNOWN", f"{LOG}.leaves leaf", World(adding(scrapped(device=never))))


SCRAPS = {
    "with another DAC": (lambda: [scrapped(dac_serial=b"\x01")], {}, "DEVICE_KEY_CHANGED"),
    "without its DAC": (lambda: [scrapped(dac_serial=b"")], {}, "DEVICE_KEY_CHANGED"),
    "a label without leave": (lambda: [relabelled()], {}, "OPERATION_NOT_GRANTED"),
    "a key without leave": (lambda: [delivered()], {}, "OPERATION_NOT_GRANTED"),
    "two labels where one is allowed": (
        lambda: [relabelled(), relabelled()],
        granting(Operation.OPERATION_RELABEL, max_per_device=1),
        "DEVICE_LIMIT_REACHED",
    ),
    "two labels in a day of one": (
        lambda: [relabelled(number=1), relabelled(number=2)],
        granting(Operation.OPERATION_RELABEL, max_per_day=1),
        "DAY_LIMIT_REACHED",
    ),
    "ten keys of nine": (
        lambda: [delivered()] * 10,
        granting(Operation.OPERATION_DELIVER_KEY),
        "QUANTITY_SPENT",
    ),
}


@pytest.mark.parametrize("name", SCRAPS)
def test_second_lives_beyond_a_bound(name):
    leaves, edits, reason = SCRAPS[name]

    refused(reason, f"{LOG}.leaves leaf", World(edits | adding(*leaves())))


@pytest.mark.parametrize(
    ("operation", "leaf"),
    [(Operation.OPERATION_RELABEL, relabelled), (Operation.OPERATION_DELIVER_KEY, delivered)],
)
def test_second_lives_within_their_bounds_hold(operation, leaf):
    holds(granting(operation, max_per_device=1, max_per_day=1) | adding(leaf()))


def replaced_again():
    """A second replacement of a device that may have one."""
    key = p256("second replacement")
    entry = {
        "auth_id": AUTH_ID, "device": device(0), "spki_digest": bytes.fromhex(key.key_id),
        "dac_der": honest().dac(EDGE, key, b"once more"[:8]), "count": 2, "boundary_nonce": bytes(16),
        "replaced_serial": honest().auths[EDGE].serial_prefix + b"replaced",
    }  # fmt: skip
    return honest().leaf(9, replaced=entry)


def test_a_second_replacement_of_a_device_that_may_have_one():
    refused("DEVICE_LIMIT_REACHED", f"{LOG}.leaves leaf", World(adding(replaced_again())))


def open_port():
    device_id, key, _ = honest().issued[EDGE][1]
    return honest().report(honest().auths[EDGE], device_id, key, b"s" * 16, debug_state=DebugState.DEBUG_STATE_REOPENED)


def early():
    return changing(lambda manifest: setattr(manifest, "exported_at", BEGIN))


LATE = {
    "two starts alike": (
        with_leaves(lambda leaves: leaves.append(again(leaves, "incarnation"))),
        "BROKEN_CHAIN",
    ),
    "an older list after a newer one": (
        at_leaf("revocation", lambda leaf: setattr(leaf.revocation, "sequence", 2)),
        "REVOCATION_STALE",
    ),
    "an older root after a newer one": (
        {
            "second_root": lambda root: root,
            f"leaves {EDGE}": lambda leaves: [leaves[0], *both_roots(), *leaves[1:]],
        },
        "TRUST_ROOT_STALE",
    ),
    "a PAI for another product": (
        at_leaf("pai_installed", lambda leaf: setattr(leaf.pai_installed, "product_id", bytes(16))),
        "WRONG_PRODUCT",
    ),
    "an Authorization of another EdgeHSM": (
        with_leaves(lambda leaves: leaves.append(others_admission(leaves))),
        "WRONG_EDGEHSM",
    ),
    "another product than the Grant's": (
        at_leaf("grant_admitted", lambda leaf: setattr(leaf.grant_admitted, "product_id", bytes(16))),
        "DIGEST_MISMATCH",
    ),
    "a debug close that claims more than it holds": (
        at_leaf("debug_closed", lambda leaf: leaf.debug_closed.ClearField("report")),
        "EVIDENCE_TOO_LOW",
    ),
    "an admission after the root's end": (
        {"root": changing(lambda root: setattr(root, "expires_at", BEGIN + 1))} | {"manifest": early()},
        "EXPIRED",
    ),
    "a debug close while the port is open": (
        at_leaf("debug_closed", lambda leaf: leaf.debug_closed.report.CopyFrom(open_port())),
        "REPORT_MISMATCH",
    ),
    "more stations than approved": (
        {f"approval {EDGE}": changing(lambda each: setattr(each, "max_stations", 1))}
        | with_leaves(lambda leaves: leaves.insert(5, another_station(leaves))),
        "GRANT_EXCEEDED",
    ),
}  # fmt: skip


def test_an_export_from_after_the_roots_end_is_refused():
    ended = changing(lambda root: setattr(root, "expires_at", BEGIN + 20 * HOUR))

    refused("EXPIRED", "manifest.dsse", World({"root": ended}))


def again(leaves, name):
    copy = clone(kind(leaves, name))
    copy.at = leaves[-1].at
    return copy


def both_roots():
    def leaf(envelope_path, version):
        world = World({"second_root": lambda root: root})
        return trust_root_leaf(version, digest(parse_envelope(world.files[envelope_path]).payload))

    return leaf("trust/root-0002.dsse", 2), leaf("trust/root-0001.dsse", 1)


def others_admission(leaves):
    auth = honest().auths[OTHER]
    entry = {
        "auth_id": auth.auth_id, "authorization_digest": digest(whole(auth)), "grant_digest": auth.grant_digest,
        "sequence": auth.sequence, "quantity": auth.quantity, "package_digest": auth.package_digest,
    }  # fmt: skip
    leaf = honest().leaf(10, authorization_admitted=entry)
    leaf.at = leaves[-1].at
    return leaf


def another_station(leaves):
    copy = clone(kind(leaves, "station_enrolled"))
    copy.station_enrolled.spki_digest = b"2" * 32
    return copy


@pytest.mark.parametrize("name", LATE)
def test_leaves_about_the_edgehsm_itself(name):
    edits, reason = LATE[name]

    refused(reason, f"{LOG}.leaves leaf", World(edits))


def test_a_debug_port_may_be_closed_on_the_stations_word_alone():
    def edit(leaf):
        leaf.debug_closed.ClearField("report")
        leaf.debug_closed.evidence = EvidenceLevel.EVIDENCE_LEVEL_STATION_REPORTED

    holds(at_leaf("debug_closed", edit))


def test_what_only_informs_is_taken_as_it_is():
    informing = (
        honest().leaf(9, time={"beacon_sequence": 1, "beacon_time": BEGIN, "wall_clock": BEGIN}),
        honest().leaf(9, front_certified={"spki_digest": STATION, "not_after": BEGIN}),
        honest().leaf(9, pruned={"below_index": 3, "cosigned_digest": bytes(32)}),
        honest().leaf(9, refused={"reason": 99999}),
    )
    verdict = holds(adding(*informing))

    assert verdict.logs[0].leaves == 34
    assert verdict.refusals == {"QUANTITY_SPENT": 6, "99999": 1}
    assert verdict.products[0].product_id == PRODUCT.hex()


def test_two_authorizations_together_keep_to_their_grants_total():
    """Each may scrap five, and so may the Grant: the sixth is one too many, under whichever it comes."""
    state = LogState((EDGE, 1), None, None)
    grant = Verified(honest().grant, b"", digest(whole(honest().grant)), frozenset())
    one, other = (Batch(honest().auths[EDGE], grant, None, None, quantity=10) for _ in range(2))
    for batch in (one, other, one, other, one):
        spend(state, batch, Operation.OPERATION_SCRAP, device(), BEGIN)

    with pytest.raises(Refused, match="QUANTITY_SPENT: 6 of 5"):
        spend(state, other, Operation.OPERATION_SCRAP, device(), BEGIN)
