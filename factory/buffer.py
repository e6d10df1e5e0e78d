"""What the Factory Service keeps on its disk: log pages, deliveries with their results, work orders.

1. Bytes go in and come out unchanged: pages and deliveries protect themselves, and nothing here looks into them.
2. What a call has returned from is durable (SQLite, WAL, synchronous=FULL): kill -9 or power loss loses none of it.
3. A log's pages follow one another without gap or overlap; its size is the end of its last page.
4. Doing anything again changes nothing: pages are known by their first index, deliveries by their number.
5. A page that is read is the page that was kept: one that rotted on the disk is dropped and fetched again.
6. Nothing here is the only copy. A lost buffer is filled again from EdgeHSM and the cloud.
7. A page goes 30 days after it was kept, if the cloud has cosigned it; the last page of a log stays, and says its size.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

RETENTION_SECONDS: Final = 30 * 86400
_TABLES = """
CREATE TABLE IF NOT EXISTS log (
  edgehsm_id TEXT, epoch INTEGER, cosigned_size INTEGER NOT NULL DEFAULT 0, checkpoint BLOB NOT NULL DEFAULT x'',
  trouble TEXT NOT NULL DEFAULT '', PRIMARY KEY (edgehsm_id, epoch)) STRICT;
CREATE TABLE IF NOT EXISTS page (
  edgehsm_id TEXT, epoch INTEGER, first_index INTEGER, end_index INTEGER NOT NULL, content BLOB NOT NULL,
  digest BLOB NOT NULL, kept_at INTEGER NOT NULL, PRIMARY KEY (edgehsm_id, epoch, first_index)) STRICT;
CREATE TABLE IF NOT EXISTS evidence (
  edgehsm_id TEXT, epoch INTEGER, content BLOB, PRIMARY KEY (edgehsm_id, epoch, content)) STRICT;
CREATE TABLE IF NOT EXISTS delivery (
  edgehsm_id TEXT, epoch INTEGER, number INTEGER, content BLOB NOT NULL, result BLOB,
  PRIMARY KEY (edgehsm_id, epoch, number)) STRICT;
CREATE TABLE IF NOT EXISTS work (
  auth_id BLOB PRIMARY KEY, content BLOB NOT NULL, ended INTEGER NOT NULL DEFAULT 0, revision INTEGER NOT NULL) STRICT;
"""


class LogId(NamedTuple):
    """One EdgeHSM in one epoch: it has one log and one sequence of deliveries."""

    edgehsm_id: str
    epoch: int


class PageDoesNotFit(Exception):
    """The page begins elsewhere than where the kept log ends: ask again from there."""


@dataclass(frozen=True)
class StoredPage:
    """A page as it came: leaves first_index to end_index - 1."""

    first_index: int
    end_index: int
    content: bytes


@dataclass(frozen=True)
class Work:
    """A work order; `revision` rises with every change of any of them."""

    auth_id: bytes
    content: bytes
    ended: bool
    revision: int


class Buffer:
    """The one database. Every method is one short transaction and may be called from any thread."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file; raises sqlite3.DatabaseError if it is damaged."""
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(_TABLES)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()

    # ---- logs

    def know(self, log: LogId) -> bool:
        """Note that this log exists; whether that was news."""
        return self._change("INSERT INTO log (edgehsm_id, epoch) VALUES (?, ?) ON CONFLICT DO NOTHING", *log) > 0

    def logs(self) -> list[LogId]:
        """Every log there is, by EdgeHSM and epoch."""
        return [LogId(*row) for row in self._all("SELECT edgehsm_id, epoch FROM log ORDER BY edgehsm_id, epoch")]

    def latest(self, edgehsm_id: str) -> LogId | None:
        """The log of an EdgeHSM's highest epoch, if it is known."""
        ours = [log for log in self.logs() if log.edgehsm_id == edgehsm_id]
        return ours[-1] if ours else None

    def size(self, log: LogId) -> int:
        """Leaves held."""
        found = self._one("SELECT max(end_index) FROM page WHERE edgehsm_id = ? AND epoch = ?", *log)
        return found or 0

    def append_page(self, log: LogId, page: StoredPage, now: int = 0) -> bool:
        """Keep a page; False if these leaves are held already. Raises PageDoesNotFit for a gap or an overlap."""
        with self._transaction() as database:
            row = database.execute("SELECT max(end_index) FROM page WHERE edgehsm_id = ? AND epoch = ?", log).fetchone()
            size = row[0] or 0
            if page.end_index <= size:
                return False
            if page.first_index != size:
                raise PageDoesNotFit(f"page begins at {page.first_index}, the kept log ends at {size}")
            values = (*log, page.first_index, page.end_index, page.content, sha256(page.content).digest(), now)
            database.execute("INSERT INTO page VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            return True

    def page_with(self, log: LogId, index: int) -> StoredPage | None:
        """The page that holds leaf `index`; None if the log is shorter, or it went (rule 7) or rotted (rule 5)."""
        query = "SELECT first_index, end_index, content, digest FROM page WHERE edgehsm_id = ? AND epoch = ?"
        row = self._row(f"{query} AND end_index > ? AND first_index <= ? LIMIT 1", *log, index, index)
        if row is None:
            return None
        if sha256(row[2]).digest() != row[3]:
            self.drop_from(log, row[0])
            return None
        return StoredPage(*row[:3])

    def drop_from(self, log: LogId, index: int) -> None:
        """Forget the pages from `index` on: the cloud found them damaged, EdgeHSM has them still."""
        self._change("DELETE FROM page WHERE edgehsm_id = ? AND epoch = ? AND end_index > ?", *log, index)

    def prune(self, now: int) -> int:
        """Rule 7; how many pages went."""
        return self._change(
            "DELETE FROM page WHERE kept_at < ? AND end_index <= (SELECT cosigned_size FROM log WHERE"
            " log.edgehsm_id = page.edgehsm_id AND log.epoch = page.epoch) AND end_index < (SELECT max(end_index)"
            " FROM page AS other WHERE other.edgehsm_id = page.edgehsm_id AND other.epoch = page.epoch)",
            now - RETENTION_SECONDS,
        )

    def keep_evidence(self, log: LogId, content: bytes) -> None:
        """Keep a page of a log that went back, beside the pages of what it was before."""
        self._change("INSERT INTO evidence VALUES (?, ?, ?) ON CONFLICT DO NOTHING", *log, content)

    def evidence(self, log: LogId) -> list[bytes]:
        """Pages that contradict those kept in order."""
        return [row[0] for row in self._all("SELECT content FROM evidence WHERE edgehsm_id = ? AND epoch = ?", *log)]

    def keep_cosignature(self, log: LogId, size: int, checkpoint: bytes) -> bool:
        """Keep a cosigned checkpoint; False if one at least as large is held."""
        query = "UPDATE log SET cosigned_size = ?, checkpoint = ? WHERE edgehsm_id = ? AND epoch = ?"
        return self._change(f"{query} AND cosigned_size < ?", size, checkpoint, *log, size) > 0

    def cosignature(self, log: LogId) -> tuple[int, bytes]:
        """The largest cosigned size and its note; (0, b"") before the first."""
        row = self._row("SELECT cosigned_size, checkpoint FROM log WHERE edgehsm_id = ? AND epoch = ?", *log)
        return row or (0, b"")

    def note_trouble(self, log: LogId, what: str) -> None:
        """Remember the last refusal for the site's people; empty when it is over."""
        self._change("UPDATE log SET trouble = ? WHERE edgehsm_id = ? AND epoch = ?", what[:500], *log)

    def trouble(self, log: LogId) -> str:
        """The last refusal, or empty."""
        return self._one("SELECT trouble FROM log WHERE edgehsm_id = ? AND epoch = ?", *log) or ""

    def waiting_leaves(self) -> int:
        """Leaves held that the cloud has not cosigned."""
        return sum(max(0, self.size(log) - self.cosignature(log)[0]) for log in self.logs())

    # ---- deliveries

    def keep_delivery(self, log: LogId, number: int, content: bytes) -> bool:
        """Keep a delivery until EdgeHSM has answered it; False if it is held."""
        query = "INSERT INTO delivery VALUES (?, ?, ?, ?, NULL) ON CONFLICT DO NOTHING"
        return self._change(query, *log, number, content) > 0

    def next_delivery(self, log: LogId) -> tuple[int, bytes] | None:
        """The first delivery without a result."""
        query = "SELECT number, content FROM delivery WHERE edgehsm_id = ? AND epoch = ? AND result IS NULL"
        row = self._row(f"{query} ORDER BY number LIMIT 1", *log)
        return (row[0], row[1]) if row else None

    def keep_result(self, log: LogId, number: int, result: bytes) -> None:
        """Keep what EdgeHSM answered; the first answer stands."""
        query = "UPDATE delivery SET result = ? WHERE edgehsm_id = ? AND epoch = ? AND number = ? AND result IS NULL"
        self._change(query, result, *log, number)

    def delivered_up_to(self, log: LogId) -> int:
        """The highest number with a result; deliveries go in order, so all before it have one too."""
        query = "SELECT max(number) FROM delivery WHERE edgehsm_id = ? AND epoch = ? AND result IS NOT NULL"
        return self._one(query, *log) or 0

    def results_after(self, log: LogId, number: int) -> list[tuple[int, bytes]]:
        """Results of deliveries above `number`, in order."""
        query = "SELECT number, result FROM delivery WHERE edgehsm_id = ? AND epoch = ? AND number > ?"
        return self._all(f"{query} AND result IS NOT NULL ORDER BY number", *log, number)

    def waiting_deliveries(self, log: LogId) -> int:
        """Deliveries without a result."""
        query = "SELECT count(*) FROM delivery WHERE edgehsm_id = ? AND epoch = ? AND result IS NULL"
        return self._one(query, *log) or 0

    # ---- work orders

    def keep_work(self, auth_id: bytes, content: bytes) -> bool:
        """Keep a work order, or its newer content; False if nothing is new."""
        return (
            self._change(
                "INSERT INTO work VALUES (?, ?, 0, (SELECT coalesce(max(revision), 0) + 1 FROM work))"
                " ON CONFLICT (auth_id) DO UPDATE SET content = excluded.content, revision = excluded.revision"
                " WHERE content <> excluded.content",
                auth_id,
                content,
            )
            > 0
        )

    def end_work(self, auth_id: bytes) -> bool:
        """Mark a work order as ended; False if it is not there or was ended before."""
        query = "UPDATE work SET ended = 1, revision = (SELECT max(revision) + 1 FROM work) WHERE auth_id = ?"
        return self._change(f"{query} AND ended = 0", auth_id) > 0

    def work_after(self, revision: int) -> list[Work]:
        """Work orders changed after `revision`, in the order of their change."""
        query = "SELECT auth_id, content, ended, revision FROM work WHERE revision > ? ORDER BY revision"
        return [Work(row[0], row[1], bool(row[2]), row[3]) for row in self._all(query, revision)]

    # ---- the database

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _change(self, query: str, *values: Any) -> int:
        with self._transaction() as database:
            return database.execute(query, values).rowcount

    def _all(self, query: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._database.execute(query, values).fetchall()

    def _row(self, query: str, *values: Any) -> Any:
        with self._lock:
            return self._database.execute(query, values).fetchone()

    def _one(self, query: str, *values: Any) -> Any:
        row = self._row(query, *values)
        return row[0] if row else None
