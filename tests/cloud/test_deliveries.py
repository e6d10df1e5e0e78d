"""The queue: numbered without a gap, answered once, and moved on in the same transaction."""

import pytest
from sqlmodel import select

from cloud import deliveries
from cloud.store.production import DeliveryRow, PaiRow
from cloud.store.sites import EdgeHsmRow
from obis.refusal import Refused
from obis.v1.delivery_pb2 import Delivery, DeliveryResult, PaiDelivery
from obis.v1.grant_pb2 import Grant
from tests.cloud.small_mesh import Key


@pytest.fixture(scope="module")
async def own_edge(mesh):
    """An EdgeHSM nothing else is queued for."""
    return await mesh.enrol_edge("th-01", "edge-queue")


def content(number):
    return Delivery(pai=PaiDelivery(product_id=bytes([number]) * 16, pai_cert_der=b"c"))


async def test_numbers_rise_by_one_and_a_stream_goes_on_after_its_last(mesh, own_edge):
    store = mesh.cloud.service.store
    for number in (1, 2, 3):
        queued = await store.write(
            lambda session, number=number: deliveries.enqueue(session, "edge-queue", 1, content(number), now=5)
        )
        assert queued == number

    rest = await store.read(lambda session: deliveries.after(session, "edge-queue", 1, 1))
    one = await store.read(lambda session: deliveries.after(session, "edge-queue", 1, 0, limit=1))

    assert [each.number for each in rest] == [2, 3]
    assert [each.number for each in one] == [1]
    assert (rest[0].edgehsm_id, rest[0].epoch, rest[0].pai.product_id) == ("edge-queue", 1, b"\2" * 16)


async def test_a_queueing_that_is_rolled_back_leaves_no_gap_and_wakes_nobody(mesh, own_edge):
    store = mesh.cloud.service.store
    with store.notifier.listening(deliveries.topic("edge-queue")) as listener:
        with pytest.raises(ZeroDivisionError):
            await store.write(lambda session: [deliveries.enqueue(session, "edge-queue", 1, content(9), now=5), 1 // 0])
        assert not await listener.wait(0.05)

        number = await store.write(lambda session: deliveries.enqueue(session, "edge-queue", 1, content(4), now=5))
        assert await listener.wait(2)
    with store.reading() as session:
        assert number == session.get(EdgeHsmRow, ("edge-queue", 1)).delivery_number
        held = session.exec(select(DeliveryRow.number).where(DeliveryRow.edgehsm_id == "edge-queue")).all()
        assert sorted(held) == list(range(1, number + 1))


async def test_an_epoch_the_cloud_does_not_know_gets_nothing(mesh, own_edge):
    with pytest.raises(Refused, match="NOT_ENROLLED"):
        await mesh.cloud.service.store.write(
            lambda session: deliveries.enqueue(session, "edge-queue", 7, content(1), now=5)
        )


async def test_a_result_for_what_was_never_queued_is_refused(mesh, own_edge):
    result = DeliveryResult(number=999, edgehsm_id="edge-queue", epoch=1, accepted=True)

    with pytest.raises(Refused, match="NOT_FOUND"):
        await mesh.cloud.service.store.write(lambda session: deliveries.record_result(session, result, now=5))


async def test_a_courier_cannot_put_its_own_key_in_a_pai_request(mesh, ready):
    """Forged by whoever carries results: signed by another key, or for another EdgeHSM than it came from."""
    order = await mesh.queued(ready.edge, "grant")
    result = DeliveryResult(number=order.number, edgehsm_id="edge-th", epoch=1, accepted=True)
    forged = ready.edge.pai_request(b"z" * 16, ready.grant_digest, signer=Key())
    foreign = ready.edge.pai_request(b"z" * 16, ready.grant_digest, edgehsm_id="edge-zz")

    for request, reason in ((forged, "KEY_UNKNOWN"), (foreign, "WRONG_EDGEHSM")):
        result.pai_request.CopyFrom(request)
        with pytest.raises(Refused, match=reason):
            await mesh.cloud.service.store.write(lambda session: deliveries.record_result(session, result, now=5))

    with mesh.cloud.service.store.reading() as session:
        assert session.get(PaiRow, ("edge-th", 1, b"z" * 16)) is None


async def test_a_certified_pai_is_never_replaced(mesh, ready):
    order = await mesh.queued(ready.edge, "grant", lambda each: _names(each, ready.product_id))
    result = DeliveryResult(number=order.number, edgehsm_id="edge-th", epoch=1, accepted=True)
    result.pai_request.CopyFrom(ready.edge.pai_request(ready.product_id, ready.grant_digest, pai_key=Key()))
    store = mesh.cloud.service.store
    with store.reading() as session:
        before = session.get(PaiRow, ("edge-th", 1, ready.product_id)).cert_der

    await store.write(lambda session: deliveries.record_result(session, result, now=5))

    with store.reading() as session:
        row = session.get(PaiRow, ("edge-th", 1, ready.product_id))
        assert (row.cert_der, bool(before)) == (before, True)


def _names(delivery, product_id):
    return Grant.FromString(delivery.grant.grant.payload).product_id == product_id
