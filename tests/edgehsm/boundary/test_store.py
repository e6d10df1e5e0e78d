"""The ledger on disk: what is refused at a start, what a full disk does, and what a lying count is worth."""

from __future__ import annotations

import shutil
import sqlite3

import pytest

from edgehsm.boundary.changes import Account, Act, ActKind, Changes
from edgehsm.boundary.clock import Clocks
from edgehsm.boundary.store import StorageFull, Store, StoreUnusable
from obis.trust.checkpoint import verify_note
from obis.trust.merkle import Tree, verify_consistency
from obis.v1.boundary_pb2 import ReadLog
from obis.v1.scope_pb2 import TimeQuality
from tests.edgehsm.room import NOW, issue, make_folder, ready_room, reason
from tests.edgehsm.world import chip


@pytest.fixture
def room(tmp_path):
    return ready_room(tmp_path / "room")


def test_a_missing_ledger_is_never_made_by_a_start(tmp_path):
    with pytest.raises(StoreUnusable, match="missing"):
        Store(tmp_path / "ledger.db")
    assert not (tmp_path / "ledger.db").exists()


def test_init_never_replaces_a_ledger(tmp_path):
    make_folder(tmp_path)

    with pytest.raises(StoreUnusable, match="exists"):
        Store.create(tmp_path / "ledger.db")


@pytest.mark.parametrize("content", [b"", b"not a database", bytes(8192)], ids=["empty", "text", "zeros"])
def test_a_foreign_file_is_no_ledger(tmp_path, content):
    (tmp_path / "ledger.db").write_bytes(content)

    with pytest.raises(StoreUnusable):
        Store(tmp_path / "ledger.db")


def test_a_damaged_ledger_is_refused(room):
    auth_id = room.admit()
    for number in range(20):
        room.step(issue(auth_id, chip(number)))
    room.store.close()
    path = room.folder / "ledger.db"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4096] = bytes(4096)
    path.write_bytes(content)

    with pytest.raises(StoreUnusable):
        room.start()


def test_a_second_boundary_on_the_same_ledger_does_not_start(room):
    with pytest.raises(StoreUnusable, match="locked"):
        Store(room.folder / "ledger.db")


def altered(room, statement: str) -> None:
    """What somebody with the disk in hand might do."""
    room.store.close()
    with sqlite3.connect(room.folder / "ledger.db") as db:
        db.execute(statement)
    db.close()


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE accounts SET used = 0", "1 issued"),
        ("DELETE FROM acts", "0 issued"),
        ("DELETE FROM leaves WHERE idx = 2", "leaf 2 is missing"),
        ("UPDATE objects SET content = zeroblob(10) WHERE kind = 'grant'", "does not read"),
        ("UPDATE leaves SET leaf = zeroblob(length(leaf)) WHERE idx = 3", "not the ones that were committed"),
        ("DELETE FROM objects WHERE kind = 'authorization'", "does not read"),
    ],
    ids=["count lowered", "acts gone", "leaf gone", "grant altered", "leaf altered", "authorization gone"],
)
def test_a_ledger_that_contradicts_itself_is_refused(room, statement, what):
    room.step(issue(room.admit(), chip(1)))
    altered(room, statement)

    with pytest.raises(StoreUnusable, match=what):
        room.start()


def test_the_database_holds_the_quantity_once_more(tmp_path):
    make_folder(tmp_path)
    store = Store(tmp_path / "ledger.db")
    changes = Changes()
    changes.accounts[1] = Account(sequence=1, quantity=5, used=6, closed=0)

    with pytest.raises(SystemExit):
        store.commit(changes)


def test_a_full_disk_keeps_nothing_of_the_request_and_says_so(room):
    auth_id = room.admit()
    db = room.store._db
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages + 1}")
    before = room.status.log_size
    with pytest.raises(StorageFull):
        for number in range(200):
            room.step(issue(auth_id, chip(number)))
    db.execute("PRAGMA max_page_count = 1000000")

    made = room.status.authorizations[0].used
    assert room.status.log_size == before + made == before + len(room.leaves("issued"))
    assert room.step(issue(auth_id, chip(500))).issued.dac_der


def test_one_transaction_or_nothing(tmp_path):
    """A batch whose last row cannot be written leaves no row of the others."""
    make_folder(tmp_path)
    store = Store(tmp_path / "ledger.db")
    twice = Act(0, ActKind.ISSUE_DAC, 1, b"d", b"k", 0, 0)
    with pytest.raises(SystemExit):
        store.commit(Changes(leaves=[(0, b"leaf")], acts=[twice, twice]))
    store.close()

    again = Store(tmp_path / "ledger.db")
    assert not list(again.leaves(0))
    assert not list(again.acts())


# ---- rollback


def cosign(room) -> bytes:
    return room.world.cosign(room.page(room.status.log_size).checkpoint)


def test_a_log_rolled_back_below_its_cosigned_checkpoint_does_not_start(room):
    """The cosigned checkpoint lies beside the ledger: a snapshot of the ledger alone meets it."""
    auth_id = room.admit()
    room.store.close()
    snapshot = room.folder.parent / "snapshot.db"
    shutil.copy(room.folder / "ledger.db", snapshot)
    room.start()
    room.step(issue(auth_id, chip(1)))
    assert room.cosigned(cosign(room)).cosigned.cosigned_size == room.status.log_size
    room.store.close()
    shutil.copy(snapshot, room.folder / "ledger.db")

    with pytest.raises(StoreUnusable, match="BROKEN_CHAIN"):
        room.start()


def test_a_log_put_in_the_place_of_the_cosigned_one_does_not_start(room):
    """As long as the cosigned one, and other leaves: made from a snapshot by other work."""
    auth_id = room.admit()
    room.store.close()
    snapshot = room.folder.parent / "snapshot.db"
    shutil.copy(room.folder / "ledger.db", snapshot)
    room.start()
    room.step(issue(auth_id, chip(1)))
    room.cosigned(cosign(room))
    note = (room.folder / "cosigned.note").read_bytes()
    room.store.close()
    shutil.copy(snapshot, room.folder / "ledger.db")
    (room.folder / "cosigned.note").unlink()
    room.start()
    for number in range(2, 6):
        room.step(issue(auth_id, chip(number)))
    room.store.close()
    (room.folder / "cosigned.note").write_bytes(note)

    with pytest.raises(StoreUnusable, match="not the one that was cosigned"):
        room.start()


def test_a_checkpoint_that_is_not_of_this_log_or_not_cosigned_is_refused(room):
    own = room.page(room.status.log_size).checkpoint

    assert reason(room.cosigned(own)) == "SIGNATURE_INVALID"
    assert reason(room.cosigned(b"rubbish")) == "MALFORMED"
    assert reason(room.cosigned(room.world.cosign(own).replace(b"edge-th/1", b"edge-th/2"))) == "BROKEN_CHAIN"


def test_an_older_cosigned_checkpoint_lowers_nothing(room):
    old = cosign(room)
    room.admit()
    new = cosign(room)
    size = room.cosigned(new).cosigned.cosigned_size

    assert room.cosigned(old).cosigned.cosigned_size == size
    room.restart()
    assert room.status.cosigned_size == size


def test_pages_are_consistent_with_one_another(room):
    auth_id = room.admit()
    room.steps(*(issue(auth_id, chip(number), number) for number in range(40)))
    key, tree = room.world.keys.log_spki_der, Tree()
    old = verify_note(room.page(0).checkpoint, "obis/edge-th/1", key)
    for leaf in room.page(0).leaves:
        tree.append(leaf)
    assert old.root == tree.root()
    room.steps(*(issue(auth_id, chip(number), number) for number in range(40, 80)))
    page = room.page(old.size)
    new = verify_note(page.checkpoint, "obis/edge-th/1", key)

    assert new.size == page.first_index + len(page.leaves) == room.status.log_size
    verify_consistency(old.size, new.size, list(page.consistency_proof), old.root, new.root)
    assert reason(room.ask(read_log=read_from(new.size + 1))) == "BROKEN_CHAIN"


def read_from(index: int):
    return ReadLog(from_index=index, limit=500)


def test_idle_time_is_kept_so_that_a_clock_set_back_over_a_start_gains_nothing(room):
    room.later(600)
    room.boundary.tick()
    then = room.status.now
    room.clocks = Clocks(NOW - 86400, 5, "boot-2")
    room.restart()

    assert room.status.now >= then
    assert room.status.time_quality == TimeQuality.TIME_QUALITY_REGRESSED
