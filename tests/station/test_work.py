"""Work orders over a real connection, from a Factory Service that breaks off, lies, or is gone."""

import asyncio
from contextlib import asynccontextmanager, suppress

import grpc
import pytest

from obis.refusal import Refused, word
from obis.v1 import line_pb2_grpc
from obis.v1.line_pb2 import LineFetchArtifactResponse, WatchWorkResponse
from station.store import Store
from station.work import Listener, Work
from tests.station.orders import AGENT, IMAGE, PINNED, Making

CHUNK = 50_000


class Courier(line_pb2_grpc.LineServicer):
    """Sends `orders`, then what is put into `later`; breaks a download off after `break_after` chunks, once."""

    def __init__(self, *orders, artifacts=(IMAGE, AGENT), break_after=0):
        from hashlib import sha256

        self.orders, self.later = orders, asyncio.Queue()
        self.blobs = {sha256(each).digest(): each for each in artifacts}
        self.break_after, self.offsets = break_after, []

    async def WatchWork(self, request, context):  # noqa: N802  # the contract's name
        for order in self.orders:
            yield WatchWorkResponse(work_order=order)
        while True:
            yield await self.later.get()

    async def FetchArtifact(self, request, context):  # noqa: N802  # the contract's name
        blob = self.blobs.get(request.digest)
        if blob is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such artifact")
        self.offsets.append(request.offset)
        for sent, at in enumerate(range(request.offset, len(blob), CHUNK)):
            if self.break_after and sent == self.break_after:
                self.break_after = 0
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the link is cut")
            yield LineFetchArtifactResponse(offset=at, chunk=blob[at : at + CHUNK], size=len(blob))


class Heard:
    def __init__(self):
        self.ready, self.refused, self.ended = [], [], []

    def listener(self):
        return Listener(
            ready=self.ready.append,
            refused=lambda auth_id, why: self.refused.append(word(why.reason)),
            ended=self.ended.append,
            link=lambda up: None,
        )


@asynccontextmanager
async def watching(folder, courier, heard):
    server = grpc.aio.server()
    line_pb2_grpc.add_LineServicer_to_server(courier, server)
    address = f"unix:{folder / 'line.sock'}"
    server.add_insecure_port(address)
    await server.start()
    async with grpc.aio.insecure_channel(address) as channel:
        work = Work(line_pb2_grpc.LineStub(channel), Store(folder), PINNED, heard.listener())
        running = asyncio.create_task(work.run())
        try:
            yield work
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await server.stop(0)


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)


async def test_an_order_is_ready_when_its_firmware_is_here(tmp_path):
    order, heard = Making().work_order(), Heard()
    async with watching(tmp_path, Courier(order), heard) as work:
        ready = await work.wait_for(order.auth_id, 5)

    assert (ready.materials.image, ready.materials.agent) == (IMAGE, AGENT)
    assert len(heard.ready) == 1


async def test_a_download_goes_on_where_it_broke_off(tmp_path):
    order, heard = Making().work_order(), Heard()
    courier = Courier(order, break_after=2)
    async with watching(tmp_path, courier, heard) as work:
        await work.wait_for(order.auth_id, 8)

    assert courier.offsets[:2] == [0, 2 * CHUNK]
    assert not heard.refused


async def test_another_image_under_the_granted_name_is_refused_and_not_kept(tmp_path):
    order, heard = Making().work_order(), Heard()
    courier = Courier(order)
    for digest in courier.blobs:
        courier.blobs[digest] = b"something else"
    async with watching(tmp_path, courier, heard):
        await until(lambda: heard.refused)

    assert heard.refused[0] == "DIGEST_MISMATCH"
    assert not list((tmp_path / "artifacts").iterdir())


async def test_a_bent_order_is_refused_and_not_kept(tmp_path):
    order, heard = Making().work_order(authorization=lambda each: setattr(each, "factory_id", "vn-1")), Heard()
    async with watching(tmp_path, Courier(order), heard):
        await until(lambda: heard.refused)

    assert heard.refused == ["WRONG_FACTORY"]
    assert not list((tmp_path / "orders").iterdir())


async def test_without_a_factory_service_known_orders_go_on(tmp_path):
    order, heard = Making().work_order(), Heard()
    async with watching(tmp_path, Courier(order), heard) as work:
        await work.wait_for(order.auth_id, 5)
    gone = Courier(artifacts=())
    async with watching(tmp_path, gone, heard) as work:
        ready = await work.wait_for(order.auth_id, 5)

    assert ready.materials.image == IMAGE
    assert not gone.offsets


async def test_an_ended_order_is_dropped(tmp_path):
    order, heard = Making().work_order(), Heard()
    courier = Courier(order)
    async with watching(tmp_path, courier, heard) as work:
        ready = await work.wait_for(order.auth_id, 5)
        courier.later.put_nowait(WatchWorkResponse(work_order=order, ended=True))
        await until(lambda: heard.ended)

    assert ready.ended
    assert not list((tmp_path / "orders").iterdir())


async def test_an_order_that_began_and_ended_unseen_is_known_as_ended(tmp_path):
    order, heard = Making().work_order(), Heard()
    courier = Courier()
    courier.later.put_nowait(WatchWorkResponse(work_order=order, ended=True))
    async with watching(tmp_path, courier, heard) as work:
        ready = await work.wait_for(order.auth_id, 5)
        await until(lambda: heard.ended)

    assert ready.ended
    assert (len(heard.ready), len(heard.ended)) == (1, 1)
    assert not list((tmp_path / "orders").iterdir())


async def test_an_order_that_never_comes_is_missed_by_name(tmp_path):
    async with watching(tmp_path, Courier(), Heard()) as work:
        with pytest.raises(Refused, match="DEPENDENCY_MISSING"):
            await work.wait_for(b"x" * 16, 0.05)
