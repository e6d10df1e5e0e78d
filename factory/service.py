"""The Factory Service, put together: a buffer, one line up, one carrier an EdgeHSM, two ports for the floor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from importlib.metadata import version
from typing import Final

import structlog
from google.protobuf.message import DecodeError

from factory.artifacts import Artifacts
from factory.bell import Bell
from factory.buffer import Buffer
from factory.carrying import FAILURES
from factory.config import Config
from factory.custody import Custodian
from factory.line import LineServicer
from factory.site import Site
from factory.supervisor import SupervisorServicer
from factory.uplink import Uplink
from obis.mesh.backoff import Backoff
from obis.mesh.server import MeshServer, Port, signalled
from obis.mesh.status import understood
from obis.refusal import Refused
from obis.v1.factory_link_pb2 import FetchArtifactRequest, FetchArtifactResponse, WorkOrder
from obis.v1.line_pb2_grpc import add_LineServicer_to_server
from obis.v1.package_pb2 import VersionManifest
from obis.v1.reason_pb2 import Reason
from obis.v1.supervisor_pb2_grpc import add_SupervisorServicer_to_server

_FETCH_AGAIN: Final = 5.0
_PRUNE_EVERY: Final = 3600.0
_log = structlog.get_logger("factory")


class FactoryService:
    """Everything that runs in the process."""

    def __init__(self, config: Config, passphrase: bytes) -> None:
        """Opens the buffer; raises what `Site` and `Buffer` raise."""
        self.site = Site(config, passphrase)
        self.buffer = Buffer(config.data / "buffer.db")
        self.bell = Bell()
        self.uplink = Uplink(
            self.buffer,
            self.bell,
            self.site.open_cloud,
            folder=config.data,
            software_version=version("obis-mesh"),
            backoff=Backoff(longest_seconds=config.longest_backoff_seconds),
        )
        self.artifacts = Artifacts(config.data / "artifacts", self._fetch)
        self.custodians = {
            each.edgehsm_id: Custodian(
                each.edgehsm_id,
                self.buffer,
                self.bell,
                partial(self.site.open_front, each.edgehsm_id, each.address),
                lambda: self.uplink.beacon,
            )
            for each in config.edgehsms
        }
        self._config = config

    async def serve(self) -> None:
        """Carry and serve until SIGTERM or SIGINT."""
        line, door = self._servers()
        await line.start()
        await door.start()
        _log.info("factory serves", factory_id=self._config.factory_id, line=line.port, enrolment=door.port)
        works = [self.site.learn(), self.site.renew(), self.uplink.run(), self._prefetch(), self._prune()]
        works += [each.run() for each in self.custodians.values()]
        tasks = [asyncio.create_task(each) for each in works]
        stop = asyncio.create_task(signalled())
        await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(line.stop(), door.stop())
        for task in (*tasks, stop):
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        self.buffer.close()
        for end in ends:  # a carrier never ends by itself: what it raised is a fault of this program
            if isinstance(end, Exception):
                raise end

    def _servers(self) -> tuple[MeshServer, MeshServer]:
        supervisor = SupervisorServicer(
            self._config.factory_id,
            self.site,
            self.buffer,
            self.bell,
            self.artifacts,
            self.uplink,
            self.custodians,
        )
        line = LineServicer(self.buffer, self.bell, self.artifacts)
        for_people = partial(add_SupervisorServicer_to_server, supervisor)
        for_stations = partial(add_LineServicer_to_server, line)
        credentials = self.site.credentials
        return (
            MeshServer(Port(self._config.line), credentials, [for_stations, for_people]),
            MeshServer(Port(self._config.enrolment, anonymous=True), credentials, [for_people]),
        )

    async def _fetch(self, digest: bytes, offset: int) -> AsyncIterator[FetchArtifactResponse]:
        stub = self.uplink.stub
        if stub is None:
            raise Refused(Reason.REASON_UNREACHABLE, "the link to the cloud is down and the blob is not here")
        with understood("cloud"):
            async for piece in stub.FetchArtifact(FetchArtifactRequest(digest=digest, offset=offset)):
                yield piece

    async def _prefetch(self) -> None:
        """Have every open work order's firmware here before a station asks: the link may be down by then."""
        wanted: set[bytes] = set()
        revision = 0
        while True:
            for work in self.buffer.work_after(revision):
                revision = work.revision
                wanted |= set() if work.ended else {_firmware_digest(work.content)}
            wanted = {each for each in wanted if each and not await self._fetched(each)}
            await self.bell.heard(_FETCH_AGAIN)

    async def _fetched(self, digest: bytes) -> bool:
        try:
            await self.artifacts.ensure(digest)
        except FAILURES as failure:
            _log.info("artifact not here yet", digest=digest.hex()[:16], why=str(failure))
            return False
        return True

    async def _prune(self) -> None:
        while True:
            gone = await asyncio.to_thread(self.buffer.prune, int(time.time()))
            if gone:
                _log.info("old pages went", pages=gone)
            await asyncio.sleep(_PRUNE_EVERY)


def _firmware_digest(order: bytes) -> bytes:
    """The one thing read out of a work order; empty where it cannot be read: stations verify, this service carries."""
    try:
        return VersionManifest.FromString(WorkOrder.FromString(order).version_manifest).firmware_digest
    except DecodeError:
        return b""
