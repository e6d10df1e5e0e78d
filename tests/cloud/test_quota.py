"""Quota holds: in the figures of a refusal, and under thirty-two callers at once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlmodel import col, func, select

from cloud.authority import create_batch
from cloud.store.catalogue import ProductRow
from cloud.store.governance import GrantRow, GrantShareRow
from cloud.store.production import BatchRow, DeliveryRow
from cloud.viewer import Viewer
from obis.refusal import Refused
from obis.v1.authorization_pb2 import Authorization
from obis.v1.envelope_pb2 import Envelope
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import Window
from tests.cloud.conftest import make_ready
from tests.cloud.refusals import refused

ODM = Viewer("oda", "odm-a", is_oem=False)


async def test_a_batch_over_the_quota_is_refused_with_the_figures(mesh, edge):
    ready = await make_ready(mesh, edge, quantity=50, share=40, name="Small")
    oda = mesh.callers["oda"]
    await oda.batches.CreateBatch(mesh.batch_request(ready.version.version_id, edge, "th-01", 30))

    with refused(Reason.REASON_QUOTA_EXCEEDED) as refusal:
        await oda.batches.CreateBatch(mesh.batch_request(ready.version.version_id, edge, "th-01", 11))

    assert "40 in all, 30 promised, 10 left" in refusal.what
    assert refusal.where == "quantity"


async def test_thirty_two_callers_at_once_never_pass_the_quota(mesh, edge):
    ready = await make_ready(mesh, edge, quantity=100, share=100, name="Crowd")
    cloud, start = mesh.cloud.service, threading.Barrier(32)

    def one_caller(number):
        start.wait()
        outcomes = []
        for _ in range(4):
            request = mesh.batch_request(ready.version.version_id, edge, "th-01", 3 + number % 3)
            try:
                with cloud.store.writing() as session:
                    create_batch(session, cloud.keys.online, ODM, request, now=int(time.time()))
                outcomes.append("made")
            except Refused as refusal:
                outcomes.append(refusal.reason)
        return outcomes

    with ThreadPoolExecutor(32) as pool:
        outcomes = [each for batch in pool.map(one_caller, range(32)) for each in batch]

    with cloud.store.reading() as session:
        made = session.exec(select(BatchRow).where(BatchRow.product_id == ready.product_id)).all()
        promised = sum(row.quantity for row in made)
        assert len(made) == outcomes.count("made")
        assert set(outcomes) == {"made", Reason.REASON_QUOTA_EXCEEDED}
        assert 96 <= promised <= 100
        assert session.get(ProductRow, ready.product_id).batched_quantity == promised
        assert session.get(GrantRow, ready.grant_digest).batched_quantity == promised
        share = session.get(GrantShareRow, (ready.grant_digest, edge.id, edge.epoch))
        assert share.batched_quantity == promised
        _require_gap_free(session, edge)


def _require_gap_free(session, edge):
    """Authorizations of the EdgeHSM are numbered 1 to n, and each batch has exactly one delivery."""
    rows = session.exec(select(BatchRow).where(BatchRow.edgehsm_id == edge.id).order_by(col(BatchRow.sequence))).all()
    said = [Authorization.FromString(Envelope.FromString(row.authorization).payload).sequence for row in rows]
    assert said == list(range(1, len(rows) + 1))
    assert len({row.serial_prefix for row in rows}) == len(rows)
    queued = session.exec(
        select(func.count()).where(DeliveryRow.edgehsm_id == edge.id, DeliveryRow.kind == "authorization")
    ).one()
    assert queued == len(rows)


async def test_a_batch_that_cannot_be_signed_takes_no_quantity(mesh, ready, monkeypatch):
    """Everything or nothing: the number, the quantity and the delivery go back together."""
    store = mesh.cloud.service.store

    def counts(session):
        share = session.get(GrantShareRow, (ready.grant_digest, ready.edge.id, ready.edge.epoch))
        deliveries = session.exec(select(func.count()).select_from(DeliveryRow)).one()
        return share.batched_quantity, deliveries, session.get(ProductRow, ready.product_id).batched_quantity

    before = await store.read(counts)
    monkeypatch.setattr("cloud.authority.seal_package", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError), store.writing() as session:
        request = mesh.batch_request(ready.version.version_id, ready.edge, "th-01", 5)
        create_batch(session, mesh.cloud.service.keys.online, ODM, request, now=int(time.time()))

    assert await store.read(counts) == before


@pytest.mark.parametrize(
    ("starts", "ends", "reason"),
    [
        (-7200, -3600, Reason.REASON_WINDOW_CLOSED),
        (-7200, 3600, Reason.REASON_WINDOW_NOT_OPEN),
        (0, 400 * 86400, Reason.REASON_WINDOW_CLOSED),
    ],
)
async def test_a_window_outside_the_grants_is_refused(mesh, ready, starts, ends, reason):
    now = int(time.time())
    window = Window(starts_at=now + starts, ends_at=now + ends)

    with refused(reason):
        await mesh.callers["oda"].batches.CreateBatch(
            mesh.batch_request(ready.version.version_id, ready.edge, "th-01", 1, window)
        )


async def test_a_batch_before_its_pai_is_not_yet(mesh, edge):
    product_id = await mesh.product(100, "Early")
    version = await mesh.version(product_id)
    await mesh.grant(version.version_id, [("th-01", edge.id, edge.epoch, 100)])

    with refused(Reason.REASON_PAI_NOT_READY):
        await mesh.callers["oda"].batches.CreateBatch(mesh.batch_request(version.version_id, edge, "th-01", 1))


async def test_a_repeated_request_id_with_other_content_is_refused(mesh, ready):
    request = mesh.batch_request(ready.version.version_id, ready.edge, "th-01", 1)
    oda = mesh.callers["oda"]
    await oda.batches.CreateBatch(request)
    request.quantity = 2

    with refused(Reason.REASON_ALREADY_EXISTS):
        await oda.batches.CreateBatch(request)
