"""FactoryLink: the cloud's end of the line to each Factory Service. `cloud.stream` holds the rules of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from sqlmodel import Session, select
from typing_extensions import override

from cloud.store.catalogue import VersionRow
from cloud.store.governance import GrantRow, GrantShareRow
from cloud.stream import LinkParts, Stream
from obis.mesh.calls import Context
from obis.mesh.identity import calling_peer
from obis.refusal import Refused
from obis.v1 import factory_link_pb2_grpc
from obis.v1.factory_link_pb2 import FetchArtifactRequest, FetchArtifactResponse, SyncRequest, SyncResponse
from obis.v1.package_pb2 import VersionManifest
from obis.v1.reason_pb2 import Reason

_CHUNK_BYTES: Final = 256 * 1024


class FactoryLinkServicer(factory_link_pb2_grpc.FactoryLinkServicer):
    """For Factory Services."""

    def __init__(self, parts: LinkParts) -> None:
        self._parts = parts
        self._open: dict[str, Stream] = {}

    @override
    async def Sync(self, requests: AsyncIterator[SyncRequest], context: Context) -> AsyncIterator[SyncResponse]:
        """One stream a factory: a newer one ends the one before, which is dead and does not know it yet."""
        factory_id = calling_peer().id
        before = self._open.get(factory_id)
        if before:
            before.supersede()
        stream = self._open[factory_id] = Stream(self._parts, factory_id)
        try:
            async for response in stream.run(requests):
                yield response
        finally:
            if self._open.get(factory_id) is stream:
                del self._open[factory_id]

    @override
    async def FetchArtifact(
        self, request: FetchArtifactRequest, context: Context
    ) -> AsyncIterator[FetchArtifactResponse]:
        """A blob that a Grant for this factory names, from an offset on."""
        allowed = partial(_is_for, factory_id=calling_peer().id, digest=request.digest)
        if not await self._parts.store.read(allowed):
            raise Refused(Reason.REASON_NOT_FOUND, "no Grant for this factory names such an artifact", "digest")
        size, offset = self._parts.artifacts.size(request.digest), request.offset
        while offset < size:
            chunk = await asyncio.to_thread(self._parts.artifacts.read, request.digest, offset, _CHUNK_BYTES)
            yield FetchArtifactResponse(offset=offset, chunk=chunk, size=size)
            offset += len(chunk)


def _is_for(session: Session, *, factory_id: str, digest: bytes) -> bool:
    """Whether a version with a Grant for this factory names the blob as its firmware or key agent."""
    query = (
        select(VersionRow.manifest)
        .join(GrantRow, GrantRow.version_id == VersionRow.version_id)  # type: ignore[arg-type]  # a column, not a bool
        .join(GrantShareRow, GrantShareRow.grant_digest == GrantRow.grant_digest)  # type: ignore[arg-type]  # as above
        .where(GrantShareRow.factory_id == factory_id)
    )
    for content in session.exec(query):
        manifest = VersionManifest.FromString(content)
        if digest in (manifest.firmware_digest, manifest.agent_digest):
            return True
    return False
