"""A factory between a cloud and an EdgeHSM: the Factory Service as a real process, everything else served by this one.

The cloud's link and the front are real servers over mTLS; the wire to the cloud goes through a link that can fail.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry

from cloud.artifacts import Artifacts
from cloud.keystore import P256Signer
from cloud.link import FactoryLinkServicer
from cloud.logbook import link_parts
from factory.site import key_path
from loadtest.faults import FaultyLink
from obis.mesh.channel import open_channel
from obis.mesh.identity import CLOUD_HOST, Identity, Role
from obis.mesh.server import MeshServer, Port
from obis.mesh.transport import TransportKey
from obis.v1.custody_pb2_grpc import add_CustodyServicer_to_server
from obis.v1.factory_link_pb2_grpc import add_FactoryLinkServicer_to_server
from tests.cloud.cloud_room import FACTORY, FIRMWARE, CloudRoom, open_room
from tests.fakes.front import FakeFront
from tests.fakes.log import FakeLog
from tests.fakes.pki import FakeMesh

PASSPHRASE = "a passphrase of the test"
CLOUD = Identity(Role.CLOUD, "main")


@dataclass
class SiteRoom:
    """Everything a test turns."""

    folder: Path
    mesh: FakeMesh
    cloud: CloudRoom
    front: FakeFront
    door: MeshServer
    link: FaultyLink
    config: Path
    line: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def log(self) -> FakeLog:
        return self.front.log

    async def open_door(self) -> MeshServer:
        """The front's server, again, where it was."""
        door = serve_front(self.mesh, self.front, f"127.0.0.1:{self.door.port}")
        await door.start()
        return door

    def start(self) -> None:
        """A Factory Service; its secret comes by descriptor."""
        reading, writing = os.pipe()
        os.write(writing, json.dumps({"factory": PASSPHRASE}).encode())
        os.close(writing)
        with (self.folder / "factory.log").open("ab") as log:
            command = [sys.executable, "-m", "factory", "serve", "--config", str(self.config)]
            process = subprocess.Popen([*command, "--secrets-fd", str(reading)], pass_fds=[reading], stderr=log)
        os.close(reading)
        self.processes.append(process)

    def kill(self) -> None:
        """As power loss does."""
        self.processes[-1].kill()
        self.processes[-1].wait()

    def cosigned(self) -> int:
        return self.cloud.witness.last(self.log.edgehsm_id, self.log.epoch).size

    def station(self):
        """A channel to the Factory Service's line."""
        credentials = self.mesh.credentials(Identity(Role.STATION, "s1", FACTORY))
        return open_channel(self.line, Identity(Role.FACTORY, FACTORY), credentials)

    def supervisor(self):
        credentials = self.mesh.credentials(Identity(Role.SUPERVISOR, "boss", FACTORY))
        return open_channel(self.line, Identity(Role.FACTORY, FACTORY), credentials)


async def until(condition, seconds: float = 20) -> None:
    """Wait for something to become true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)


@asynccontextmanager
async def open_site(folder: Path, log: FakeLog):
    mesh = FakeMesh(FACTORY)
    cloud = open_room(folder, log)
    artifacts = Artifacts(folder / "artifacts")
    artifacts.path(sha256(FIRMWARE).digest()).write_bytes(FIRMWARE)
    beacon = P256Signer(ec.generate_private_key(ec.SECP256R1()))
    link = FactoryLinkServicer(link_parts(cloud.store, cloud.witness, beacon, artifacts))
    server = served(mesh, CLOUD, partial(add_FactoryLinkServicer_to_server, link))
    front = FakeFront(log)
    door = serve_front(mesh, front, "127.0.0.1:0")
    await server.start()
    await door.start()
    async with FaultyLink(f"127.0.0.1:{server.port}") as wire:
        line = f"127.0.0.1:{free_port()}"
        config = write_site(folder, mesh, wire.address, line, door.port, log)
        room = SiteRoom(folder, mesh, cloud, front, door, wire, config, line)
        try:
            yield room
        finally:
            for process in room.processes:
                process.kill()
                process.wait()
            await asyncio.gather(server.stop(), room.door.stop())
            cloud.store.close()
            cloud.witness.close()


def serve_front(mesh: FakeMesh, front: FakeFront, address: str) -> MeshServer:
    name = Identity(Role.FRONT, front.log.edgehsm_id, FACTORY)
    return served(mesh, name, partial(add_CustodyServicer_to_server, front), address)


def served(mesh: FakeMesh, identity: Identity, register, address: str = "127.0.0.1:0") -> MeshServer:
    port = Port(address, grace_seconds=0.1)
    return MeshServer(port, mesh.credentials(identity), [register], registry=CollectorRegistry())


def write_site(folder: Path, mesh: FakeMesh, cloud: str, line: str, front: int, log: FakeLog) -> Path:
    """What `enrol` and the first contact with the cloud would have left."""
    identity = folder / "factory" / "identity"
    identity.mkdir(parents=True)
    key = TransportKey.generate()
    own = mesh.cas[CLOUD_HOST].certify(key, Identity(Role.FACTORY, FACTORY))
    key.seal(key_path(identity, key.public_der), PASSPHRASE.encode())
    (identity / "chain.pem").write_bytes(own.chain_pem)
    site_ca = mesh.cas[f"{FACTORY}.site.obis"].certificate.public_bytes(Encoding.DER)
    for name in ("site_root.der", f"{log.edgehsm_id}-{log.epoch}.der"):
        (identity / name).write_bytes(site_ca)
    transport_ca = mesh.cas[CLOUD_HOST].certificate.public_bytes(Encoding.PEM).decode()
    told = {"fingerprint": "00" * 32, "cloud": cloud, "enrolment": cloud, "transport_ca_pem": transport_ca}
    (folder / "mesh.json").write_text(json.dumps(told))
    config = folder / "factory.toml"
    config.write_text(
        f'data = "factory"\nmesh = "mesh.json"\nfactory_id = "{FACTORY}"\nline = "{line}"\n'
        f'enrolment = "127.0.0.1:0"\nlongest_backoff_seconds = 1\n'
        f'[[edgehsm]]\nid = "{log.edgehsm_id}"\naddress = "127.0.0.1:{front}"\n'
    )
    return config


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
