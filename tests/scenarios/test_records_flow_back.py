"""Every device that is made has exactly one record in the cloud, whatever happens to the link and to any process on the way;
and what the cloud says can be checked by anybody who knows nothing but the fingerprint of the trust root.

Real boundary, front and Factory Service processes under a real cloud and vault; devices by the public RPCs.
"""

import asyncio
import time

import grpc
import pytest

from loadtest.faults import FaultyLink
from obis.trust.verify import verify_export
from obis.v1.line_pb2 import RecordStatusRequest, WatchWorkRequest
from obis.v1.line_pb2_grpc import LineStub
from obis.v1.trace_pb2 import (
    ExportRequest,
    FindRequest,
    RecordState,
    StreamRecordsRequest,
    SummarizeRequest,
)
from obis.v1.trace_pb2_grpc import TraceStub
from tests.scenarios.real_site import EDGE, FACTORY, MeshWithSupervisor, RealSite, device


@pytest.fixture
async def site(tmp_path):
    mesh = MeshWithSupervisor(tmp_path)
    await mesh.begin()
    await mesh.login("ann")
    await mesh.join("odm-a", "oda", [FACTORY])
    (tmp_path / "site").mkdir()
    site = RealSite(mesh, tmp_path / "site")
    try:
        async with FaultyLink(f"127.0.0.1:{mesh.cloud.mesh.port}") as wire:
            await site.begin(wire)
            yield site
    finally:
        site.close()
        await mesh.end()


async def recorded(trace, count, seconds=30):
    """Once the cloud has this many records that passed: the summary."""
    deadline = time.monotonic() + seconds
    while True:
        summary = await trace.Summarize(SummarizeRequest())
        if sum(each.passed for each in summary.counts) >= count:
            return summary
        assert time.monotonic() < deadline, summary
        await asyncio.sleep(0.1)


async def exported(trace):
    files = {}
    async for part in trace.Export(ExportRequest()):
        files[part.path] = files.get(part.path, b"") + part.chunk
    return files


async def test_records_flow_back_through_cuts_and_kills_and_prove_themselves(site):
    batch = await site.batch(200)
    trace = TraceStub(site.mesh.callers["ann"].channel)
    await site.site_ca_known()
    station = await site.station()
    async with station.line() as line:
        watch = LineStub(line).WatchWork(WatchWorkRequest())
        while not (order := (await watch.read()).work_order).auth_id:
            pass
    assert order.auth_id == batch.auth_id

    await station.make(batch.auth_id, *range(1, 11))
    await recorded(trace, 10)

    site.wire.cut()
    await station.make(batch.auth_id, *range(11, 31))
    site.processes.kill("service")
    site.start_service()
    await station.make(batch.auth_id, *range(31, 41))
    assert sum(each.issued for each in (await trace.Summarize(SummarizeRequest())).counts) == 10
    site.wire.restore()
    await recorded(trace, 40)

    site.wire.blackhole()
    await station.make(batch.auth_id, *range(41, 51))
    site.processes.kill("boundary")
    site.start_boundary()
    site.wire.restore()
    await recorded(trace, 50)
    await made_again(station, batch, range(51, 61))

    summary = await recorded(trace, 60)
    (cell,) = summary.counts
    assert (cell.authorized, cell.issued, cell.passed, cell.unfinished) == (200, 60, 60, 0)
    assert summary.records == 60
    await check_what_the_odm_sees(site, batch)
    await check_the_cosignature_came_back(station, summary)
    await check_the_proof(site, trace)


async def made_again(station, batch, numbers):
    """The front finds its boundary again by itself; a station asks until it has."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return await station.make(batch.auth_id, *numbers)
        except (grpc.aio.AioRpcError, AssertionError):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)


async def check_what_the_odm_sees(site, batch):
    trace = TraceStub(site.mesh.callers["oda"].channel)
    by_device = await trace.Find(FindRequest(device=device(17)))
    (record,) = by_device.records
    assert record.state == RecordState.RECORD_STATE_PASSED
    assert (record.factory_id, record.edgehsm_id, record.batch_id) == (FACTORY, EDGE, batch.batch_id)
    assert len(by_device.leaves) == len(record.leaf_indexes) == 3
    by_serial = await trace.Find(FindRequest(dac_serial=record.dac_serial))
    assert by_serial.records == by_device.records
    by_batch = await trace.Find(FindRequest(auth_id=batch.auth_id, limit=1000))
    assert by_batch.total == len(by_batch.records) == 60
    assert (await site.batch_now(batch)).passed == 60

    call = trace.StreamRecords(StreamRecordsRequest(batch_id=batch.batch_id))
    streamed = [await call.read() for _ in range(60)]
    assert len({each.record.device.uid for each in streamed}) == 60
    assert [each.cursor for each in streamed] == sorted(each.cursor for each in streamed)


async def check_the_cosignature_came_back(station, summary):
    async with station.line() as line:
        request = RecordStatusRequest(edgehsm_id=EDGE, log_indexes=[0, summary.leaves - 1])
        status = await LineStub(line).RecordStatus(request)
    assert list(status.in_cloud) == [True, True]


async def check_the_proof(site, trace):
    files = await exported(trace)
    verdict = verify_export(files, site.mesh.fingerprint)
    assert verdict.total("issued") == 60, verdict

    leaves = f"logs/{EDGE}-1.leaves"
    altered = bytearray(files[leaves])
    altered[len(altered) // 2] ^= 1
    with pytest.raises(Exception, match="DIGEST_MISMATCH"):
        verify_export(files | {leaves: bytes(altered)}, site.mesh.fingerprint)
