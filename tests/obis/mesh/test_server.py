"""Serving: it starts only with a complete access table, changes certificates while it runs, and ends gracefully."""

import asyncio
import os
import signal
import socket
import ssl

import grpc
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from obis.mesh.access import AccessTableIncomplete
from obis.mesh.credentials import Credentials
from obis.mesh.identity import Identity, Role
from obis.mesh.server import MeshServer, Port, signalled, start_admin
from obis.mesh.status import understood
from obis.refusal import Refused
from tests.fakes import echo
from tests.fakes.echo import EchoStub, say
from tests.fakes.pki import FakeMesh, leaf_pem

SERVER = Identity(Role.FACTORY, "th-01")


def handshake(address, version=None, own=None, mesh=None):
    """A TLS handshake by another library; the server's leaf and the version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if version:
        context.minimum_version = context.maximum_version = version
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as raw, context.wrap_socket(raw) as tls:
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True)), tls.version()


async def test_a_server_with_an_undecided_rpc_does_not_start():
    with pytest.raises(AccessTableIncomplete, match="/test.Echo/Both"):
        MeshServer(
            Port("127.0.0.1:0"),
            FakeMesh().credentials(SERVER),
            [echo.Echo().register],
            registry=CollectorRegistry(),
        )


async def test_a_port_lists_what_it_serves(bench):
    listed = await health_pb2_grpc.HealthStub(bench.channel()).List(health_pb2.HealthListRequest())

    serving = health_pb2.HealthCheckResponse.SERVING
    assert {name: each.status for name, each in listed.statuses.items()} == dict.fromkeys(
        ("", "test.Echo", "grpc.health.v1.Health"), serving
    )


async def test_a_renewed_certificate_is_shown_without_restart(bench):
    before, version = await asyncio.to_thread(handshake, bench.address)
    bench.credentials.replace(own=bench.mesh.cas["cloud.obis"].name(SERVER))
    after, _ = await asyncio.to_thread(handshake, bench.address)

    assert before.serial_number != after.serial_number
    assert after == x509.load_pem_x509_certificate(leaf_pem(bench.credentials.own))
    assert version == "TLSv1.3"


async def test_a_ca_that_is_no_longer_pinned_ends_calls_of_open_connections(bench):
    stub = bench.stub()
    await stub.one(say("hello"))
    bench.credentials.replace(authorities=FakeMesh("th-01").authorities)

    with pytest.raises(Refused), understood("echo"):
        await stub.one(say("hello"))


async def test_a_client_talks_only_to_the_name_it_expects(bench):
    for other in (Identity(Role.FACTORY, "th-02"), Identity(Role.CLOUD, "th-01")):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await bench.stub(server=other).one(say("hello"), timeout=3)

        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_station_cannot_pose_as_a_server_of_its_site(bench_with):
    """Its certificate is from the site's CA and still opens nothing: it has no server name and no server purpose."""
    bench = bench_with()
    bench.credentials.replace(own=bench.mesh.cas["th-01.site.obis"].name(Identity(Role.STATION, "7", "th-01")))
    async with bench:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await bench.stub(server=Identity(Role.FRONT, "7", "th-01")).one(say("hello"), timeout=3)

    assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_an_enrolment_port_takes_callers_without_certificate_to_marked_rows_only():
    mesh, table = FakeMesh(), {**echo.ACCESS, "/test.Echo/Up": frozenset({Role.ANONYMOUS})}
    server = MeshServer(
        Port("127.0.0.1:0", anonymous=True, grace_seconds=0),
        mesh.credentials(SERVER),
        [echo.Echo().register],
        access=table,
        registry=CollectorRegistry(),
    )
    from obis.mesh.channel import open_channel

    async with open_channel(f"127.0.0.1:{await server.start()}", SERVER, Credentials(mesh.authorities)) as channel:
        assert (await EchoStub(channel).up(iter([say("who")]))).payload == b"anonymous"
        with pytest.raises(Refused, match="anonymous may not"), understood("echo"):
            await EchoStub(channel).one(say("who"))
    await server.stop()


async def test_a_certificate_shown_to_an_enrolment_port_counts_for_nothing(bench_with):
    async with bench_with(anonymous=True) as bench:
        with pytest.raises(Refused, match="anonymous may not"), understood("echo"):
            await bench.stub().one(say("who"))


async def test_a_call_over_an_older_tls_is_refused(bench_with, monkeypatch):
    """gRPC's own client cannot be made to speak TLS 1.2, so the server is told that it did."""
    from obis.mesh import calls

    class Old:
        def auth_context(self):
            return {"ssl_tls_version": [b"TLSv1.2"]}

    async with bench_with() as bench:
        admit = calls._Method.admit
        monkeypatch.setattr(calls._Method, "admit", lambda self, context: admit(self, Old()))
        with pytest.raises(Refused, match="TLS 1.3"), understood("echo"):
            await bench.stub().one(say("who"))


async def test_health_says_serving_and_then_not(bench):
    stub = health_pb2_grpc.HealthStub(bench.channel())
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="test.Echo"))
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    assert (await stub.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING

    await bench.server.set_serving(serving=False, service="test.Echo")

    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_an_open_call_is_finished_before_the_server_ends(bench_with):
    async with bench_with(grace_seconds=5) as bench:
        stream = bench.stub().both()
        await stream.write(say("one"))
        await stream.read()
        stopping = asyncio.create_task(bench.server.stop())
        await asyncio.sleep(0.05)
        await stream.write(say("two"))
        await stream.done_writing()

        assert (await stream.read()).payload == b"two"
        await asyncio.wait_for(stopping, 3)


async def test_a_signal_ends_serving():
    waiting = asyncio.create_task(signalled())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)

    await asyncio.wait_for(waiting, 2)


async def test_a_taken_address_is_an_error(bench):
    second = MeshServer(
        Port(bench.address), bench.credentials, [echo.Echo().register], access=echo.ACCESS, registry=CollectorRegistry()
    )
    with pytest.raises(RuntimeError):
        await second.start()


async def test_reflection_is_for_this_machine_alone():
    with pytest.raises(ValueError, match="not a loopback"):
        await start_admin("0.0.0.0:0", [])

    server = await start_admin("127.0.0.1:0", ["obis.v1.Line"])
    await server.stop(0)
