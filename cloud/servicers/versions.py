"""Product Versions and the firmware in them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from cloud import firmware, snapshots
from cloud.service import CloudService
from cloud.viewer import find_version
from obis.mesh.identity import calling_peer
from obis.v1 import versions_pb2 as pb
from obis.v1 import versions_pb2_grpc


class VersionsServicer(versions_pb2_grpc.VersionsServicer):
    """For members; ODM people write."""

    def __init__(self, cloud: CloudService) -> None:
        self._cloud = cloud

    async def UploadFirmware(
        self, request_iterator: AsyncIterator[pb.UploadFirmwareRequest], context: Any
    ) -> pb.UploadFirmwareResponse:
        """Header, then chunks."""
        cloud = self._cloud
        header = await firmware.upload(cloud.store, cloud.artifacts, calling_peer(), request_iterator, now=cloud.now())
        return pb.UploadFirmwareResponse(firmware_digest=header.firmware_digest, size=header.size)

    async def CreateVersion(self, request: pb.CreateVersionRequest, context: Any) -> pb.CreateVersionResponse:
        """Cuts a draft."""
        now = self._cloud.now()
        row = await self._cloud.write(lambda s, who: snapshots.create(s, who, request.draft, now=now))
        return pb.CreateVersionResponse(version=snapshots.shown(row))

    async def SubmitVersion(self, request: pb.SubmitVersionRequest, context: Any) -> pb.SubmitVersionResponse:
        """Draft to submitted."""
        now = self._cloud.now()
        row = await self._cloud.write(lambda s, who: snapshots.submit(s, who, request.version_id, now=now))
        return pb.SubmitVersionResponse(version=snapshots.shown(row))

    async def RejectVersion(self, request: pb.RejectVersionRequest, context: Any) -> pb.RejectVersionResponse:
        """Submitted to rejected."""
        now = self._cloud.now()
        row = await self._cloud.write(lambda s, who: snapshots.reject(s, who, request.version_id, request.why, now=now))
        return pb.RejectVersionResponse(version=snapshots.shown(row))

    async def GetVersion(self, request: pb.GetVersionRequest, context: Any) -> pb.GetVersionResponse:
        """One version."""
        row = await self._cloud.read(lambda s, who: find_version(s, who, request.version_id))
        return pb.GetVersionResponse(version=snapshots.shown(row))

    async def ListVersions(self, request: pb.ListVersionsRequest, context: Any) -> pb.ListVersionsResponse:
        """A product's versions."""
        rows = await self._cloud.read(lambda s, who: snapshots.list_of(s, who, request.product_id))
        return pb.ListVersionsResponse(versions=[snapshots.shown(row) for row in rows])

    async def DiffVersion(self, request: pb.DiffVersionRequest, context: Any) -> pb.DiffVersionResponse:
        """Against the last approved one."""
        changes, against = await self._cloud.read(lambda s, who: snapshots.diff(s, who, request.version_id))
        return pb.DiffVersionResponse(changes=changes, against_digest=against)
