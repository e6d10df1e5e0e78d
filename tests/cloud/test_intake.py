"""The verdict on a page tells a damaged copy from a forked log, and the intake keeps every leaf exactly once."""

import pytest
from sqlmodel import func, select

from cloud.intake import Accept, Damaged, Forked, Gap, Held, Page, Repeat, judge
from cloud.receiving import Receiver
from cloud.store.catalogue import ProductRow
from cloud.store.evidence import ForkRow, LeafRow, LogRow, QuarantineRow, RecordRow
from cloud.store.production import BatchRow
from cloud.witness import Witness, WitnessMissing
from obis.refusal import Refused
from obis.trust.checkpoint import log_origin, verify_cosignature, verify_note
from obis.trust.merkle import Frontier, leaf_hash
from obis.v1.batches_pb2 import BatchState
from obis.v1.factories_pb2 import EdgeHsmState
from obis.v1.leaf_pb2 import AuthorizationClosedLeaf, CloseReason
from obis.v1.reason_pb2 import Reason
from obis.v1.trace_pb2 import RecordState
from tests.cloud.cloud_room import AUTH, BATCH, FACTORY, PRODUCT, WITNESS_KEY, open_room, reopen
from tests.fakes.dac import serial
from tests.fakes.log import FakeLog


def held(log, size, *, witnessed=None):
    hashes = [leaf_hash(each) for each in log.leaves]
    seen = size if witnessed is None else witnessed
    return Held(
        size,
        lambda at: Frontier().extend(hashes[:at]),
        lambda first, end: hashes[first:end],
        seen,
        Frontier().extend(hashes[:seen]).root(),
    )


def judged(page, held_, log):
    checkpoint = verify_note(page.checkpoint, log_origin(log.edgehsm_id, log.epoch), log.spki)
    return judge(Page(page.first_index, list(page.leaves), checkpoint, list(page.consistency_proof)), held_)


@pytest.fixture
def log():
    log = FakeLog()
    log.start()
    return log.make(1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize("size", range(1, 13))
def test_a_page_that_continues_the_log_is_kept(log, size):
    verdict = judged(log.page(size), held(log, size), log)

    assert isinstance(verdict, Accept)
    assert verdict.first_new == size
    assert verdict.frontier.root() == log.tree().root()


@pytest.mark.parametrize("size", range(1, 13))
def test_pages_a_courier_joined_are_proved_by_their_leaves(log, size):
    page = log.page(size)
    del page.consistency_proof[:]

    assert isinstance(judged(page, held(log, size), log), Accept)


def test_joined_pages_of_a_fork_are_never_kept(log):
    restored = log.snapshot()
    del restored.leaves[7:]
    restored.start(b"again")
    page = restored.make(*range(50, 60)).page(log.size)
    del page.consistency_proof[:]

    assert isinstance(judged(page, held(log, log.size), log), Damaged)


def test_a_page_that_overlaps_adds_only_what_is_new(log):
    verdict = judged(log.page(2), held(log, 7), log)

    assert isinstance(verdict, Accept)
    assert verdict.first_new == 7
    assert len(verdict.hashes) == log.size - 7


def test_a_page_that_came_before_changes_nothing(log):
    assert isinstance(judged(log.page(2, 3), held(log, 9), log), Repeat)


def test_a_page_after_a_gap_is_asked_for_again(log):
    assert isinstance(judged(log.page(9), held(log, 7), log), Gap)


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("part", ["leaf", "proof", "leaf left out", "leaf altered and proof left out"])
def test_what_a_courier_alters_is_refused_and_freezes_nothing(log, size, part):
    page = log.page(size)
    if part == "leaf left out":
        del page.leaves[0]
    elif part == "proof":
        page.consistency_proof[0] = bytes(32)
    else:
        page.leaves[-1] += b"!"
    if "proof left out" in part:
        del page.consistency_proof[:]

    assert isinstance(judged(page, held(log, size), log), Damaged)


@pytest.mark.parametrize("back", range(1, 12))
@pytest.mark.parametrize("more", [1, 3, 8])
def test_a_restored_snapshot_that_worked_on_is_forked(log, back, more):
    """Every size it may have been set back to, and every amount of other work since."""
    restored = log.snapshot()
    del restored.leaves[back:]
    restored.start(b"again")
    restored.make(*range(50, 50 + more))
    first = min(log.size, restored.size - 1)

    assert isinstance(judged(restored.page(back), held(log, log.size), log), Forked)
    if restored.size > log.size:
        assert isinstance(judged(restored.page(first), held(log, log.size), log), Forked)


def test_a_database_set_back_does_not_take_another_history_than_was_witnessed(log):
    other = log.snapshot()
    del other.leaves[5:]
    other.start(b"again")
    other.make(90, 91, 92, 93, 94)
    behind = Held(5, held(log, 5).frontier_at, held(log, 5).hashes, log.size, log.tree().root())

    assert isinstance(judged(other.page(5), behind, log), Forked)
    assert isinstance(judged(log.page(5), behind, log), Accept)


# ---- with the database and the witness


async def count(room, table):
    return await room.store.read(lambda session: session.exec(select(func.count()).select_from(table)).one())


@pytest.fixture
def room(tmp_path, log):
    room = open_room(tmp_path, log)
    yield room
    room.store.close()
    room.witness.close()


async def test_pages_that_come_again_leave_no_duplicate(room, log):
    for first in (0, 5, 0, 5, 5, 0):
        answer = await room.receiver.take(log.page(first, 5 if first == 0 else 500), FACTORY)
        assert answer.HasField("cosignature")

    assert await count(room, LeafRow) == log.size
    assert await count(room, RecordRow) == 6
    with room.store.reading() as session:
        assert session.get_one(LogRow, ("edge-1", 1)).repeats == 5 + 8 + 8 + 5
        batch = session.get_one(BatchRow, BATCH)
        assert (batch.issued, batch.passed, batch.failed) == (6, 6, 0)
        assert session.get_one(ProductRow, PRODUCT).issued_quantity == 6


async def test_the_cosignature_is_of_what_is_durable_and_verifies(room, log):
    answer = await room.receiver.take(log.page(0), FACTORY)

    checkpoint, at = verify_cosignature(answer.cosignature.checkpoint, WITNESS_KEY.name, WITNESS_KEY.spki_der)
    assert (checkpoint.size, checkpoint.root) == (log.size, log.tree().root())
    assert at == room.now_ms // 1000
    assert verify_note(answer.cosignature.checkpoint, "obis/edge-1/1", log.spki) == checkpoint


async def test_a_forked_log_is_frozen_with_both_branches_kept(room, log):
    restored = log.snapshot()
    del restored.leaves[4:]
    await room.receiver.take(log.page(0), FACTORY)
    restored.start(b"again")
    restored.make(*range(70, 80))

    answer = await room.receiver.take(restored.page(log.size), FACTORY)

    assert answer.HasField("frozen")
    assert room.edgehsm(log).state == EdgeHsmState.EDGE_HSM_STATE_FROZEN
    assert await count(room, ForkRow) == 1
    assert await count(room, LeafRow) == log.size
    assert room.witness.last("edge-1", 1).root == log.tree().root()
    log.make(7)
    assert (await room.receiver.take(log.page(log.size - 2), FACTORY)).HasField("frozen")


async def test_a_page_signed_by_another_key_is_refused_and_freezes_nothing(room, log):
    stranger = FakeLog(leaves=log.leaves)

    answer = await room.receiver.take(stranger.page(0), FACTORY)

    assert answer.page_refused.reason in {"KEY_UNKNOWN", "SIGNATURE_INVALID"}
    assert room.edgehsm(log).state == EdgeHsmState.EDGE_HSM_STATE_ENROLLED
    assert await count(room, LeafRow) == 0


async def test_another_factorys_log_is_not_taken(room, log):
    with pytest.raises(Refused) as refusal:
        await room.receiver.take(log.page(0), "vn-1")

    assert refusal.value.reason == Reason.REASON_NOT_FOUND


async def test_a_leaf_that_cannot_be_read_is_set_aside_and_stops_nothing(room, log):
    log.leaves.append(b"\xff\xff not a leaf")
    log.leaves.append(log.leaves[1])  # says that it stands elsewhere
    log.make(7)

    assert (await room.receiver.take(log.page(0), FACTORY)).cosignature.size == log.size
    assert await count(room, QuarantineRow) == 2
    assert await count(room, RecordRow) == 7


async def test_a_crash_between_records_and_witness_heals_at_the_next_contact(room, log, monkeypatch):
    def crash(*_):
        raise ConnectionResetError("the process died here")

    monkeypatch.setattr(Witness, "advance", crash)
    with pytest.raises(ConnectionResetError):
        await room.receiver.take(log.page(0), FACTORY)
    monkeypatch.undo()

    assert room.witness.last("edge-1", 1).size == 0
    assert (await room.receiver.catch_up("edge-1", 1)).cosignature.size == log.size
    assert room.witness.last("edge-1", 1).size == log.size


async def test_records_set_back_are_filled_again_and_the_witness_says_so(room, log, tmp_path_factory):
    await room.receiver.take(log.page(0, 6), FACTORY)
    await room.receiver.take(log.page(6), FACTORY)
    restored = open_room(tmp_path_factory.mktemp("restored"), log)
    receiver = Receiver(restored.store, room.witness, lambda: room.now_ms)

    behind = await receiver.take(log.page(0, 6), FACTORY)
    caught_up = await receiver.take(log.page(6), FACTORY)

    assert behind.cursor.size == 6
    assert caught_up.cosignature.size == log.size
    restored.store.close()


async def test_a_lost_witness_is_not_made_anew_beside_records(room, log):
    await room.receiver.take(log.page(0), FACTORY)
    room.witness.close()
    for path in room.folder.glob("witness.db*"):
        path.unlink()

    with pytest.raises(WitnessMissing):
        reopen(room.folder, room.store, room.now_ms)


async def test_a_closed_batch_gives_back_what_was_not_used(room, log):
    log.add(
        authorization_closed=AuthorizationClosedLeaf(
            auth_id=AUTH, used=6, close_reason=CloseReason.CLOSE_REASON_WINDOW_ENDED
        )
    )
    for _ in range(2):
        await room.receiver.take(log.page(0), FACTORY)

    with room.store.reading() as session:
        assert session.get_one(BatchRow, BATCH).state == BatchState.BATCH_STATE_CLOSED
        assert session.get_one(ProductRow, PRODUCT).batched_quantity == 6


async def test_a_record_is_the_fold_of_its_leaves(room, log):
    log.outcome(3, passed=False, reason=Reason.REASON_READBACK_MISMATCH)
    log.issue(40)
    await room.receiver.take(log.page(0), FACTORY)

    with room.store.reading() as session:
        rows = {row.uid: row for row in session.exec(select(RecordRow))}
        failed, unfinished = rows[(3).to_bytes(8)], rows[(40).to_bytes(8)]
        assert failed.dac_serial == serial(3)
        assert (failed.last_outcome, failed.failure) == (RecordState.RECORD_STATE_FAILED, "READBACK_MISMATCH")
        assert (unfinished.last_outcome, unfinished.lag_ms) == (0, 1500)
        batch = session.get_one(BatchRow, BATCH)
        assert (batch.issued, batch.passed, batch.failed) == (7, 5, 1)
