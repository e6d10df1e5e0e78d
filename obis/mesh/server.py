"""One way to serve: mutual TLS, the rules of obis/mesh/calls.py around every RPC, health, metrics, a graceful end.

    server = MeshServer(
        Port("127.0.0.1:7443"), credentials, [partial(line_pb2_grpc.add_LineServicer_to_server, servicer)])
    await server.start()
    await server.serve_until_signal()

An RPC without a row in the access table keeps the server from starting. An enrolment port (`Port(anonymous=True)`) asks
for no certificate, since gRPC for Python can require one or not ask, and nothing between; all its callers are
ANONYMOUS, and only rows that say so admit them. So one servicer may stand on two ports.

Reflection and channelz tell much and check nobody, so they are on a port of their own, on the loopback, when asked for.
"""

from __future__ import annotations

import asyncio
import ipaddress
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import REGISTRY, CollectorRegistry

from obis.mesh.access import ACCESS, AccessTable, check_complete
from obis.mesh.calls import CallInterceptor, CallRules
from obis.mesh.channel import LIVENESS, MESSAGE_BYTES, Option, size_limits
from obis.mesh.credentials import Credentials
from obis.mesh.metrics import call_metrics

# `add_<Service>Servicer_to_server` with its servicer already in place.
Register: TypeAlias = Callable[[Any], None]

_log = structlog.get_logger("obis.mesh")
_OPTIONS: Final[tuple[Option, ...]] = (
    *LIVENESS,
    # Callers ping every 2 s; without these lines the server would hang up on them for it.
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),  # two servers on one port is a mistake, not a cluster
)


@dataclass(frozen=True)
class Port:
    """Where to serve and what to ask of callers."""

    address: str  # host:port; port 0 takes a free one
    anonymous: bool = False
    message_bytes: int = MESSAGE_BYTES
    unary_seconds: float = 30
    concurrent_calls: int | None = 2048  # above it: RESOURCE_EXHAUSTED
    grace_seconds: float = 5


class MeshServer:
    """A server on one port."""

    def __init__(
        self,
        port: Port,
        credentials: Credentials,
        services: Iterable[Register],
        *,
        access: AccessTable = ACCESS,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        """Raises AccessTableIncomplete for an RPC without a row."""
        self._where = port
        authorities = None if port.anonymous else lambda: credentials.authorities
        rules = CallRules(access, call_metrics(registry), authorities, port.unary_seconds)
        self._server = grpc.aio.server(
            interceptors=[CallInterceptor(rules)],
            options=[*_OPTIONS, *size_limits(port.message_bytes)],
            maximum_concurrent_rpcs=port.concurrent_calls,
        )
        self._health = _Health()
        recorder = _Recorder(self._server)
        for register in (*services, self._add_health):
            register(recorder)
        check_complete(recorder.methods, access)
        self.services = tuple(sorted({method.split("/")[1] for method in recorder.methods}))
        self._credentials = credentials.server(ask_for_certificate=not port.anonymous)
        self.port = 0

    def _add_health(self, server: Any) -> None:
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)

    async def start(self) -> int:
        """Bind and serve; returns the port. Raises RuntimeError if the address is taken."""
        self.port = self._server.add_secure_port(self._where.address, self._credentials)
        await self._server.start()
        await self.set_serving(serving=True)
        _log.info("serving", address=self._where.address, port=self.port, services=self.services)
        return self.port

    async def set_serving(self, *, serving: bool, service: str = "") -> None:
        """What health checks are told, of one service or of all."""
        word = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in [service] if service else ["", *self.services]:
            await self._health.set(name, word)

    async def stop(self) -> None:
        """Say so to health watchers, take no more calls, give open ones their grace."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(self._where.grace_seconds)

    async def serve_until_signal(self, *others: MeshServer) -> None:
        """Until SIGTERM or SIGINT; then stop this server and the others of the process together."""
        await signalled()
        await asyncio.gather(*(each.stop() for each in (self, *others)))


async def signalled() -> None:
    """Returns at SIGTERM or SIGINT."""
    loop, came = asyncio.get_running_loop(), asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, came.set)
    await came.wait()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(each)


class _Health(health.aio.HealthServicer):
    """The library's, with the one RPC of the protocol that it lacks."""

    async def List(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 (called as the protocol calls it)
        """Every service of the port with its state; "" is the port itself."""
        messages: Any = health_pb2  # the types that go with the library know no List either
        known: Any = self
        states = {name: {"status": status} for name, status in known._server_status.items()}  # noqa: SLF001 (its own)
        return messages.HealthListResponse(statuses=states)


class _Recorder:
    """Stands in for the server while services register, and notes which RPCs they bring."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server
        self.methods: set[str] = set()

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        self.methods.update(f"/{service}/{method}" for method in handlers)
        self._server.add_registered_method_handlers(service, handlers)


async def start_admin(address: str, services: Iterable[str]) -> grpc.aio.Server:
    """Reflection and channelz for a person on this machine; raises ValueError for an address beyond the loopback."""
    from grpc_channelz.v1 import channelz

    host = address.rpartition(":")[0].strip("[]")
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"the admin port checks nobody: {host} is not a loopback address")
    server = grpc.aio.server()
    reflection.enable_server_reflection((*services, reflection.SERVICE_NAME), server)
    channelz.add_channelz_servicer(server)
    server.add_insecure_port(address)
    await server.start()
    return server
