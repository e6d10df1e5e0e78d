"""Every port of the mesh, what it serves, and a way to knock: any method, any bytes, any certificate.

What a port serves is asked of the port itself (gRPC health names its services) and the methods come from the contract's
descriptors, so a new RPC is knocked at without a line here.
"""

from __future__ import annotations

import asyncio
import importlib
import sqlite3
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2

import obis.v1
from obis.mesh.access import ACCESS
from obis.mesh.channel import LIVENESS, MIB
from obis.mesh.credentials import Credentials
from obis.mesh.identity import SITE_ROLES, Identity, Role
from obis.mesh.status import understood
from obis.mesh.transport import OwnCertificate
from obis.refusal import Refused
from tests.scenarios.identities import Forge, somebody
from tests.scenarios.mesh import HOME, PATIENCE, RunningMesh

CONTRACT = {
    service.full_name: service
    for path in Path(obis.v1.__file__).parent.glob("*_pb2.py")
    for service in importlib.import_module(f"obis.v1.{path.stem}").DESCRIPTOR.services_by_name.values()
} | {"grpc.health.v1.Health": health_pb2.DESCRIPTOR.services_by_name["Health"]}

DOORS = ("cloud", "cloud-enrolment", "vault", "th-01-line", "th-01-enrolment", "th-01-front")
HEALTH = "/grpc.health.v1.Health"


@dataclass(frozen=True)
class Method:
    """One RPC of the contract."""

    name: str
    descriptor: MethodDescriptor

    @property
    def request(self) -> type[Message]:
        return GetMessageClass(self.descriptor.input_type)

    @property
    def roles(self) -> frozenset[Role]:
        return ACCESS[self.name]


def methods_of(service: str) -> list[Method]:
    return [Method(f"/{service}/{each.name}", each) for each in CONTRACT[service].methods]


@dataclass(frozen=True)
class Door:
    """A port, as a caller sees it."""

    mesh: RunningMesh
    name: str

    @property
    def is_anonymous(self) -> bool:
        return self.name.endswith("enrolment")

    @property
    def server(self) -> Identity:
        if self.name.startswith("cloud"):
            return Identity(Role.CLOUD, "main")
        if self.name == "vault":
            return Identity(Role.VAULT, "main")
        return self.mesh.front_of(HOME) if self.name.endswith("front") else Identity(Role.FACTORY, HOME)

    def believes(self, role: Role) -> bool:
        """Whether a certificate of this role is of a CA that is pinned here; the others are foreign CAs."""
        if role is Role.ANONYMOUS:
            return self.is_anonymous
        return role not in SITE_ROLES or self.name.startswith(HOME)

    def admits(self, method: Method) -> list[Role]:
        """Roles that pass at this port."""
        return [Role.ANONYMOUS] if self.is_anonymous else sorted(method.roles - {Role.ANONYMOUS})

    @asynccontextmanager
    async def opened(self, own: OwnCertificate | None, message_bytes: int = 8 * MIB):
        """A connection; this client sends what it likes, so the limits that are met are the server's."""
        credentials = Credentials(self.mesh.site_authorities(HOME), own).channel(self.server)
        name = self.server.dns_name
        options = [
            *LIVENESS,
            ("grpc.ssl_target_name_override", name),
            ("grpc.default_authority", name),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),
            ("grpc.max_receive_message_length", message_bytes),
            ("grpc.max_send_message_length", message_bytes),
        ]
        async with grpc.aio.secure_channel(self.mesh.address(self.name), credentials, options) as channel:
            yield channel

    async def serves(self, own: OwnCertificate | None) -> list[Method]:
        """Every method of this port."""
        async with self.opened(own) as channel:
            call = channel.unary_unary(f"{HEALTH}/List", response_deserializer=health_pb2.HealthListResponse.FromString)
            names = {each for each in (await call(b"", timeout=PATIENCE)).statuses if each}
        return [method for each in sorted(names) for method in methods_of(each)]

    async def is_alive(self, own: OwnCertificate | None) -> bool:
        async with self.opened(own) as channel:
            call = channel.unary_unary(
                f"{HEALTH}/Check", response_deserializer=health_pb2.HealthCheckResponse.FromString
            )
            return (await call(b"", timeout=PATIENCE)).status == health_pb2.HealthCheckResponse.SERVING

    def certificate(self, forge: Forge, role: Role) -> OwnCertificate | None:
        """A good one for this role, of this site where the role belongs to one."""
        return None if role is Role.ANONYMOUS else forge.by_right_ca(somebody(role, HOME))


async def knock(channel: grpc.aio.Channel, method: Method, request: bytes) -> str:
    """The word of the refusal, or "" where an answer came."""
    refused = await refusal(channel, method, request)
    return refused.word if refused else ""


async def refusal(channel: grpc.aio.Channel, method: Method, request: bytes) -> Refused | None:
    """The whole refusal, or None where an answer came."""
    for _ in range(20):
        try:
            with understood("the door"):
                await _first_answer(channel, method.name, method.descriptor, request)
        except Refused as refused:
            if _LOST_BY_CLIENT not in refused.what:
                return refused
        else:
            return None
    raise AssertionError(f"{method.name} is never answered")


# gRPC for Python, client streams: a write that fails because the server has ended the call hides the call's own status.
_LOST_BY_CLIENT = "Internal error from Core"


async def _first_answer(channel, name: str, descriptor: MethodDescriptor, request: bytes) -> None:
    """Of a stream both ways, what comes within a while: a heartbeat may overtake the refusal."""
    up, down = ("stream" if flag else "unary" for flag in (descriptor.client_streaming, descriptor.server_streaming))
    sent = _one(request) if descriptor.client_streaming else request
    call = getattr(channel, f"{up}_{down}")(name)(sent, timeout=PATIENCE)
    if not descriptor.server_streaming:
        await call
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(3):
            while await call.read() is not grpc.aio.EOF and descriptor.client_streaming:
                pass
    call.cancel()


async def _one(request: bytes):
    yield request


@dataclass(frozen=True)
class Holdings:
    """What nobody may get by knocking: certificates, devices, acts, people."""

    counts: dict[str, int]

    @classmethod
    async def of(cls, mesh: RunningMesh) -> Holdings:
        status = await mesh.status(HOME)
        counts = {"devices": sum(each.used for each in status.authorizations)}
        counts["stations"] = sum(each.HasField("station_enrolled") for each in await mesh.leaves(HOME))
        cloud = ("transport_certificates", "used_tickets", "pais", "certificates", "batches", "grants", "products")
        counts |= _rows(mesh.stage.folder / "cloud" / "data" / "cloud.db", *cloud, "persons", "firmware")
        return cls(counts | _rows(mesh.stage.folder / "vault" / "data" / "vault.db", "acts"))


def _rows(path: Path, *tables: str) -> dict[str, int]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return {each: database.execute(f"SELECT count(*) FROM {each}").fetchone()[0] for each in tables}
