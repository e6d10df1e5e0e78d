"""What the vault did: certificates it made and its chain of signed acts, in one SQLite file.

1. A certificate and its act are one transaction, durable (WAL, synchronous=FULL) before the reply.
2. Acts are numbered without a gap and each names the one before it by digest; a broken chain refuses the start.
3. Rows are only ever added; `version_seen` only rises.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError

from obis.refusal import Refused
from obis.trust import payload
from obis.trust.envelope import digest, verify_single
from obis.v1.envelope_pb2 import Envelope, SigScheme
from obis.v1.reason_pb2 import Reason

_SCHEMA = """
CREATE TABLE IF NOT EXISTS acts (sequence INTEGER PRIMARY KEY, envelope BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS certificates (
    subject TEXT PRIMARY KEY, spki_digest BLOB NOT NULL, cert_der BLOB NOT NULL, sequence INTEGER NOT NULL UNIQUE
        REFERENCES acts(sequence));
CREATE TABLE IF NOT EXISTS roots (version INTEGER PRIMARY KEY);
"""


@dataclass(frozen=True)
class Kept:
    """A certificate the vault made, and the act that says so."""

    spki_digest: bytes
    cert_der: bytes
    act: Envelope


class Ledger:
    """One writer at a time; safe to call from several threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()  # a read waits too: nobody sees an act that is not durable
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self._db.execute(f"PRAGMA {pragma}").close()
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, one at a time."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def kept(self, subject: str) -> Kept | None:
        """What was made for a subject, if anything."""
        row = self._db.execute(
            "SELECT c.spki_digest, c.cert_der, a.envelope FROM certificates c JOIN acts a USING (sequence)"
            " WHERE c.subject = ?",
            (subject,),
        ).fetchone()
        return Kept(row[0], row[1], Envelope.FromString(row[2])) if row else None

    def keep(self, subject: str, made: Kept) -> None:
        """Inside a transaction: add a certificate and its act."""
        sequence = payload.parse_closed(payload.VAULT_ACT, made.act.payload).sequence
        self._db.execute("INSERT INTO acts VALUES (?, ?)", (sequence, made.act.SerializeToString(deterministic=True)))
        self._db.execute(
            "INSERT INTO certificates VALUES (?, ?, ?, ?)", (subject, made.spki_digest, made.cert_der, sequence)
        )

    def last_act(self) -> tuple[int, bytes]:
        """Sequence and payload digest of the newest act; (0, nothing) before the first."""
        row = self._db.execute("SELECT sequence, envelope FROM acts ORDER BY sequence DESC LIMIT 1").fetchone()
        return (row[0], digest(Envelope.FromString(row[1]).payload)) if row else (0, b"")

    def acts(self, from_sequence: int, limit: int) -> list[Envelope]:
        """In order."""
        with self._lock:
            rows = self._db.execute(
                "SELECT envelope FROM acts WHERE sequence >= ? ORDER BY sequence LIMIT ?", (from_sequence, limit)
            ).fetchall()
        return [Envelope.FromString(row[0]) for row in rows]

    def version_seen(self) -> int:
        """The highest trust root version an act stood on; 0 before the first."""
        with self._lock:
            found: int = self._db.execute("SELECT coalesce(max(version), 0) FROM roots").fetchone()[0]
        return found

    def see_version(self, version: int) -> None:
        """Inside a transaction: remember it."""
        self._db.execute("INSERT OR IGNORE INTO roots VALUES (?)", (version,))

    def check(self, site_root_spki_der: bytes) -> int:
        """Walk the whole chain of acts; returns how many. Raises Refused BROKEN_CHAIN."""
        try:
            acts = self.acts(1, -1)
        except (sqlite3.Error, DecodeError):
            raise Refused(_BROKEN, "the acts cannot be read", "acts") from None
        return check_acts(acts, site_root_spki_der)


_BROKEN = Reason.REASON_BROKEN_CHAIN


def check_acts(acts: list[Envelope], spki_der: bytes) -> int:
    """Signatures, numbers and links of a chain from its beginning; returns its length. Raises Refused."""
    before = b""
    for number, envelope in enumerate(acts, start=1):
        act = verify_single(envelope, payload.VAULT_ACT, spki_der, SigScheme.SIG_SCHEME_P256)
        if (act.sequence, act.previous_digest) != (number, before):
            raise Refused(_BROKEN, f"act {number} does not follow the one before it", "acts")
        before = digest(envelope.payload)
    return len(acts)
