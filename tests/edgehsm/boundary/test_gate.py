"""The gate's numbered rules, one by one, over plain values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgehsm.boundary.changes import Act, ActKind, device_key
from edgehsm.boundary.clock import Reading
from edgehsm.boundary.gate import Ask, Permit, Scene, Station, admit
from edgehsm.boundary.ledger import Ledger, Standing, day_of
from obis.refusal import Refused
from obis.v1.enrolment_objects_pb2 import SiteRole
from obis.v1.grant_pb2 import Lease, LeaseKind
from obis.v1.leaf_pb2 import CloseReason
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import Assurance, Operation, TimeQuality
from tests.obis.trust import objects
from tests.obis.trust.people import BEGIN

NOW = BEGIN + 5 * 86400
ISSUE, FIRMWARE, REOPEN = (
    Operation.OPERATION_ISSUE_DAC,
    Operation.OPERATION_PROGRAM_FIRMWARE,
    Operation.OPERATION_REOPEN_DEBUG,
)
STATION = Station("st-1", SiteRole.SITE_ROLE_STATION, frozenset())
ASK = Ask(ISSUE, device_key("generic-wifi", b"uid-1"), "generic-wifi", b"k" * 32)


def make_standing(**grant) -> Standing:
    given = objects.grant(b"r" * 32)
    for name, value in grant.items():
        getattr(given, name).CopyFrom(value) if hasattr(value, "CopyFrom") else setattr(given, name, value)
    authorization = objects.authorization(b"g" * 32, given)
    return Standing(authorization, b"a" * 32, given, b"g" * 32, NOW - 1000)


@pytest.fixture
def standing() -> Standing:
    return make_standing()


def scene_of(standing: Standing, *, now: int = NOW, **changed) -> Scene:
    ledger = Ledger()
    ledger.stand(standing)
    reading = Reading(now, now, TimeQuality.TIME_QUALITY_BEACONED)
    return Scene(ledger, reading, Assurance.ASSURANCE_SOFTWARE, **changed)


def fold(scene: Scene, kind: ActKind, device: bytes, key: bytes = b"", now: int = NOW) -> None:
    scene.ledger.fold(Act(scene.ledger.by_sequence[1].used, kind, 1, device, key, day_of(now), 0))


def refused_by(rule: int, reason: Reason.ValueType, ask: Ask, standing, station, scene) -> None:
    with pytest.raises(Refused) as refused:
        admit(ask, standing, station, scene)
    assert (refused.value.reason, refused.value.where) == (reason, f"gate rule {rule}")


def test_what_breaks_no_rule_is_admitted(standing):
    permit = admit(ASK, standing, STATION, scene_of(standing))

    assert (permit.ask, permit.standing) == (ASK, standing)


def test_a_permit_is_redeemed_once_and_made_by_the_gate_alone(standing):
    permit = admit(ASK, standing, STATION, scene_of(standing))
    permit.redeem()

    with pytest.raises(RuntimeError):
        permit.redeem()
    with pytest.raises(TypeError):
        Permit(object(), standing, ASK)


def test_rule_1_an_authorization_that_was_never_admitted_grants_nothing(standing):
    refused_by(1, Reason.REASON_AUTHORIZATION_UNKNOWN, ASK, None, STATION, scene_of(standing))


@pytest.mark.parametrize(
    "revoked",
    [
        {"revoked_auth_ids": frozenset({objects.authorization(b"", objects.grant(b"")).auth_id})},
        {"revoked_grants": frozenset({b"g" * 32})},
    ],
    ids=["authorization", "grant"],
)
def test_rule_2_what_is_revoked_grants_nothing(standing, revoked):
    refused_by(2, Reason.REASON_REVOKED, ASK, standing, STATION, scene_of(standing, **revoked))


def test_rule_3_an_authorization_closed_by_request_grants_nothing(standing):
    standing.closed = CloseReason.CLOSE_REASON_REQUESTED

    refused_by(3, Reason.REASON_AUTHORIZATION_CLOSED, ASK, standing, STATION, scene_of(standing))


@pytest.mark.parametrize(
    "station",
    [
        None,
        replace(STATION, revoked=True),
        replace(STATION, role=SiteRole.SITE_ROLE_SUPERVISOR),
        replace(STATION, product_ids=frozenset({b"another product!"})),
    ],
    ids=["unknown", "revoked", "supervisor", "another product"],
)
def test_rule_4_a_station_that_is_not_enrolled_for_it_may_not_ask(standing, station):
    refused_by(4, Reason.REASON_STATION_NOT_ENROLLED, ASK, standing, station, scene_of(standing))


def test_rule_5_an_operation_that_was_not_granted_is_not_done(standing):
    del standing.allowances[ISSUE]

    refused_by(5, Reason.REASON_OPERATION_NOT_GRANTED, ASK, standing, STATION, scene_of(standing))


def test_rule_6_a_better_element_may_be_required():
    standing = make_standing(required_assurance=Assurance.ASSURANCE_TOKEN_HARDWARE)

    refused_by(6, Reason.REASON_ASSURANCE_TOO_LOW, ASK, standing, STATION, scene_of(standing))


def test_rule_7_another_chip_family_is_another_product_version(standing):
    ask = ASK._replace(soc="generic-thread")

    refused_by(7, Reason.REASON_WRONG_PRODUCT_VERSION, ask, standing, STATION, scene_of(standing))


def test_rule_8_the_window_has_five_minutes_before_and_none_after(standing):
    begin, end = standing.authorization.window.starts_at, standing.authorization.window.ends_at
    admit(ASK, standing, STATION, scene_of(standing, now=begin - 300))
    admit(ASK, standing, STATION, scene_of(standing, now=end - 1))

    early, late = scene_of(standing, now=begin - 301), scene_of(standing, now=end)
    refused_by(8, Reason.REASON_WINDOW_NOT_OPEN, ASK, standing, STATION, early)
    refused_by(8, Reason.REASON_WINDOW_CLOSED, ASK, standing, STATION, late)


def test_rule_8_rework_has_a_window_of_its_own_after_the_batch_is_closed(standing):
    after = standing.authorization.window.ends_at + 86400
    scene = scene_of(standing, now=after)
    fold(scene, ActKind.ISSUE_DAC, ASK.device, ASK.spki_digest)
    standing.closed = CloseReason.CLOSE_REASON_WINDOW_ENDED

    admit(ASK._replace(operation=REOPEN), standing, STATION, scene)
    another = ASK._replace(device=device_key("generic-wifi", b"uid-2"))
    refused_by(8, Reason.REASON_WINDOW_CLOSED, another, standing, STATION, scene)


def test_rule_8_doubtful_time_stops_only_what_depends_on_it(standing):
    inside = Reading(NOW, NOW + 2 * 86400, TimeQuality.TIME_QUALITY_SUSPECT)
    beyond = Reading(NOW, standing.authorization.window.ends_at + 1, TimeQuality.TIME_QUALITY_SUSPECT)
    scene = scene_of(standing)
    admit(ASK, standing, STATION, replace(scene, reading=inside))

    refused_by(8, Reason.REASON_TIME_SUSPECT, ASK, standing, STATION, replace(scene, reading=beyond))


def test_rule_9_a_device_does_not_come_back_with_another_key(standing):
    scene = scene_of(standing)
    fold(scene, ActKind.ISSUE_DAC, ASK.device, b"first key".ljust(32))

    refused_by(9, Reason.REASON_DEVICE_KEY_CHANGED, ASK, standing, STATION, scene)


def test_rule_10_a_key_serves_one_device(standing):
    scene = scene_of(standing)
    fold(scene, ActKind.ISSUE_DAC, device_key("generic-wifi", b"uid-2"), ASK.spki_digest)

    refused_by(10, Reason.REASON_KEY_REUSED, ASK, standing, STATION, scene)


def test_rule_11_what_was_not_made_here_under_this_authorization_is_unknown(standing):
    ask = ASK._replace(operation=FIRMWARE)

    refused_by(11, Reason.REASON_DEVICE_UNKNOWN, ask, standing, STATION, scene_of(standing))


def test_rule_12_quantity_is_spent_once_for_each_device(standing):
    scene = scene_of(standing)
    for number in range(standing.quantity):
        device = device_key("generic-wifi", b"made-%d" % number)
        admit(ASK._replace(device=device, spki_digest=device), standing, STATION, scene)
        fold(scene, ActKind.ISSUE_DAC, device, device)

    refused_by(12, Reason.REASON_QUANTITY_SPENT, ASK, standing, STATION, scene)


def test_rule_12_a_grants_total_is_spent_by_all_its_authorizations():
    standing = make_standing()
    scene = scene_of(standing)
    scene.ledger.grant_tally(standing.grant_digest, ISSUE).total = standing.allowances[ISSUE].in_grant.total

    refused_by(12, Reason.REASON_QUANTITY_SPENT, ASK, standing, STATION, scene)


def test_rule_13_a_device_has_a_share_of_its_own(standing):
    scene = scene_of(standing)
    fold(scene, ActKind.ISSUE_DAC, ASK.device, ASK.spki_digest)
    for _ in range(standing.allowances[REOPEN].here.per_device):
        fold(scene, ActKind.REOPEN_DEBUG, ASK.device)

    ask = ASK._replace(operation=REOPEN)
    refused_by(13, Reason.REASON_DEVICE_LIMIT_REACHED, ask, standing, STATION, scene)


def test_rule_14_a_day_has_a_share_and_the_next_day_another(standing):
    scene = scene_of(standing)
    for number in range(3):
        device = device_key("generic-wifi", b"made-%d" % number)
        fold(scene, ActKind.ISSUE_DAC, device, device)
        fold(scene, ActKind.REOPEN_DEBUG, device)
    fold(scene, ActKind.ISSUE_DAC, ASK.device, ASK.spki_digest)

    ask = ASK._replace(operation=REOPEN)
    refused_by(14, Reason.REASON_DAY_LIMIT_REACHED, ask, standing, STATION, scene)
    tomorrow = Reading(NOW + 86400, NOW + 86400, TimeQuality.TIME_QUALITY_BEACONED)
    admit(ask, standing, STATION, replace(scene, reading=tomorrow))


@pytest.mark.parametrize(("cosigned_at", "unseen", "allowed"), [(NOW - 99, 0, True), (NOW - 100, 0, False)])
def test_rule_15_a_lease_runs_out_in_time_without_a_cosignature(cosigned_at, unseen, allowed):
    lease = Lease(kind=LeaseKind.LEASE_KIND_COSIGNED, max_seconds=100, max_issues=3)
    standing = make_standing(lease=lease)
    standing.admitted_at = NOW - 5000
    scene = scene_of(standing, cosigned_at=cosigned_at)

    if allowed:
        admit(ASK, standing, STATION, scene)
    else:
        refused_by(15, Reason.REASON_LEASE_EXPIRED, ASK, standing, STATION, scene)


def test_rule_15_a_lease_runs_out_by_number_and_a_cosigned_checkpoint_renews_it():
    lease = Lease(kind=LeaseKind.LEASE_KIND_COSIGNED, max_seconds=10_000, max_issues=3)
    standing = make_standing(lease=lease)
    scene = scene_of(standing)
    for number in range(3):
        device = device_key("generic-wifi", b"made-%d" % number)
        fold(scene, ActKind.ISSUE_DAC, device, device)

    refused_by(15, Reason.REASON_LEASE_EXPIRED, ASK, standing, STATION, scene)
    scene.ledger.seen_up_to(2)
    admit(ASK, standing, STATION, scene)
