"""A station and a Factory Service at one site, with the echo service between them."""

import pytest
from prometheus_client import CollectorRegistry

from obis.mesh.channel import open_channel
from obis.mesh.identity import Identity, Role
from obis.mesh.server import MeshServer, Port
from tests.fakes import echo
from tests.fakes.pki import FakeMesh

SERVER = Identity(Role.FACTORY, "th-01")
STATION = Identity(Role.STATION, "7", "th-01")


class Bench:
    """One server with the echo service, and callers of it."""

    def __init__(self, **port) -> None:
        self.mesh = FakeMesh("th-01", "th-02")
        self.registry = CollectorRegistry()
        self.echo = echo.Echo()
        self.credentials = self.mesh.credentials(SERVER)
        self.server = MeshServer(
            Port("127.0.0.1:0", **{"grace_seconds": 0.2, **port}),
            self.credentials,
            [self.echo.register],
            access=echo.ACCESS,
            registry=self.registry,
        )
        self._channels = []

    async def __aenter__(self):
        self.address = f"127.0.0.1:{await self.server.start()}"
        return self

    async def __aexit__(self, *raised):
        for each in self._channels:
            await each.close()
        await self.server.stop()

    def channel(self, identity=STATION, *, address=None, server=SERVER, credentials=None, **options):
        credentials = credentials or self.mesh.credentials(identity)
        channel = open_channel(address or self.address, server, credentials, **options)
        self._channels.append(channel)
        return channel

    def stub(self, identity=STATION, **where):
        return echo.EchoStub(self.channel(identity, **where))

    def count(self, **labels):
        return self.registry.get_sample_value("obis_rpc_handled_total", labels)


@pytest.fixture
async def bench():
    async with Bench() as running:
        yield running


@pytest.fixture
def bench_with():
    return Bench
