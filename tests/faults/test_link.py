"""The link between factory and cloud loses nothing and repeats nothing, whatever is cut, swallowed, killed or forked.

The Factory Service is a real process; cloud and front are real servers; all of it is mutual TLS.
"""

import sqlite3
import time
from contextlib import closing
from hashlib import sha256

import grpc
import pytest
from sqlmodel import func, select

from cloud import deliveries
from cloud.store.evidence import ForkRow, LeafRow
from cloud.store.production import BatchRow, DeliveryRow
from cloud.store.sites import FactoryRow
from obis.mesh.channel import open_channel
from obis.mesh.identity import Identity, Role
from obis.v1.batches_pb2 import BatchState
from obis.v1.delivery_pb2 import Delivery, LogPage
from obis.v1.envelope_pb2 import Envelope
from obis.v1.factories_pb2 import EdgeHsmState
from obis.v1.factory_link_pb2 import FetchArtifactRequest
from obis.v1.factory_link_pb2_grpc import FactoryLinkStub
from obis.v1.line_pb2 import LineFetchArtifactRequest, RecordStatusRequest, WatchWorkRequest
from obis.v1.line_pb2_grpc import LineStub
from obis.v1.supervisor_pb2 import StatusRequest, WatchRecordsRequest
from obis.v1.supervisor_pb2_grpc import SupervisorStub
from tests.cloud.cloud_room import AUTH, FIRMWARE
from tests.fakes.log import FakeLog
from tests.faults.site_room import CLOUD, open_site, until


@pytest.fixture
async def site(tmp_path):
    log = FakeLog()
    log.start()
    async with open_site(tmp_path, log.make(*range(20))) as site:
        yield site


def leaves_in_cloud(site):
    with site.cloud.store.reading() as session:
        return session.exec(select(func.count()).select_from(LeafRow)).one()


def queue(site, *numbers):
    with site.cloud.store.writing() as session:
        for number in numbers:
            content = Delivery(revocation_list=Envelope(payload=b"list %d" % number, payload_type="test"))
            deliveries.enqueue(session, "edge-1", 1, content, now=1)


def results(site):
    with site.cloud.store.reading() as session:
        rows = session.exec(select(DeliveryRow).order_by("number"))
        return [(row.number, row.accepted, row.reason) for row in rows]


async def test_records_flow_up_and_cosignatures_down(site):
    site.start()
    await until(lambda: site.cosigned() == site.log.size == leaves_in_cloud(site))
    await until(lambda: site.front.cosigned == site.log.size)
    await until(lambda: site.front.beacons == 1)

    site.log.make(100)
    await until(lambda: site.front.cosigned == site.log.size, seconds=3)
    async with site.station() as channel:
        status = await LineStub(channel).RecordStatus(RecordStatusRequest(edgehsm_id="edge-1", log_indexes=[0, 900]))
    assert list(status.in_cloud) == [True, False]


async def test_the_line_goes_on_while_the_link_is_cut_and_drains_after(site):
    site.start()
    await until(lambda: site.cosigned() == site.log.size)
    site.link.cut()
    for number in range(100, 160):
        site.log.make(number)
    async with site.supervisor() as channel:
        await until_status(channel, lambda said: said.edgehsms[0].buffered_size == site.log.size)
        await until_status(channel, lambda said: not said.cloud_connected)
    assert leaves_in_cloud(site) < site.log.size

    site.link.restore()
    await until(lambda: site.front.cosigned == site.log.size)
    assert leaves_in_cloud(site) == site.log.size


async def until_status(channel, condition):
    deadline = time.monotonic() + 15
    while True:
        said = await SupervisorStub(channel).Status(StatusRequest(), timeout=5)
        if condition(said):
            return
        assert time.monotonic() < deadline, said


async def test_a_link_that_swallows_everything_is_noticed_within_five_seconds(site):
    site.start()
    await until(lambda: site.cosigned() == site.log.size)
    site.link.blackhole()
    began = time.monotonic()
    async with site.supervisor() as channel:
        await until_status(channel, lambda said: not said.cloud_connected)
    assert time.monotonic() - began < 6

    site.log.make(200)
    site.link.restore()
    await until(lambda: site.cosigned() == site.log.size)


async def test_a_service_killed_in_mid_drain_loses_and_repeats_nothing(site):
    site.front.page_limit = 2
    site.log.make(*range(300, 400))
    site.link.latency_seconds = 0.01
    for held in (20, 90):
        site.start()
        await until(lambda held=held: leaves_in_cloud(site) >= held)
        site.kill()
    site.start()
    await until(lambda: site.cosigned() == site.log.size)

    assert leaves_in_cloud(site) == site.log.size
    assert site.log.size == 1 + 2 * 120


async def test_deliveries_go_down_in_order_and_once_with_their_results(site):
    site.front.refuse = {2}
    queue(site, 1, 2)
    site.start()
    await until(lambda: len(site.front.delivered) == 2)
    site.link.cut()
    queue(site, 3, 4, 5)
    site.kill()
    site.start()
    site.link.restore()

    await until(lambda: all(accepted is not None for _, accepted, _ in results(site)) and len(results(site)) == 5)
    assert site.front.delivered == [1, 2, 3, 4, 5]
    assert results(site)[1] == (2, False, "WINDOW_CLOSED")


async def test_what_is_queued_for_an_edgehsm_that_came_after_the_stream_is_sent_at_once(site):
    """The stream begins before the EdgeHSM answers, as in a site that is just being set up."""
    await site.door.stop()
    site.start()
    await until(lambda: connected(site))
    site.door = await site.open_door()
    await until(lambda: site.cosigned() == site.log.size)
    began = time.monotonic()
    queue(site, 1)
    await until(lambda: results(site)[0][1] is not None)

    assert time.monotonic() - began < 2


def connected(site):
    with site.cloud.store.reading() as session:
        return session.exec(select(FactoryRow.connected)).one()


async def test_a_log_that_went_back_is_found_at_first_contact(site):
    snapshot = site.log.snapshot()
    site.log.make(500, 501)
    site.start()
    await until(lambda: site.cosigned() == site.log.size)
    witnessed = site.log.size
    snapshot.start(b"restored")
    site.front.log = snapshot

    site.kill()
    site.start()
    await until(lambda: site.cloud.edgehsm(snapshot).state == EdgeHsmState.EDGE_HSM_STATE_FROZEN)
    assert leaves_in_cloud(site) == witnessed


async def test_a_fork_that_grew_past_the_witness_is_frozen_and_both_branches_kept(site):
    snapshot = site.log.snapshot()
    site.log.make(500, 501)
    site.start()
    await until(lambda: site.cosigned() == site.log.size)
    witnessed, root = site.log.size, site.log.tree().root()
    snapshot.start(b"restored")
    site.front.log = snapshot.make(*range(600, 620))

    site.kill()
    site.start()
    await until(lambda: site.cloud.edgehsm(snapshot).state == EdgeHsmState.EDGE_HSM_STATE_FROZEN)
    assert leaves_in_cloud(site) == witnessed
    assert site.cloud.witness.last("edge-1", 1).root == root
    with site.cloud.store.reading() as session:
        assert session.exec(select(func.count()).select_from(ForkRow)).one() == 1
    async with site.supervisor() as channel:
        await until_status(channel, lambda said: "BROKEN_CHAIN" in said.edgehsms[0].last_refusal)


async def test_a_page_altered_in_the_buffer_is_refused_fetched_again_and_freezes_nothing(site):
    site.start()
    await until(lambda: site.cosigned() == site.log.size)
    site.link.cut()
    site.log.make(700)
    async with site.supervisor() as channel:
        await until_status(channel, lambda said: said.edgehsms[0].buffered_size == site.log.size)
    site.kill()
    alter_last_page(site.folder / "factory" / "buffer.db")
    site.link.restore()
    site.start()

    await until(lambda: site.cosigned() == site.log.size)
    assert site.cloud.edgehsm(site.log).state == EdgeHsmState.EDGE_HSM_STATE_ENROLLED
    assert leaves_in_cloud(site) == site.log.size


def alter_last_page(path):
    """As somebody at the site would who can write the file."""
    with closing(sqlite3.connect(path)) as database:
        query = "SELECT first_index, content FROM page ORDER BY first_index DESC LIMIT 1"
        first, content = database.execute(query).fetchone()
        page = LogPage.FromString(content)
        page.leaves[0] += b"!"
        content = page.SerializeToString()
        values = (content, sha256(content).digest(), first)
        database.execute("UPDATE page SET content = ?, digest = ? WHERE first_index = ?", values)
        database.commit()


async def test_another_factorys_firmware_is_not_given(site):
    credentials = site.mesh.credentials(Identity(Role.FACTORY, "vn-1"))
    async with open_channel(site.link.address, CLOUD, credentials) as channel:
        call = FactoryLinkStub(channel).FetchArtifact(FetchArtifactRequest(digest=sha256(FIRMWARE).digest()))
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call.read()
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND


async def test_firmware_is_fetched_by_digest_and_the_mes_reads_on_from_its_cursor(site):
    site.start()
    await until(lambda: site.cosigned() == site.log.size)
    async with site.station() as channel:
        call = LineStub(channel).FetchArtifact(LineFetchArtifactRequest(digest=sha256(FIRMWARE).digest(), offset=100))
        content = b"".join([part.chunk async for part in call])
        watch = LineStub(channel).WatchWork(WatchWorkRequest())
        order, heartbeat = await watch.read(), await watch.read()
    assert content == FIRMWARE[100:]
    assert (order.work_order.auth_id, order.ended) == (AUTH, False)
    assert not heartbeat.HasField("work_order")

    async with site.supervisor() as channel:
        call = SupervisorStub(channel).WatchRecords(WatchRecordsRequest(edgehsm_id="edge-1", from_index=38))
        seen = [await call.read() for _ in range(3)]
    assert [(each.index, each.leaf) for each in seen] == list(enumerate(site.log.leaves))[38:41]


async def test_a_batch_the_cloud_saw_admitted_is_active_again_after_its_first_device(site):
    site.start()
    await until(lambda: site.cosigned() == site.log.size)

    with site.cloud.store.reading() as session:
        batch = session.exec(select(BatchRow)).one()
    assert batch.state == BatchState.BATCH_STATE_ACTIVE
    assert (batch.issued, batch.passed) == (20, 20)
