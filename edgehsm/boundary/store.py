"""The ledger on disk: SQLite in WAL mode, synchronous=FULL, one writer, exclusive; rows are only appended.

Promises:
 1. What `commit` was given is durable when it returns, all of it or nothing (one transaction, fsync of the WAL).
 2. A missing, foreign or damaged file is refused; only `create` makes one, and never over another.
 3. A full disk rolls back and is said (StorageFull). Any other failure of a write ends the process: after a failed
    fsync nobody knows what is on the disk, and asking again may lie.
 4. `used <= quantity` is checked here once more, by the database.
synchronous=NORMAL would lose acknowledged DACs at a power cut in WAL mode; it is not an option anywhere.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edgehsm.boundary.changes import Account, Act, Changes, Stored

FORMAT: Final = 1
_APPLICATION_ID: Final = 0x0B15E0  # so that no other SQLite file is taken for a ledger

_SCHEMA: Final = f"""
CREATE TABLE leaves (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL) STRICT;
CREATE TABLE acts (
  log_index INTEGER PRIMARY KEY, kind INTEGER NOT NULL, sequence INTEGER NOT NULL, device BLOB NOT NULL,
  spki_digest BLOB NOT NULL, day INTEGER NOT NULL, passed INTEGER NOT NULL
) STRICT;
CREATE TABLE accounts (
  sequence INTEGER PRIMARY KEY, quantity INTEGER NOT NULL, used INTEGER NOT NULL CHECK (used <= quantity),
  closed INTEGER NOT NULL
) STRICT;
CREATE TABLE objects (
  kind TEXT NOT NULL, id BLOB NOT NULL, content BLOB NOT NULL, root_version INTEGER NOT NULL, at INTEGER NOT NULL,
  position INTEGER PRIMARY KEY AUTOINCREMENT, UNIQUE (kind, id)
) STRICT;
CREATE TABLE state (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {FORMAT};
"""
_LEAF: Final = "INSERT INTO leaves VALUES (?, ?)"
_ACT: Final = "INSERT INTO acts VALUES (?, ?, ?, ?, ?, ?, ?)"
_ACCOUNT: Final = (
    "INSERT INTO accounts VALUES (?, ?, ?, ?) "
    "ON CONFLICT (sequence) DO UPDATE SET used = excluded.used, closed = excluded.closed"
)
_OBJECT: Final = (
    "INSERT INTO objects (kind, id, content, root_version, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, id) "
    "DO UPDATE SET content = excluded.content, root_version = excluded.root_version, at = excluded.at"
)
_STATE: Final = "INSERT INTO state VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


class StoreUnusable(Exception):
    """The ledger is missing, foreign, damaged or held by another process. Never make a new one in its place."""


class StorageFull(Exception):
    """No room: the transaction was rolled back and nothing of it is kept."""


class Store:
    """An open ledger."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise StoreUnusable(f"{path.name} is missing: restore the appliance, or enrol it as a new epoch")
        try:
            self._db = _open(path)
            self._check(path)
        except sqlite3.Error as error:
            raise StoreUnusable(f"{path.name}: {error}") from None

    @classmethod
    def create(cls, path: Path) -> None:
        """Make an empty ledger. Raises StoreUnusable where a file stands already."""
        if path.exists():
            raise StoreUnusable(f"{path.name} exists already; init never replaces a ledger")
        db = sqlite3.connect(path, isolation_level=None)
        path.chmod(0o600)
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(_SCHEMA)
        db.close()

    def commit(self, changes: Changes) -> None:
        """Promise 1 and 3."""
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            db.executemany(_LEAF, changes.leaves)
            db.executemany(_ACT, changes.acts)
            db.executemany(_ACCOUNT, changes.accounts.values())
            db.executemany(_OBJECT, changes.objects)
            db.executemany(_STATE, changes.state.items())
            db.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up(error)

    def leaf(self, index: int) -> bytes:
        """Exact bytes of one committed leaf. Raises KeyError."""
        row = self._db.execute("SELECT leaf FROM leaves WHERE idx = ?", (index,)).fetchone()
        if row is None:
            raise KeyError(index)
        return bytes(row[0])

    def leaves(self, from_index: int, limit: int = -1) -> Iterator[bytes]:
        """Committed leaves in order. Raises StoreUnusable where one is missing."""
        rows = self._db.execute("SELECT idx, leaf FROM leaves WHERE idx >= ? ORDER BY idx LIMIT ?", (from_index, limit))
        for expected, (index, leaf) in enumerate(rows, from_index):
            if index != expected:
                raise StoreUnusable(f"leaf {expected} is missing")
            yield leaf

    def acts(self) -> Iterator[Act]:
        """Every act in the order of the log."""
        return map(Act._make, self._db.execute("SELECT * FROM acts ORDER BY log_index"))

    def accounts(self) -> list[Account]:
        """Every Authorization's count."""
        return [Account._make(row) for row in self._db.execute("SELECT * FROM accounts")]

    def objects(self) -> list[Stored]:
        """Every object, in the order in which it was first admitted."""
        rows = self._db.execute("SELECT kind, id, content, root_version, at FROM objects ORDER BY position")
        return [Stored._make(row) for row in rows]

    def state(self) -> dict[str, bytes]:
        """The marks of the boundary's state."""
        return dict(self._db.execute("SELECT name, value FROM state").fetchall())

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _check(self, path: Path) -> None:
        """Promise 2."""
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if (application, version) != (_APPLICATION_ID, FORMAT):
            raise StoreUnusable(f"{path.name} is not a ledger of format {FORMAT}")
        (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise StoreUnusable(f"{path.name} is damaged: {verdict}")

    def _give_up(self, error: sqlite3.Error) -> None:
        """Promise 3."""
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        if not full:
            raise SystemExit(f"the ledger cannot be written: {error}") from error
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        raise StorageFull(str(error)) from error


def _open(path: Path) -> sqlite3.Connection:
    """Exclusive from the first statement on, so that a second boundary on the same folder does not start."""
    db = sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None, cached_statements=256, timeout=0.2)
    for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        db.execute(f"PRAGMA {pragma}")
    db.execute("BEGIN EXCLUSIVE")
    db.execute("COMMIT")
    return db
