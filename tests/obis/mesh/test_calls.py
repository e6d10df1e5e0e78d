"""Around every call, of all four kinds: who calls, may it, is it whole, in time, and what comes back when it is not."""

import asyncio

import grpc
import pytest
from structlog.testing import capture_logs

from obis.mesh.identity import Identity, Role
from obis.mesh.status import understood
from obis.refusal import Refused
from obis.v1 import reason_pb2
from obis.v1.envelope_pb2 import Envelope
from tests.fakes.echo import SERVICE, EchoStub, say

STATION = Identity(Role.STATION, "7", "th-01")
KINDS = ("one", "down", "up", "both")


async def call(stub, kind, request):
    """One request by any kind of call; the first answer."""
    with understood("echo"):
        if kind == "one":
            return await stub.one(request)
        if kind == "up":
            return await stub.up(iter([request]))
        stream = stub.down(request) if kind == "down" else stub.both(iter([request]))
        return await stream.read()


@pytest.mark.parametrize("kind", KINDS)
async def test_the_servicer_learns_who_calls_from_the_certificate(bench, kind):
    answer = await call(bench.stub(), kind, say("who"))

    assert answer.payload.decode() == STATION.uri


@pytest.mark.parametrize("kind", KINDS)
async def test_a_role_without_row_is_refused(bench, kind):
    with pytest.raises(Refused) as refusal:
        await call(bench.stub(Identity(Role.PERSON, "ana")), kind, say("hello"))

    assert refusal.value.reason == reason_pb2.REASON_ROLE_NOT_ALLOWED
    assert refusal.value.where.startswith(f"/{SERVICE}/")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_message_that_breaks_a_rule_is_malformed_and_names_the_field(bench, kind):
    with pytest.raises(Refused) as refusal:
        await call(bench.stub(), kind, Envelope(payload_type="test", payload=b"x", signatures=[{"sig": b"x"}]))

    assert "signatures[0].key_id" in [each.field for each in refusal.value.violations]


async def test_a_message_that_breaks_every_rule_it_has_is_still_told_so(bench):
    """What is told of them stays within the metadata a call may carry."""
    everything = Envelope(payload_type="test", payload=b"x", signatures=[{"sig": b"x"}] * 256)

    with pytest.raises(Refused, match="MALFORMED") as refusal, understood("echo"):
        await bench.stub().one(everything)

    assert 0 < len(refusal.value.violations) < 256


async def test_rubbish_is_malformed(bench):
    with pytest.raises(Refused, match="not a message"), understood("echo"):
        await bench.stub().raw(b"\xff\xff\xff")


async def test_the_second_message_of_a_stream_is_checked_too(bench):
    stream = bench.stub().both(iter([say("fine"), Envelope()]))
    assert (await stream.read()).payload == b"fine"

    with pytest.raises(Refused), understood("echo"):
        await stream.read()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refusal_arrives_with_its_reason_and_next_step(bench, kind):
    with pytest.raises(Refused) as refusal:
        await call(bench.stub(), kind, say("refuse"))

    assert refusal.value.word == "QUANTITY_SPENT"
    assert (refusal.value.what, refusal.value.where, refusal.value.next_step) == ("none left", "auth 7", "ask the OEM")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_fault_of_ours_tells_the_caller_nothing_and_the_log_all(bench, kind):
    with capture_logs() as lines, pytest.raises(Refused) as refusal:
        await call(bench.stub(), kind, say("fault"))

    assert "secret-in-a-fault" not in str(refusal.value)
    (line,) = [line for line in lines if line["event"] == "call failed"]
    assert "ZeroDivisionError" in line["trace"]
    assert "_do" in line["trace"]


async def test_an_error_of_a_room_behind_goes_on_to_the_caller(bench, bench_with):
    """The station sees EdgeHSM's own reason, through however many rooms."""
    async with bench_with() as front:
        behind = bench.stub()
        front.echo.one = None
        front.echo._do = behind.one
        with pytest.raises(Refused) as refusal, understood("front"):
            await front.stub().up(iter([say("full")]))

    assert refusal.value.word == "STORAGE_FULL"


async def test_the_servers_own_limit_ends_a_unary_call(bench_with):
    async with bench_with(unary_seconds=0.1) as bench:
        with pytest.raises(Refused, match="server's own"), understood("echo"):
            await bench.stub().one(say("wait"))

        await asyncio.wait_for(bench.echo.cancelled.wait(), 2)


async def test_the_callers_deadline_ends_the_work(bench):
    with pytest.raises(Refused), understood("echo"):
        await bench.stub().one(say("wait"), timeout=0.1)

    await asyncio.wait_for(bench.echo.cancelled.wait(), 2)


async def test_a_caller_that_leaves_a_stream_ends_the_work(bench):
    stream = bench.stub().down(say("then wait"))
    for _ in range(3):
        await stream.read()
    stream.cancel()

    await asyncio.wait_for(bench.echo.cancelled.wait(), 2)


async def test_a_message_over_the_limit_is_refused(bench_with):
    async with bench_with(message_bytes=1000) as bench:
        with pytest.raises(Refused, match="TOO_LARGE"), understood("echo"):
            await bench.stub().one(say("x" * 2000))


async def test_calls_are_counted_by_reason(bench):
    stub = bench.stub()
    await call(stub, "one", say("hello"))
    for _ in range(2):
        with pytest.raises(Refused):
            await call(stub, "one", say("refuse"))

    method = f"/{SERVICE}/One"
    assert bench.count(method=method, role="station", code="OK", reason="") == 1
    assert bench.count(method=method, role="station", code="PERMISSION_DENIED", reason="QUANTITY_SPENT") == 2
    assert bench.registry.get_sample_value("obis_rpc_open", {"method": method}) == 0


async def test_the_log_names_who_and_what_but_never_the_content(bench):
    with capture_logs() as lines:
        await call(bench.stub(), "one", say("the-content"))
        with pytest.raises(Refused):
            await call(bench.stub(), "one", say("refuse"))

    assert [line["reason"] for line in lines if line["event"] == "call refused"] == ["QUANTITY_SPENT"]
    assert all(line["caller"] == STATION.uri for line in lines if line["event"].startswith("call"))
    assert "the-content" not in str(lines)


async def test_an_unknown_method_is_unimplemented(bench):
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await bench.channel().unary_unary(f"/{SERVICE}/Nothing")(b"")

    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_nobody_without_certificate_gets_to_a_port_that_asks_for_one(bench):
    from obis.mesh.credentials import Credentials

    stub = EchoStub(bench.channel(credentials=Credentials(bench.mesh.authorities)))
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await stub.one(say("who"), timeout=2)

    assert refusal.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


async def test_a_name_from_the_wrong_ca_passes_tls_and_is_stopped_behind_it(bench):
    """The server believes two CAs; the site's tries to name a person. The constraint in its certificate stops TLS
    already; a CA without constraint gets as far as our own check."""
    from obis.mesh.authorities import Authorities
    from obis.mesh.credentials import Credentials
    from tests.fakes.pki import FakeCa

    lax = FakeCa("th-02.site.obis")
    bench.credentials.replace(authorities=Authorities({**_pinned(bench), "th-01.site.obis": [lax.certificate]}))
    caller = Credentials(bench.mesh.authorities, lax.name(Identity(Role.STATION, "7", "th-02")))
    with pytest.raises(Refused, match="no CA pinned"), understood("echo"):
        await EchoStub(bench.channel(credentials=caller)).one(say("who"))


def _pinned(bench):
    return {host: [ca.certificate] for host, ca in bench.mesh.cas.items() if host == "cloud.obis"}
