"""The front: a network door without a provisioning key. It parses, limits, batches, and passes on.

Its transport key is made in memory and certified by the boundary for a day; a fresh one comes after two thirds of it.
Until the boundary is enrolled there is nothing to serve, so it waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Final

import structlog
from cryptography import x509

from edgehsm.boundary_link import BoundaryLink
from edgehsm.config import FrontConfig, say
from edgehsm.custody import Custody
from edgehsm.drain import Drain
from edgehsm.provisioning import Provisioning
from edgehsm.rate import StationRates
from obis.mesh.authorities import Authorities
from obis.mesh.credentials import Credentials
from obis.mesh.identity import CLOUD_HOST, Identity, Role
from obis.mesh.server import MeshServer, Port, signalled
from obis.mesh.transport import OwnCertificate, TransportKey
from obis.refusal import Kind, Refused
from obis.v1.boundary_pb2 import BoundaryRequest, CertifyFront
from obis.v1.custody_pb2_grpc import add_CustodyServicer_to_server
from obis.v1.provisioning_pb2_grpc import add_ProvisioningServicer_to_server

LOOK_AGAIN_SECONDS: Final = 1.0
RENEW_CHECK_SECONDS: Final = 60.0
_log = structlog.get_logger("edgehsm")


class Front:
    """Everything that runs in the process."""

    def __init__(self, config: FrontConfig) -> None:
        self._config = config
        self._identity = Identity(Role.FRONT, config.edgehsm_id, config.factory_id)
        self.link = BoundaryLink(config.socket, config.deadline_seconds)
        self.drain = Drain(self.link)
        self._tasks: list[asyncio.Task[None]] = []

    async def serve(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        async with self.running() as server:
            say(f"front of {self._config.edgehsm_id} ready: port {server.port}")
            stop = asyncio.create_task(signalled())
            ended, _ = await asyncio.wait([stop, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in ended:  # what keeps the front going never ends by itself: it raised a fault of this program
                task.result()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[MeshServer]:
        """The started server, with what keeps it going."""
        tasks = self._tasks
        tasks += [asyncio.create_task(self.link.run()), asyncio.create_task(self.drain.run())]
        try:
            credentials = await self._certified()
            tasks.append(asyncio.create_task(self._renew(credentials)))
            server = MeshServer(Port(self._config.listen), credentials, self._services())
            await server.start()
            yield server
            await server.stop()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _services(self) -> list[partial[None]]:
        rates = StationRates(self._config.steps_per_second)
        provisioning = Provisioning(self.link, self.drain, rates)
        custody = Custody(self.link, self.drain, self._config.factory_id)
        return [
            partial(add_ProvisioningServicer_to_server, provisioning),
            partial(add_CustodyServicer_to_server, custody),
        ]

    async def _certified(self) -> Credentials:
        """Asks until the boundary is there and enrolled; any other refusal is raised."""
        while True:
            try:
                return Credentials(*await self._ask_for_certificate())
            except Refused as refused:
                if refused.kind not in (Kind.NOT_YET, Kind.UNREACHABLE):
                    raise
                _log.info("waiting", why=str(refused))
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _ask_for_certificate(self) -> tuple[Authorities, OwnCertificate]:
        key = TransportKey.generate()
        asked = BoundaryRequest(certify_front=CertifyFront(csr_der=key.request(self._identity)))
        chain = (await self.link.ask(asked)).chain
        site_ca, transport_ca = chain.certificates_der[1], chain.transport_ca_cert_der
        pinned = {self._identity.host: [site_ca], CLOUD_HOST: [transport_ca]}
        authorities = Authorities(
            {host: [x509.load_der_x509_certificate(each) for each in held] for host, held in pinned.items()}
        )
        return authorities, key.certified(list(chain.certificates_der))

    async def _renew(self, credentials: Credentials) -> None:
        while True:
            own = credentials.own
            if own is not None and datetime.now(UTC) >= own.renew_at:
                try:
                    authorities, fresh = await self._ask_for_certificate()
                    credentials.replace(own=fresh, authorities=authorities)
                except Refused as refused:
                    _log.warning("certificate not renewed", why=str(refused))
            await asyncio.sleep(RENEW_CHECK_SECONDS)
