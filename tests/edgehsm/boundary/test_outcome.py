"""Outcomes: who vouches, what a PASS needs, and that a final record stays what it was."""

from __future__ import annotations

import pytest

from obis.v1.device_objects_pb2 import DebugState, Lifecycle
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import EvidenceLevel
from tests.edgehsm.room import firmware, issue, outcome, ready_room, reason
from tests.edgehsm.world import Chip, chip

FAILED = Reason.REASON_DEVICE_TEST_FAILED


@pytest.fixture
def room(tmp_path):
    return ready_room(tmp_path / "room")


@pytest.fixture
def auth_id(room):
    return room.admit()


@pytest.fixture
def made(room, auth_id):
    """A programmed chip and its boundary nonce."""
    one = chip(1)
    issued, _ = room.steps(issue(auth_id, one), firmware(auth_id, one))
    return one, issued.issued.boundary_nonce


def test_a_pass_signed_by_the_chip_is_recorded_with_its_report(room, auth_id, made):
    one, nonce = made
    report = one.report(auth_id, nonce)
    reply = room.step(outcome(auth_id, one, passed=True, report=report, duration_ms=1234))

    (leaf,) = room.leaves("outcome")
    assert reply.outcome.evidence == leaf.evidence == EvidenceLevel.EVIDENCE_LEVEL_CHIP_SIGNED
    assert (leaf.report, leaf.passed, leaf.duration_ms) == (report, True, 1234)


def test_the_identical_outcome_again_is_the_same_record_across_a_restart(room, auth_id, made):
    one, nonce = made
    step = outcome(auth_id, one, passed=True, report=one.report(auth_id, nonce))
    first = room.step(step).outcome.log_index
    room.restart()

    assert room.step(step).outcome.log_index == first
    assert len(room.leaves("outcome")) == 1


def test_another_outcome_than_the_final_one_is_a_conflict(room, auth_id, made):
    one, nonce = made
    room.step(outcome(auth_id, one, passed=True, report=one.report(auth_id, nonce)))
    room.restart()

    assert reason(room.step(outcome(auth_id, one, passed=False, reason=FAILED))) == "OUTCOME_CONFLICT"


def test_a_failed_unit_has_a_record_and_may_be_tried_again(room, auth_id, made):
    one, nonce = made
    room.step(outcome(auth_id, one, passed=False, reason=FAILED))
    again = room.step(firmware(auth_id, one)).firmware.log_index
    room.step(outcome(auth_id, one, passed=True, report=one.report(auth_id, nonce)))

    assert [leaf.passed for leaf in room.leaves("outcome")] == [False, True]
    assert room.leaves("outcome")[0].evidence == EvidenceLevel.EVIDENCE_LEVEL_STATION_REPORTED
    assert len(room.leaves("firmware_authorized")) == 2
    assert again > room.leaves_at("outcome")[0]


def test_a_pass_on_the_stations_word_alone_is_not_enough_for_this_grant(room, auth_id, made):
    assert reason(room.step(outcome(auth_id, made[0], passed=True))) == "EVIDENCE_TOO_LOW"


@pytest.mark.parametrize(
    "changed",
    [
        {"firmware_digest": b"x" * 32},
        {"agent_digest": b"x" * 32},
        {"lifecycle": Lifecycle.LIFECYCLE_PROGRAMMED},
        {"debug_state": DebugState.DEBUG_STATE_OPEN},
        {"boundary_nonce": b"n" * 16},
        {"auth_id": b"a" * 16},
        {"device": Chip(b"another").id},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_report_that_is_not_of_this_finished_unit_is_no_pass(room, auth_id, made, changed):
    one, nonce = made
    said = {"auth_id": auth_id, "nonce": nonce}
    said |= {{"boundary_nonce": "nonce"}.get(name, name): value for name, value in changed.items() if name != "device"}
    report = Chip(b"another", one.key).report(**said) if "device" in changed else one.report(**said)

    assert reason(room.step(outcome(auth_id, one, passed=True, report=report))) == "REPORT_MISMATCH"
    assert not room.leaves("outcome")


def test_a_report_signed_by_another_key_is_not_the_chips(room, auth_id, made):
    one, nonce = made
    forged = Chip(one.uid).report(auth_id, nonce)

    assert reason(room.step(outcome(auth_id, one, passed=True, report=forged))) == "KEY_UNKNOWN"


def test_a_report_altered_after_signing_is_refused(room, auth_id, made):
    one, nonce = made
    altered = one.report(auth_id, nonce)
    altered.payload = altered.payload.replace(nonce, bytes(16))

    assert reason(room.step(outcome(auth_id, one, passed=True, report=altered))) == "SIGNATURE_INVALID"


def test_an_outcome_of_a_device_not_made_here_is_unknown(room, auth_id):
    assert reason(room.step(outcome(auth_id, chip(5), passed=False, reason=FAILED))) == "DEVICE_UNKNOWN"


@pytest.mark.parametrize(
    "said",
    [
        {"passed": True, "reason": FAILED},
        {"passed": False},
        {"passed": False, "reason": 9999},
        {"passed": False, "reason": FAILED, "test_result_digest": b"short"},
    ],
    ids=["pass with reason", "fail without", "unknown reason", "digest"],
)
def test_an_outcome_that_contradicts_itself_is_malformed(room, auth_id, made, said):
    assert reason(room.step(outcome(auth_id, made[0], **said))) == "MALFORMED"


def test_an_outcome_is_recorded_after_the_window_has_closed(room, auth_id, made):
    one, nonce = made
    room.later(40 * 86400)

    assert room.step(outcome(auth_id, one, passed=True, report=one.report(auth_id, nonce))).outcome.log_index
