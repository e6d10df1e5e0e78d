"""What new leaves change in the cloud: records, counts of batches and products, refusals, quarantine.

Runs in the transaction that stores the leaves, with leaves no one has folded before, in their order. A leaf that cannot
be read is set aside with its reason; it stops nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlalchemy import Row, tuple_, update
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from cloud.deliveries import topic
from cloud.records import Record, Unreadable, device_of, fold, read_leaf
from cloud.store.catalogue import ProductRow
from cloud.store.evidence import CounterRow, QuarantineRow, RecordRow, RefusalCountRow
from cloud.store.governance import GrantRow, GrantShareRow
from cloud.store.leaves import insert_new, put_rows
from cloud.store.production import BatchRow
from cloud.store.wake import wake_after_commit
from obis.v1.batches_pb2 import BatchState
from obis.v1.leaf_pb2 import AuthorizationClosedLeaf, LogLeaf
from obis.v1.trace_pb2 import RecordState

RECORDS_TOPIC = "records"
_INDEX_BYTES = 8
_MOVES_ON = frozenset({BatchState.BATCH_STATE_AUTHORIZED, BatchState.BATCH_STATE_REFUSED})
_FOLDED = (
    *("auth_id", "dac_serial", "dac_der", "issued_at", "last_outcome", "debug_open", "scrapped"),
    *("evidence", "failure", "lifecycle", "debug_sessions", "firmware_digest"),
)

Records: TypeAlias = dict[tuple[str, bytes], Record]  # by device


@dataclass
class Run:
    """One run of new leaves of one log; `now_ms` is when they are stored, Unix milliseconds."""

    session: Session
    edgehsm_id: str
    epoch: int
    factory_id: str
    now_ms: int
    batches: dict[bytes, BatchRow | None] = field(default_factory=dict)
    rows: dict[tuple[str, bytes], Row[Any]] = field(default_factory=dict)
    issued: Counter[bytes] = field(default_factory=Counter)  # by product

    def batch(self, auth_id: bytes) -> BatchRow | None:
        """The batch of an Authorization, if the cloud knows it and it is this EdgeHSM's."""
        if auth_id not in self.batches:
            found = self.session.exec(select(BatchRow).where(BatchRow.auth_id == auth_id)).first()
            self.batches[auth_id] = found if found and found.edgehsm_id == self.edgehsm_id else None
        return self.batches[auth_id]


def project(run: Run, first: int, leaves: Sequence[bytes]) -> None:
    """Take the leaves from index `first` on into the records."""
    readable = _readable(run, first, leaves)
    before = _records(run, readable)
    after = _fold_all(run, before, readable)
    _keep_records(run, before, after)
    for leaf in readable:
        _batch_events(run, leaf)
    _count_issued(run)
    _count_refusals(run, readable)
    for batch in run.batches.values():
        if batch:
            wake_after_commit(run.session, f"batch:{batch.batch_id.hex()}")


def _readable(run: Run, first: int, leaves: Sequence[bytes]) -> list[LogLeaf]:
    read = []
    for index, content in enumerate(leaves, first):
        try:
            read.append(read_leaf(content, run.edgehsm_id, run.epoch, index))
        except Unreadable as why:
            _quarantine(run, index, why)
    return read


def _quarantine(run: Run, index: int, why: Unreadable) -> None:
    row = {"edgehsm_id": run.edgehsm_id, "epoch": run.epoch, "index": index, "why": str(why)[:200]}
    insert_new(run.session, QuarantineRow, [row])


# ---- records


def _records(run: Run, leaves: Sequence[LogLeaf]) -> Records:
    """The records of all devices these leaves name, as they are now."""
    devices = {(device.soc, device.uid) for leaf in leaves if (device := device_of(leaf))}
    table = RecordRow.__table__.c  # type: ignore[attr-defined]  # plain rows: no object a record
    query = sql_select(*table).where(
        table.edgehsm_id == run.edgehsm_id, table.epoch == run.epoch, tuple_(table.soc, table.uid).in_(devices)
    )
    run.rows = {(row.soc, row.uid): row for row in run.session.connection().execute(query)}
    found = {device: record_of(row) for device, row in run.rows.items()}
    return {device: found.get(device, Record(*device)) for device in devices}


def _fold_all(run: Run, before: Records, leaves: Sequence[LogLeaf]) -> Records:
    after = dict(before)
    for leaf in leaves:
        device = device_of(leaf)
        if device:
            try:
                after[device.soc, device.uid] = fold(after[device.soc, device.uid], leaf)
            except Unreadable as why:
                _quarantine(run, leaf.index, why)
    return after


def _keep_records(run: Run, before: Records, after: Records) -> None:
    changed = [record for device, record in after.items() if record != before[device]]
    changed.sort(key=lambda record: record.leaf_indexes[-1])
    cursor = _take_cursors(run.session, len(changed))
    rows = []
    for place, record in enumerate(changed, cursor):
        _count(run, before[record.soc, record.uid], record)
        rows.append(_row(run, record, place))
    if rows:
        put_rows(run.session, RecordRow, rows)
        wake_after_commit(run.session, RECORDS_TOPIC)


def _row(run: Run, record: Record, cursor: int) -> dict[str, Any]:
    """The row of a record. When it came, and how long that took, is kept from its first time."""
    batch, known = run.batch(record.auth_id), run.rows.get((record.soc, record.uid))
    is_first_issue = record.issued_at and not (known and known.issued_at)
    return {name: getattr(record, name) for name in _FOLDED} | {
        "edgehsm_id": run.edgehsm_id,
        "epoch": run.epoch,
        "soc": record.soc,
        "uid": record.uid,
        "cursor": cursor,
        "factory_id": run.factory_id,
        "batch_id": batch.batch_id if batch else b"",
        "product_id": batch.product_id if batch else b"",
        "leaf_indexes": b"".join(index.to_bytes(_INDEX_BYTES) for index in record.leaf_indexes),
        "recorded_at": known.recorded_at if known else run.now_ms // 1000,
        "lag_ms": max(0, run.now_ms - record.issued_at * 1000) if is_first_issue else (known.lag_ms if known else 0),
    }


def record_of(row: RecordRow | Row[Any]) -> Record:
    """The fold as it was kept."""
    indexes = tuple(
        int.from_bytes(row.leaf_indexes[at : at + _INDEX_BYTES]) for at in range(0, len(row.leaf_indexes), _INDEX_BYTES)
    )
    kept = {name: getattr(row, name) for name in _FOLDED}
    return Record(row.soc, row.uid, leaf_indexes=indexes, **kept)


def _take_cursors(session: Session, count: int) -> int:
    """The first of `count` new cursors. The row is locked to the end of the transaction, so they commit in order."""
    counter = session.get(CounterRow, "record", with_for_update=True) or CounterRow(name="record")
    first = counter.value + 1
    counter.value += count
    session.add(counter)
    return first


# ---- counts


def _count(run: Run, before: Record, after: Record) -> None:
    batch = run.batch(after.auth_id)
    if batch is None:
        return
    issued = bool(after.issued_at) - bool(before.issued_at)
    batch.issued += issued
    batch.passed += _is(after, RecordState.RECORD_STATE_PASSED) - _is(before, RecordState.RECORD_STATE_PASSED)
    batch.failed += _is(after, RecordState.RECORD_STATE_FAILED) - _is(before, RecordState.RECORD_STATE_FAILED)
    if issued and batch.state in _MOVES_ON | {BatchState.BATCH_STATE_DELIVERED}:
        batch.state = BatchState.BATCH_STATE_ACTIVE
        wake_after_commit(run.session, topic(run.edgehsm_id))
    run.session.add(batch)
    run.issued[batch.product_id] += issued


def _count_issued(run: Run) -> None:
    for product_id, issued in run.issued.items():
        run.session.connection().execute(
            update(ProductRow)
            .where(col(ProductRow.product_id) == product_id)
            .values(issued_quantity=col(ProductRow.issued_quantity) + issued)
        )


def _is(record: Record, outcome: RecordState.ValueType) -> int:
    return int(record.last_outcome == outcome)


def _batch_events(run: Run, leaf: LogLeaf) -> None:
    kind = leaf.WhichOneof("entry")
    if kind == "authorization_admitted":
        batch = run.batch(leaf.authorization_admitted.auth_id)
        if batch and batch.state in _MOVES_ON:
            batch.state, batch.refusal = BatchState.BATCH_STATE_DELIVERED, ""
            run.session.add(batch)
            wake_after_commit(run.session, topic(run.edgehsm_id))
    elif kind == "authorization_closed":
        batch = run.batch(leaf.authorization_closed.auth_id)
        if batch and batch.state != BatchState.BATCH_STATE_CLOSED:
            _close(run, batch, leaf.authorization_closed)


def _close(run: Run, batch: BatchRow, closed: AuthorizationClosedLeaf) -> None:
    """What was not used may be promised again: EdgeHSM has said so in its log, and issues nothing more under it."""
    batch.state = BatchState.BATCH_STATE_CLOSED
    run.session.add(batch)
    wake_after_commit(run.session, topic(run.edgehsm_id))
    unused = max(0, batch.quantity - closed.used)
    share = (col(GrantShareRow.grant_digest) == batch.grant_digest) & (col(GrantShareRow.epoch) == batch.epoch)
    for table, place in (
        (ProductRow, col(ProductRow.product_id) == batch.product_id),
        (GrantRow, col(GrantRow.grant_digest) == batch.grant_digest),
        (GrantShareRow, share & (col(GrantShareRow.edgehsm_id) == batch.edgehsm_id)),
    ):
        given_back = col(table.batched_quantity) - unused
        run.session.connection().execute(update(table).where(place).values(batched_quantity=given_back))


def _count_refusals(run: Run, leaves: Sequence[LogLeaf]) -> None:
    counts: Counter[tuple[bytes, int]] = Counter()
    for leaf in leaves:
        if leaf.WhichOneof("entry") == "refused":
            batch = run.batch(leaf.refused.auth_id)
            counts[batch.product_id if batch else b"", leaf.refused.reason] += 1 + leaf.refused.suppressed
    for (product_id, reason), count in counts.items():
        row = run.session.get(RefusalCountRow, (run.factory_id, product_id, reason)) or RefusalCountRow(
            factory_id=run.factory_id, product_id=product_id, reason=reason
        )
        row.count += count
        run.session.add(row)
