"""The SQL of a log: leaves in bulk, exactly once; checkpoints; what is held below a size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel, col, select

from cloud.store.evidence import CheckpointRow, LeafRow, LogRow
from obis.refusal import Refused
from obis.trust.merkle import HASH_BYTES, Frontier
from obis.v1.reason_pb2 import Reason


def log_row(session: Session, edgehsm_id: str, epoch: int) -> LogRow:
    """How far the log is here; a new row for a new log."""
    row = session.get(LogRow, (edgehsm_id, epoch))
    if row is None:
        row = LogRow(edgehsm_id=edgehsm_id, epoch=epoch)
        session.add(row)
        session.flush()
    return row


def add_leaves(session: Session, log: LogRow, first: int, leaves: Sequence[bytes], hashes: Sequence[bytes]) -> None:
    """Insert what is not there, then compare what is: at least once from the link, exactly once in effect.

    Raises Refused BROKEN_CHAIN if a leaf at one of these places has another hash; nothing is overwritten.
    """
    rows = [
        {"edgehsm_id": log.edgehsm_id, "epoch": log.epoch, "index": first + offset, "leaf_hash": hashed, "leaf": leaf}
        for offset, (leaf, hashed) in enumerate(zip(leaves, hashes, strict=True))
    ]
    insert_new(session, LeafRow, rows)
    if held_hashes(session, log.edgehsm_id, log.epoch, first, first + len(rows)) != list(hashes):
        raise Refused(Reason.REASON_BROKEN_CHAIN, f"other leaves are held from {first} on", f"{log.edgehsm_id}")


def insert_new(session: Session, table: type[SQLModel], rows: Sequence[dict[str, Any]]) -> None:
    """One bulk INSERT … ON CONFLICT DO NOTHING."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    if rows:
        session.connection().execute(dialect.insert(table).on_conflict_do_nothing(), list(rows))


def put_rows(session: Session, table: type[SQLModel], rows: Sequence[dict[str, Any]]) -> None:
    """One bulk INSERT … ON CONFLICT DO UPDATE over the primary key; every row names the same columns."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    keys = [column.name for column in table.__table__.primary_key]  # type: ignore[attr-defined]  # SQLModel hides it
    new = dialect.insert(table)
    changed = {name: new.excluded[name] for name in rows[0] if name not in keys}
    session.connection().execute(new.on_conflict_do_update(index_elements=keys, set_=changed), list(rows))


def held_hashes(session: Session, edgehsm_id: str, epoch: int, first: int, end: int) -> list[bytes]:
    """Leaf hashes of [first, end), in order."""
    if first >= end:
        return []
    query = select(LeafRow.leaf_hash).where(*_of(edgehsm_id, epoch), LeafRow.index >= first, LeafRow.index < end)
    return list(session.exec(query.order_by(col(LeafRow.index))))


def frontier_at(session: Session, edgehsm_id: str, epoch: int, size: int) -> Frontier:
    """The tree's frontier at a size: from the checkpoint there, or the nearest before it and the leaves between."""
    query = select(CheckpointRow).where(
        CheckpointRow.edgehsm_id == edgehsm_id, CheckpointRow.epoch == epoch, CheckpointRow.size <= size
    )
    row = session.exec(query.order_by(col(CheckpointRow.size).desc()).limit(1)).first()
    known = Frontier(row.size, _split(row.frontier)) if row else Frontier()
    return known.extend(held_hashes(session, edgehsm_id, epoch, known.size, size))


def add_checkpoint(session: Session, log: LogRow, frontier: Frontier, note: bytes, now: int) -> None:
    """Keep EdgeHSM's note of the end of a page."""
    row = {"edgehsm_id": log.edgehsm_id, "epoch": log.epoch, "size": frontier.size, "note": note}
    row |= {"frontier": b"".join(frontier.hashes), "received_at": now}
    insert_new(session, CheckpointRow, [row])


def last_note(session: Session, edgehsm_id: str, epoch: int, size: int) -> bytes:
    """EdgeHSM's note of exactly this size, or empty."""
    row = session.get(CheckpointRow, (edgehsm_id, epoch, size))
    return row.note if row else b""


def read_leaves(session: Session, edgehsm_id: str, epoch: int, first: int, end: int) -> list[tuple[int, bytes]]:
    """(index, exact bytes) of [first, end), in order."""
    query = select(LeafRow.index, LeafRow.leaf).where(
        *_of(edgehsm_id, epoch), LeafRow.index >= first, LeafRow.index < end
    )
    return [(index, leaf) for index, leaf in session.exec(query.order_by(col(LeafRow.index)))]


def count_leaves(session: Session) -> int:
    """Leaves of all logs."""
    return session.exec(select(func.coalesce(func.sum(LogRow.size), 0))).one()


def _of(edgehsm_id: str, epoch: int) -> tuple[Any, ...]:
    return (LeafRow.edgehsm_id == edgehsm_id, LeafRow.epoch == epoch)


def _split(hashes: bytes) -> tuple[bytes, ...]:
    return tuple(hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES))
