"""Secure Debug: one port of one chip for one challenge, within a time-box, closed by the chip's own word."""

from __future__ import annotations

import pytest

from obis.trust.envelope import digest, verify_single
from obis.trust.payload import DEBUG_RESPONSE, PAI_REQUEST, parse_closed
from obis.v1.boundary_pb2 import StationDebugClose, StationDebugOpen
from obis.v1.device_objects_pb2 import DebugState
from obis.v1.envelope_pb2 import SigScheme
from obis.v1.provisioning_pb2 import CloseDebug, OpenDebug
from obis.v1.scope_pb2 import EvidenceLevel, Window
from tests.edgehsm.room import NOW, STATION, digest_of, issue, ready_room, reason
from tests.edgehsm.world import Chip, chip


@pytest.fixture
def room(tmp_path):
    return ready_room(tmp_path / "room")


@pytest.fixture
def auth_id(room):
    return room.admit()


@pytest.fixture
def made(room, auth_id):
    one = chip(1)
    room.step(issue(auth_id, one))
    return one


def reopen(room, auth_id, challenge: bytes, station=STATION, **changed):
    said = {"rework_reason": "radio fails", "operator": "badge 7"} | changed
    opening = OpenDebug(auth_id=auth_id, challenge=challenge, **said)
    return room.ask(open_debug=StationDebugOpen(station_key_digest=digest_of(station), open=opening))


def close(room, one: Chip, session_id: bytes, report, station=STATION):
    closing = CloseDebug(session_id=session_id, device=one.id, report=report)
    return room.ask(close_debug=StationDebugClose(station_key_digest=digest_of(station), close=closing))


def debug_spki(room) -> bytes:
    request = room.deliver(grant=room.grant).pai_request
    return parse_closed(PAI_REQUEST, request.payload).debug_spki_der


def test_the_response_is_signed_by_the_products_debug_key_for_this_challenge(room, auth_id, made):
    challenge = made.challenge(b"n" * 32)
    opened = reopen(room, auth_id, challenge).opened

    said = verify_single(opened.response, DEBUG_RESPONSE, debug_spki(room), SigScheme.SIG_SCHEME_P256)
    assert (said.challenge_digest, said.device) == (digest(challenge), made.id)
    assert (said.permissions, said.time_box_seconds) == (0b0011, 3600)
    assert said.session_id == opened.session_id
    (leaf,) = room.leaves("debug_opened")
    assert (leaf.rework_reason, leaf.operator, leaf.close_before) == ("radio fails", "badge 7", opened.close_before)


def test_a_challenge_is_answered_once_across_a_restart(room, auth_id, made):
    challenge = made.challenge(b"n" * 32)
    assert reopen(room, auth_id, challenge).HasField("opened")
    room.restart()

    assert reason(reopen(room, auth_id, challenge)) == "CHALLENGE_REUSED"
    assert len(room.leaves("debug_opened")) == 1


def test_a_device_not_made_here_is_not_opened(room, auth_id, made):
    reply = reopen(room, auth_id, chip(2).challenge(b"n" * 32))

    assert reason(reply) == "DEVICE_UNKNOWN"
    assert room.leaves("refused")[0].device == chip(2).id


def test_reopening_has_a_share_for_each_device_and_a_day(room, auth_id, made):
    for number in range(2):
        assert reopen(room, auth_id, made.challenge(bytes([number]) * 32)).HasField("opened")
    room.restart()

    assert reason(reopen(room, auth_id, made.challenge(b"x" * 32))) == "DEVICE_LIMIT_REACHED"


def test_a_session_open_past_its_time_box_blocks_the_next(room, auth_id, made):
    session = reopen(room, auth_id, made.challenge(b"1" * 32)).opened.session_id
    room.later(3601)
    assert reason(reopen(room, auth_id, made.challenge(b"2" * 32))) == "DEBUG_SESSION_OPEN"

    closed = close(room, made, session, made.report(auth_id, session)).closed
    assert closed.log_index
    assert reopen(room, auth_id, made.challenge(b"3" * 32)).HasField("opened")


def test_a_session_is_closed_by_the_chips_own_word_and_once(room, auth_id, made):
    session = reopen(room, auth_id, made.challenge(b"1" * 32)).opened.session_id
    report = made.report(auth_id, session)
    first = close(room, made, session, report).closed.log_index
    room.restart()

    assert close(room, made, session, report).closed.log_index == first
    (leaf,) = room.leaves("debug_closed")
    assert (leaf.evidence, leaf.report) == (EvidenceLevel.EVIDENCE_LEVEL_CHIP_SIGNED, report)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"debug_state": DebugState.DEBUG_STATE_REOPENED}, "REPORT_MISMATCH"),
        ({"nonce": b"another session!"}, "REPORT_MISMATCH"),
    ],
    ids=["still open", "another session's report"],
)
def test_a_session_is_not_closed_by_a_report_that_does_not_say_so(room, auth_id, made, changed, word):
    session = reopen(room, auth_id, made.challenge(b"1" * 32)).opened.session_id
    report = made.report(**({"auth_id": auth_id, "nonce": session} | changed))

    assert reason(close(room, made, session, report)) == word


def test_a_forged_report_closes_nothing(room, auth_id, made):
    session = reopen(room, auth_id, made.challenge(b"1" * 32)).opened.session_id

    assert reason(close(room, made, session, Chip(made.uid).report(auth_id, session))) == "KEY_UNKNOWN"


def test_a_session_nobody_opened_or_of_another_device_is_unknown(room, auth_id, made):
    other = chip(2)
    room.step(issue(auth_id, other))
    session = reopen(room, auth_id, made.challenge(b"1" * 32)).opened.session_id

    assert reason(close(room, made, b"s" * 16, made.report(auth_id, b"s" * 16))) == "DEBUG_SESSION_UNKNOWN"
    assert reason(close(room, other, session, other.report(auth_id, session))) == "DEBUG_SESSION_UNKNOWN"


@pytest.mark.parametrize("challenge", [b"rubbish", b"", b"\x7a\x00"], ids=["rubbish", "empty", "unknown field"])
def test_a_malformed_challenge_leaves_no_leaf(room, auth_id, made, challenge):
    size = room.status.log_size

    assert reason(reopen(room, auth_id, challenge)) in {"MALFORMED", "UNKNOWN_FIELD"}
    assert room.status.log_size == size


def test_rework_goes_on_after_the_batchs_window(room):
    """Production is over and closed; REOPEN_DEBUG has a window of its own."""
    short = Window(starts_at=NOW - 60, ends_at=NOW + 3600)
    auth_id, one = room.admit(window=short), chip(1)
    room.step(issue(auth_id, one))
    room.later(7200)

    assert reason(room.step(issue(auth_id, chip(2)))) == "WINDOW_CLOSED"
    assert room.leaves("authorization_closed")[0].used == 1
    assert reopen(room, auth_id, one.challenge(b"1" * 32)).HasField("opened")
