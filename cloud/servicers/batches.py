"""Production Batches."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from sqlmodel import Session, col, select

from cloud.authority import create_batch
from cloud.service import CloudService
from cloud.store.production import BatchRow
from cloud.viewer import Viewer, find_batch, find_product
from obis.v1 import batches_pb2 as pb
from obis.v1 import batches_pb2_grpc
from obis.v1.envelope_pb2 import Envelope
from obis.v1.scope_pb2 import Window

LOOK_SECONDS: Final = 2.0  # what another replica changed is seen by then


class BatchesServicer(batches_pb2_grpc.BatchesServicer):
    """For members; ODM people write."""

    def __init__(self, cloud: CloudService) -> None:
        self._cloud = cloud

    async def CreateBatch(self, request: pb.CreateBatchRequest, context: Any) -> pb.CreateBatchResponse:
        """Within the Grant, or not at all."""
        cloud, now = self._cloud, self._cloud.now()
        row = await cloud.write(lambda s, who: create_batch(s, cloud.keys.online, who, request, now=now))
        return pb.CreateBatchResponse(batch=shown(row))

    async def GetBatch(self, request: pb.GetBatchRequest, context: Any) -> pb.GetBatchResponse:
        """One batch."""
        row = await self._cloud.read(lambda s, who: find_batch(s, who, request.batch_id))
        return pb.GetBatchResponse(batch=shown(row))

    async def ListBatches(self, request: pb.ListBatchesRequest, context: Any) -> pb.ListBatchesResponse:
        """Newest first."""
        rows = await self._cloud.read(lambda s, who: _batches(s, who, request.product_id))
        return pb.ListBatchesResponse(batches=[shown(row) for row in rows])

    async def WatchBatch(self, request: pb.WatchBatchRequest, context: Any) -> AsyncIterator[pb.WatchBatchResponse]:
        """Now, and each time it changes."""
        before = None
        with self._cloud.store.notifier.listening(f"batch:{request.batch_id.hex()}") as listener:
            while True:
                row = await self._cloud.read(lambda s, who: find_batch(s, who, request.batch_id))
                batch = shown(row)
                if batch != before:
                    yield pb.WatchBatchResponse(batch=batch)
                before = batch
                await listener.wait(LOOK_SECONDS)


def shown(row: BatchRow) -> pb.ProductionBatch:
    """As the contract shows it."""
    return pb.ProductionBatch(
        batch_id=row.batch_id,
        product_id=row.product_id,
        version_id=row.version_id,
        factory_id=row.factory_id,
        edgehsm_id=row.edgehsm_id,
        quantity=row.quantity,
        window=Window(starts_at=row.starts_at, ends_at=row.ends_at),
        state=row.state,  # type: ignore[arg-type]  # an enum's number, as stored
        auth_id=row.auth_id,
        authorization=Envelope.FromString(row.authorization),
        issued=row.issued,
        passed=row.passed,
        failed=row.failed,
        refusal=row.refusal,
        organisation_id=row.organisation_id,
    )


def _batches(session: Session, viewer: Viewer, product_id: bytes) -> list[BatchRow]:
    query = select(BatchRow).order_by(col(BatchRow.created_at).desc(), col(BatchRow.sequence).desc())
    if product_id:
        find_product(session, viewer, product_id)
        query = query.where(BatchRow.product_id == product_id)
    if not viewer.is_oem:
        query = query.where(BatchRow.organisation_id == viewer.organisation_id)
    return list(session.exec(query))
