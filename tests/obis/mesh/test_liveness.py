"""A link that silently swallows everything is noticed within five seconds: by a waiting call, a stream, and the server."""

import asyncio
import time

import pytest

from loadtest.faults import FaultyLink
from obis.mesh.backoff import Backoff
from obis.mesh.status import understood
from obis.refusal import Refused
from tests.fakes.echo import say

NOTICED_WITHIN = 5  # seconds


@pytest.fixture
async def link(bench):
    async with FaultyLink(bench.address) as running:
        yield running


async def test_a_waiting_unary_call_notices(bench, link):
    stub = bench.stub(address=link.address)
    await stub.one(say("hello"))
    waiting = asyncio.ensure_future(stub.one(say("wait")))
    await asyncio.sleep(0.1)

    assert await _seconds_until_unreachable(link, waiting) < NOTICED_WITHIN


async def test_a_silent_stream_notices_and_so_does_the_server(bench, link):
    stream = bench.stub(address=link.address).down(say("then wait"))
    for _ in range(3):
        await stream.read()

    assert await _seconds_until_unreachable(link, asyncio.create_task(stream.read())) < NOTICED_WITHIN
    await asyncio.wait_for(bench.echo.cancelled.wait(), NOTICED_WITHIN)


async def test_a_call_on_a_dead_idle_connection_notices(bench, link):
    stub = bench.stub(address=link.address)
    await stub.one(say("hello"))
    link.blackhole()

    assert await _seconds_until_unreachable(link, asyncio.ensure_future(stub.one(say("hello")))) < NOTICED_WITHIN


async def test_a_healthy_but_silent_link_stays(bench, link):
    """Pings every two seconds do not make the server hang up."""
    stream = bench.stub(address=link.address).both()
    await stream.write(say("one"))
    await stream.read()
    await asyncio.sleep(6)
    await stream.write(say("two"))

    assert (await stream.read()).payload == b"two"


async def test_a_cut_link_is_noticed_at_once_and_calls_work_again_after_it(bench, link):
    stub = bench.stub(address=link.address)
    await stub.one(say("hello"))
    waiting = asyncio.ensure_future(stub.one(say("wait")))
    await asyncio.sleep(0.1)
    began = time.monotonic()
    link.cut()
    with pytest.raises(Refused), understood("link"):
        await waiting
    assert time.monotonic() - began < 1

    link.restore()

    async for attempt in Backoff(first_seconds=0.1, longest_seconds=1, give_up_after_seconds=10).retrying():
        with attempt:
            assert (await stub.one(say("again"))).payload == b"again"


async def test_latency_delays_and_breaks_nothing(bench, link):
    stub = bench.stub(address=link.address)
    await stub.one(say("hello"))
    link.latency_seconds = 0.2
    began = time.monotonic()
    await stub.one(say("hello"))

    assert 0.3 < time.monotonic() - began < 3


async def _seconds_until_unreachable(link, waiting):
    began = time.monotonic()
    link.blackhole()
    with pytest.raises(Refused), understood("link"):
        await asyncio.wait_for(waiting, 20)
    return time.monotonic() - began
