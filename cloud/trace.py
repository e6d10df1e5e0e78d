"""Trace: what was made, under what, and the proof of it. OEM persons see all; ODM persons their own batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Final

from typing_extensions import override

from cloud import tracing
from cloud.export import export, scope_of
from cloud.projection import RECORDS_TOPIC
from cloud.service import CloudService
from cloud.viewer import find_batch, viewer_of
from cloud.witness import Witness
from obis.mesh.calls import Context
from obis.mesh.identity import calling_peer
from obis.v1 import trace_pb2_grpc
from obis.v1.envelope_pb2 import Envelope
from obis.v1.trace_pb2 import (
    ExportRequest,
    ExportResponse,
    FindRequest,
    FindResponse,
    StreamRecordsRequest,
    StreamRecordsResponse,
    SummarizeRequest,
    SummarizeResponse,
)

_AT_ONCE: Final = 200
_LOOK_EVERY: Final = 2.0


class TraceServicer(trace_pb2_grpc.TraceServicer):
    """For people and their back ends."""

    def __init__(self, cloud: CloudService, witness: Witness) -> None:
        self._cloud, self._witness = cloud, witness

    @override
    async def Find(self, request: FindRequest, context: Context) -> FindResponse:
        """Everything tied to one thing."""
        return await self._cloud.read(partial(tracing.find, request=request))

    @override
    async def Summarize(self, request: SummarizeRequest, context: Context) -> SummarizeResponse:
        """The counts."""
        return await self._cloud.read(tracing.summarize)

    @override
    async def StreamRecords(
        self, request: StreamRecordsRequest, context: Context
    ) -> AsyncIterator[StreamRecordsResponse]:
        """Records from a cursor on, until the caller hangs up."""
        if request.batch_id:
            await self._cloud.read(partial(find_batch, batch_id=request.batch_id))
        cursor = request.after_cursor
        with self._cloud.store.notifier.listening(RECORDS_TOPIC) as listener:
            while True:
                read = partial(tracing.records_after, cursor=cursor, batch_id=request.batch_id, limit=_AT_ONCE)
                found = await self._cloud.read(read)
                for each in found:
                    yield each
                    cursor = each.cursor
                if not found:
                    await listener.wait(_LOOK_EVERY)

    @override
    async def Export(self, request: ExportRequest, context: Context) -> AsyncIterator[ExportResponse]:
        """The signed export; read as fast as the caller takes it."""
        peer = calling_peer()
        with self._cloud.store.reading() as session:
            scope = await asyncio.to_thread(lambda: scope_of(session, viewer_of(session, peer), request.product_id))
            acts = await self._vault_acts()
            parts = export(session, scope, self._witness, acts, self._cloud.keys.online, self._cloud.now())
            while part := await asyncio.to_thread(_next, parts):
                yield part

    async def _vault_acts(self) -> list[Envelope]:
        acts: list[Envelope] = []
        while page := await self._cloud.vault.acts(len(acts) + 1):
            acts += page
        return acts


def _next(parts: Iterator[ExportResponse]) -> ExportResponse | None:
    return next(parts, None)
