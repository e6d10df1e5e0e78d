"""Looks up Production Records and everything they stand on, for whoever may see it; numbers for the summary.

The OEM sees all; an ODM sees the records of its own batches. What is not theirs is answered like what does not exist.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, case, func
from sqlmodel import Session, col, select

from cloud import certificates
from cloud.pais import certified
from cloud.projection import record_of
from cloud.roots import Roots
from cloud.store.catalogue import ProductRow, VersionRow
from cloud.store.evidence import LogRow, RecordRow, RefusalCountRow
from cloud.store.governance import GrantRow
from cloud.store.leaves import count_leaves, read_leaves
from cloud.store.production import BatchRow
from cloud.store.sites import EdgeHsmRow
from cloud.viewer import Viewer, not_found
from obis.v1.batches_pb2 import BatchState
from obis.v1.device_objects_pb2 import Lifecycle
from obis.v1.envelope_pb2 import Envelope
from obis.v1.scope_pb2 import DeviceId, EvidenceLevel
from obis.v1.trace_pb2 import (
    FactoryProductCount,
    FindRequest,
    FindResponse,
    ProductionRecord,
    RecordState,
    StreamRecordsResponse,
    SummarizeResponse,
    TraceFact,
)

_LIMIT: Final = 100


def find(session: Session, viewer: Viewer, request: FindRequest) -> FindResponse:
    """Everything tied to a device, a serial, a batch or an Authorization. Raises Refused NOT_FOUND."""
    wanted = [_asked_for(request), *_theirs(viewer)]
    total = session.exec(select(func.count()).select_from(RecordRow).where(*wanted)).one()
    rows = list(
        session.exec(select(RecordRow).where(*wanted).order_by(col(RecordRow.cursor)).limit(request.limit or _LIMIT))
    )
    batches = _batches(session, viewer, request, rows)
    if not rows and not batches:
        raise not_found("device, batch or Authorization", "query")
    response = FindResponse(records=[production_record(row) for row in rows], total=total)
    _add_objects(session, response, batches)
    if request.WhichOneof("query") in ("device", "dac_serial"):
        for row in rows:
            response.leaves.extend(_leaves(session, row))
    return response


def records_after(
    session: Session, viewer: Viewer, cursor: int, batch_id: bytes, limit: int
) -> list[StreamRecordsResponse]:
    """The next records in the order they came or changed."""
    wanted = [col(RecordRow.cursor) > cursor, *_theirs(viewer)]
    if batch_id:
        wanted.append(col(RecordRow.batch_id) == batch_id)
    rows = session.exec(select(RecordRow).where(*wanted).order_by(col(RecordRow.cursor)).limit(limit))
    return [StreamRecordsResponse(cursor=row.cursor, record=production_record(row)) for row in rows]


def summarize(session: Session, viewer: Viewer) -> SummarizeResponse:
    """Counts per factory and product, and how long a record takes to the cloud."""
    theirs = _theirs(viewer)
    cells = _cells(session, viewer, theirs)
    issued = [*theirs, col(RecordRow.issued_at) > 0]
    count = session.exec(select(func.count()).select_from(RecordRow).where(*issued)).one()
    slowest = select(RecordRow.lag_ms).where(*issued).order_by(col(RecordRow.lag_ms).desc())
    return SummarizeResponse(
        counts=[cells[key] for key in sorted(cells)],
        leaves=count_leaves(session) if viewer.is_oem else 0,
        records=session.exec(select(func.count()).select_from(RecordRow).where(*theirs)).one(),
        repeats=session.exec(select(func.coalesce(func.sum(LogRow.repeats), 0))).one() if viewer.is_oem else 0,
        record_lag_p99_ms=session.exec(slowest.offset(count // 100).limit(1)).first() or 0,
    )


def production_record(row: RecordRow) -> ProductionRecord:
    """The record as the contract has it."""
    record = record_of(row)
    return ProductionRecord(
        device=DeviceId(soc=row.soc, uid=row.uid),
        auth_id=row.auth_id,
        batch_id=row.batch_id,
        product_id=row.product_id,
        factory_id=row.factory_id,
        edgehsm_id=row.edgehsm_id,
        epoch=row.epoch,
        dac_serial=row.dac_serial,
        dac_der=row.dac_der,
        leaf_indexes=record.leaf_indexes,
        issued_at=row.issued_at,
        state=record.state,
        evidence=EvidenceLevel.ValueType(row.evidence),
        failure=row.failure,
        lifecycle=Lifecycle.ValueType(row.lifecycle),
        debug_sessions=row.debug_sessions,
        recorded_at=row.recorded_at,
        firmware_digest=row.firmware_digest,
    )


def _asked_for(request: FindRequest) -> ColumnElement[bool]:
    match request.WhichOneof("query"):
        case "device":
            return (col(RecordRow.uid) == request.device.uid) & (col(RecordRow.soc) == request.device.soc)
        case "dac_serial":
            return col(RecordRow.dac_serial) == request.dac_serial
        case "batch_id":
            return col(RecordRow.batch_id) == request.batch_id
        case _:
            return col(RecordRow.auth_id) == request.auth_id


def _theirs(viewer: Viewer) -> list[ColumnElement[bool]]:
    if viewer.is_oem:
        return []
    own = select(BatchRow.batch_id).where(BatchRow.organisation_id == viewer.organisation_id)
    return [col(RecordRow.batch_id).in_(own)]


def _batches(session: Session, viewer: Viewer, request: FindRequest, rows: Sequence[RecordRow]) -> list[BatchRow]:
    ids = {row.batch_id for row in rows} - {b""}
    found = list(session.exec(select(BatchRow).where(col(BatchRow.batch_id).in_(ids)))) if ids else []
    if not found and request.batch_id:
        found = list(session.exec(select(BatchRow).where(BatchRow.batch_id == request.batch_id)))
    if not found and request.auth_id:
        found = list(session.exec(select(BatchRow).where(BatchRow.auth_id == request.auth_id)))
    return [batch for batch in found if viewer.owns(batch.organisation_id)]


def _add_objects(session: Session, response: FindResponse, batches: Sequence[BatchRow]) -> None:
    """From the trust root down to each Authorization, each object once."""
    objects: dict[bytes, None] = {root.SerializeToString(deterministic=True): None for root in Roots.envelopes(session)}
    ders: dict[bytes, None] = {}
    for batch in batches:
        product = session.get_one(ProductRow, batch.product_id)
        edgehsm = session.get_one(EdgeHsmRow, (batch.edgehsm_id, batch.epoch))
        grant = session.get_one(GrantRow, batch.grant_digest)
        objects |= dict.fromkeys((product.rule, grant.envelope, edgehsm.approval, batch.authorization))
        ders[certificates.paa(session, product.paa_cert_digest)] = None
        pai = certified(session, batch.edgehsm_id, batch.epoch, batch.product_id)
        ders |= {pai.cert_der: None} if pai else {}
        response.facts.extend(_facts(session, batch, product))
    response.objects.extend(Envelope.FromString(each) for each in objects)
    response.certificates_der.extend(ders)


def _facts(session: Session, batch: BatchRow, product: ProductRow) -> list[TraceFact]:
    version = session.get_one(VersionRow, batch.version_id)
    state = BatchState.Name(BatchState.ValueType(batch.state)).removeprefix("BATCH_STATE_")
    lines = {
        "Product": f"{product.name} ({product.vendor_id:04X}/{product.product_code:04X})",
        "Version": version.label,
        "Batch": f"{batch.batch_id.hex()} {state}, {batch.issued} of {batch.quantity} issued, {batch.passed} passed, "
        f"{batch.failed} failed",
        "Authorization": f"{batch.auth_id.hex()} (number {batch.sequence})",
        "Made at": f"{batch.factory_id}, EdgeHSM {batch.edgehsm_id}, epoch {batch.epoch}",
        "Made by": batch.organisation_id,
    }
    return [TraceFact(label=label, value=value) for label, value in lines.items()]


def _leaves(session: Session, row: RecordRow) -> list[bytes]:
    indexes = record_of(row).leaf_indexes
    return [leaf for index in indexes for _, leaf in read_leaves(session, row.edgehsm_id, row.epoch, index, index + 1)]


def _cells(
    session: Session, viewer: Viewer, theirs: list[ColumnElement[bool]]
) -> dict[tuple[str, bytes], FactoryProductCount]:
    cells: dict[tuple[str, bytes], FactoryProductCount] = defaultdict(FactoryProductCount)
    for factory_id, product_id, organisation_id, quantity in session.exec(
        select(BatchRow.factory_id, BatchRow.product_id, BatchRow.organisation_id, BatchRow.quantity)
    ):
        if viewer.owns(organisation_id):
            cells[factory_id, product_id].authorized += quantity
    for factory_id, product_id, issued, passed, failed, unfinished in _counted(session, theirs):
        cell = cells[factory_id, product_id]
        cell.issued, cell.passed, cell.failed, cell.unfinished = issued, passed, failed, unfinished
    for row in session.exec(select(RefusalCountRow)) if viewer.is_oem else ():
        cells[row.factory_id, row.product_id].refused += row.count
    for (factory_id, product_id), cell in cells.items():
        cell.factory_id, cell.product_id = factory_id, product_id
    return cells


def _counted(session: Session, theirs: list[ColumnElement[bool]]) -> list[Any]:
    def count(condition: ColumnElement[bool]) -> Any:
        return func.sum(case((condition, 1), else_=0))

    outcome = col(RecordRow.last_outcome)
    issued = col(RecordRow.issued_at) > 0
    query = select(  # type: ignore[call-overload]  # sqlmodel types at most four columns
        RecordRow.factory_id,
        RecordRow.product_id,
        count(issued),
        count(outcome == RecordState.RECORD_STATE_PASSED),
        count(outcome == RecordState.RECORD_STATE_FAILED),
        count(issued & (outcome == 0)),
    )
    grouped = query.where(*theirs).group_by(col(RecordRow.factory_id), col(RecordRow.product_id))
    return list(session.exec(grouped))
