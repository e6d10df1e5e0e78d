"""Altered requests of every kind: a typed answer each time, and never the end of the boundary.

Valid requests are altered byte by byte, cut and spliced, with a seed; whatever still parses as a request is decided and committed. A
front, or whoever broke into it, must not be able to stop the place with keys by what it says.
"""

from __future__ import annotations

import random

import pytest
from google.protobuf.message import DecodeError

from obis.v1.boundary_pb2 import (
    BeginEnrolment,
    BoundaryReply,
    BoundaryRequest,
    CertifyFront,
    ReadLog,
    StationDebugClose,
    StationDebugOpen,
    StationStep,
    StepBatch,
)
from obis.v1.custody_pb2 import CosignedRequest, CustodyEnrolStationRequest
from obis.v1.delivery_pb2 import Delivery
from obis.v1.provisioning_pb2 import CloseDebug, OpenDebug
from obis.v1.reason_pb2 import Reason
from tests.edgehsm.room import NOW, STATION, digest_of, firmware, issue, outcome, ready_room
from tests.edgehsm.world import EDGE, chip
from tests.obis.trust.keys import p256

SEED, ROUNDS = 20261122, 2500


def requests_of(room, auth_id: bytes) -> list[bytes]:
    """One valid request of every kind."""
    one, station = chip(1), digest_of(STATION)
    nonce = room.step(issue(auth_id, one)).issued.boundary_nonce
    report = one.report(auth_id, nonce)
    steps = [issue(auth_id, chip(2)), firmware(auth_id, one), outcome(auth_id, one, passed=True, report=report)]
    wrapper = {"number": 1, "edgehsm_id": EDGE, "epoch": 1}
    opening = OpenDebug(auth_id=auth_id, challenge=one.challenge(b"n" * 32), rework_reason="r", operator="o")
    closing = CloseDebug(session_id=b"s" * 16, device=one.id, report=report)
    key, world = p256("mutated station"), room.world
    authorization = world.authorization(room.grant, room.pai, sequence=2, auth_id=b"second batch id!")
    note = world.cosign(room.page(room.status.log_size).checkpoint)
    found = [
        {"steps": StepBatch(steps=[StationStep(station_key_digest=station, step=step) for step in steps])},
        {"open_debug": StationDebugOpen(station_key_digest=station, open=opening)},
        {"close_debug": StationDebugClose(station_key_digest=station, close=closing)},
        {"deliver": Delivery(grant=room.grant, **wrapper)},
        {"deliver": Delivery(pai=room.pai, **wrapper)},
        {"deliver": Delivery(authorization=authorization, **wrapper)},
        {"deliver": Delivery(beacon=world.beacon(9, NOW), **wrapper)},
        {"deliver": Delivery(revocation_list=world.revocations(9), **wrapper)},
        {"deliver": Delivery(trust_root=world.root, **wrapper)},
        {"cosigned": CosignedRequest(checkpoint=note)},
        {"certify_front": CertifyFront(csr_der=key.csr())},
        {"enrol_station": CustodyEnrolStationRequest(ticket=world.station_ticket(key), csr_der=key.csr())},
        {"begin_enrolment": BeginEnrolment(ticket=world.ticket())},
        {"read_log": ReadLog(from_index=1, limit=10)},
    ]
    return [BoundaryRequest(request_id=1, **each).SerializeToString() for each in found]


def altered(chance: random.Random, request: bytes, others: list[bytes]) -> bytes:
    """One to four changes."""
    changed = bytearray(request)
    for _ in range(chance.randint(1, 4)):
        at, way = chance.randrange(len(changed)), chance.randrange(5)
        if way == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif way == 1:
            changed[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif way == 2:
            del changed[at : at + chance.randrange(1, 9)]
        elif way == 3:
            changed[at:at] = chance.randbytes(chance.randrange(1, 9))
        else:
            other = chance.choice(others)
            cut = chance.randrange(len(other))
            changed[at : at + 16] = other[cut : cut + 16]
        changed = changed or bytearray(b"\0")
    return bytes(changed)


@pytest.mark.parametrize("part", range(4))
def test_altered_requests_have_typed_answers_and_change_no_count_unseen(tmp_path, part):
    room = ready_room(tmp_path / "room")
    auth_id = room.admit()
    valid, chance, decided = requests_of(room, auth_id), random.Random(SEED + part), 0
    for _ in range(ROUNDS // 4):
        try:
            request = BoundaryRequest.FromString(altered(chance, chance.choice(valid), valid))
        except DecodeError:
            continue
        reply = room.boundary.decide(request)
        room.boundary.commit()
        decided += 1
        require_typed(reply)
    room.restart()

    assert decided > ROUNDS // 40  # the control: enough of them still parsed
    assert room.status.authorizations[0].used == len(room.leaves("issued"))


def require_typed(reply: BoundaryReply) -> None:
    if reply.HasField("refused"):
        assert reply.refused.reason in Reason.values()
        assert reply.refused.reason not in (Reason.REASON_UNSPECIFIED, Reason.REASON_INTERNAL)
    else:
        assert reply.WhichOneof("answer")
