"""What the Factory Service does for stations: work orders, blobs by digest, and whether a record is in the cloud.

None of it stands on the path of a device: a station goes on with EdgeHSM while this service is away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from typing_extensions import override

from factory.artifacts import Artifacts
from factory.bell import Bell
from factory.buffer import Buffer
from factory.carrying import HEARTBEAT_SECONDS
from obis.mesh.calls import Context
from obis.v1 import line_pb2_grpc
from obis.v1.factory_link_pb2 import WorkOrder
from obis.v1.line_pb2 import (
    LineFetchArtifactRequest,
    LineFetchArtifactResponse,
    RecordStatusRequest,
    RecordStatusResponse,
    WatchWorkRequest,
    WatchWorkResponse,
)

_BEAT: Final = HEARTBEAT_SECONDS / 2  # half of what the contract promises


class LineServicer(line_pb2_grpc.LineServicer):
    """For stations, which learn from here and believe nothing of it: every object is signed."""

    def __init__(self, buffer: Buffer, bell: Bell, artifacts: Artifacts) -> None:
        self._buffer, self._bell, self._artifacts = buffer, bell, artifacts

    @override
    async def WatchWork(self, request: WatchWorkRequest, context: Context) -> AsyncIterator[WatchWorkResponse]:
        """Orders that are open, then changes as they come, a heartbeat in between."""
        seen = 0
        while True:
            fresh = self._buffer.work_after(seen)
            for work in fresh:
                if seen or not work.ended:
                    yield WatchWorkResponse(work_order=WorkOrder.FromString(work.content), ended=work.ended)
            if fresh:
                seen = fresh[-1].revision
            elif not await self._bell.heard(_BEAT):
                yield WatchWorkResponse()

    @override
    async def FetchArtifact(
        self, request: LineFetchArtifactRequest, context: Context
    ) -> AsyncIterator[LineFetchArtifactResponse]:
        """A blob; fetched from the cloud first where it is not here yet."""
        await self._artifacts.ensure(request.digest)
        async for offset, chunk, size in self._artifacts.read(request.digest, request.offset):
            yield LineFetchArtifactResponse(offset=offset, chunk=chunk, size=size)

    @override
    async def RecordStatus(self, request: RecordStatusRequest, context: Context) -> RecordStatusResponse:
        """How far the records of one EdgeHSM's present epoch have come."""
        log = self._buffer.latest(request.edgehsm_id)
        buffered, cosigned = (self._buffer.size(log), self._buffer.cosignature(log)[0]) if log else (0, 0)
        return RecordStatusResponse(
            buffered_size=buffered,
            cosigned_size=cosigned,
            in_cloud=[index < cosigned for index in request.log_indexes],
        )
