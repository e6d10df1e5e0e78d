"""M4: EdgeHSM checks every authorization itself; whatever carries it can neither open nor widen it.

A hostile Factory Service: the genuine one stands still, and somebody with its identity takes what the cloud sends and hands it
on altered, bit by bit and field by field: authorization, sealed package, grant, rule, beacon, log page. Each is refused
by the room that it is meant for. Then the same objects untouched are taken, so that nothing else was the reason.
"""

import os

import grpc

from loadtest.demo import goods as g
from loadtest.demo.courier import EPOCH, deliver
from loadtest.demo.people import sitting
from obis.cli.connection import CLOUD, credentials
from obis.mesh.channel import open_channel
from obis.v1.authorization_pb2 import Authorization
from obis.v1.custody_pb2 import FollowLogRequest
from obis.v1.custody_pb2_grpc import CustodyStub
from obis.v1.delivery_pb2 import Delivery, LogPage
from obis.v1.factory_link_pb2 import EdgeHsmCursor, FactoryHello, SyncRequest
from obis.v1.factory_link_pb2_grpc import FactoryLinkStub
from obis.v1.grant_pb2 import Grant
from tests.scenarios.devices import Device, reason
from tests.scenarios.mesh import HOME, PATIENCE, eventually

SOC = "generic-thread"


async def carried(mesh, wanted):
    """What the cloud sends this site, asked for by its courier; the first that is wanted. The genuine service stands
    still meanwhile: one stream of a factory ends the other."""
    with mesh.frozen(f"{HOME}-service"):
        return await _carried(mesh, wanted)


async def _carried(mesh, wanted):
    courier = mesh.couriers[HOME]
    cursor = EdgeHsmCursor(edgehsm_id=courier.factory.edgehsm, epoch=EPOCH)
    async with open_channel(mesh.facts.cloud, CLOUD, credentials(mesh.facts, courier.own)) as channel:
        call = FactoryLinkStub(channel).Sync(timeout=PATIENCE)
        await call.write(SyncRequest(hello=FactoryHello(edgehsms=[cursor])))
        while (answer := await call.read()) is not grpc.aio.EOF:
            if wanted(answer):
                call.cancel()
                return answer
    raise AssertionError("the cloud sent no such thing")


async def handed(mesh, delivery):
    async with mesh.couriers[HOME].at_the_front(mesh.address(f"{HOME}-front")) as channel:
        return await deliver(channel, delivery)


def flipped(octets: bytes, at: int) -> bytes:
    return octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]


def altered(delivery: Delivery, change) -> Delivery:
    copy = Delivery.FromString(delivery.SerializeToString())
    change(copy)
    return copy


def widen(envelope, message, field):
    said = message.FromString(envelope.payload)
    setattr(said, field, getattr(said, field) * 10)
    envelope.payload = said.SerializeToString(deterministic=True)


def _signature(delivery):
    sig = delivery.authorization.authorization.signatures[0]
    sig.sig = flipped(sig.sig, len(sig.sig) - 1)


def _unsigned(delivery):
    del delivery.authorization.authorization.signatures[:]


def _as_another_type(delivery):
    delivery.authorization.authorization.payload_type = "application/vnd.obis.grant.v1+protobuf"


def _sealed(at):
    def change(delivery):
        package = delivery.authorization.package
        package.sealed = flipped(package.sealed, at)

    return change


AUTHORIZATION_TAMPERED = {
    "ten times the quantity": (
        "SIGNATURE_INVALID",
        lambda d: widen(d.authorization.authorization, Authorization, "quantity"),
    ),
    "a bit of the signature": ("SIGNATURE_INVALID", _signature),
    "no signature": ("THRESHOLD_NOT_MET", _unsigned),
    "called a grant": ("PAYLOAD_TYPE_UNEXPECTED", _as_another_type),
    "another EdgeHSM on the wrapper": ("WRONG_EDGEHSM", lambda d: setattr(d, "edgehsm_id", "th-02-a")),
    "another epoch on the wrapper": ("WRONG_EPOCH", lambda d: setattr(d, "epoch", 2)),
    "a bit of the package's key": ("SEAL_INVALID", _sealed(1)),
    "a bit of the package's middle": ("SEAL_INVALID", _sealed(200)),
    "a bit of the package's tag": ("SEAL_INVALID", _sealed(-1)),
    "the package cut short": (
        "SEAL_INVALID",
        lambda d: setattr(d.authorization.package, "sealed", d.authorization.package.sealed[:-40]),
    ),
    "the package under another id": (
        "SEAL_INVALID",
        lambda d: setattr(d.authorization.package, "auth_id", os.urandom(16)),
    ),
    "the package for another EdgeHSM": (
        "SEAL_INVALID",
        lambda d: setattr(d.authorization.package, "edgehsm_id", "th-02-a"),
    ),
}


async def test_a_tampered_authorization_or_package_is_refused_and_the_untouched_one_is_admitted(mesh):
    with mesh.frozen(f"{HOME}-service"):
        batch = await g.create_batch(mesh.stage, mesh.crew, mesh.bulb, 1)
        delivery = await mesh.couriers[HOME].packages(batch.auth_id)
        came = {}
        for what, (_, change) in AUTHORIZATION_TAMPERED.items():
            came[what] = (await handed(mesh, altered(delivery, change))).reason
        unknown = reason(await mesh.step(HOME, Device(SOC).issue(batch.auth_id)))
        genuine = await handed(mesh, delivery)

    assert came == {what: word for what, (word, _) in AUTHORIZATION_TAMPERED.items()}
    assert unknown == "AUTHORIZATION_UNKNOWN"
    assert (genuine.accepted, genuine.reason) == (True, "")
    assert reason(await mesh.step(HOME, Device(SOC).issue(batch.auth_id))) == ""
    assert reason(await mesh.step(HOME, Device(SOC).issue(batch.auth_id))) == "QUANTITY_SPENT"


async def test_a_package_of_another_batch_is_refused(mesh):
    other = await mesh.batch(mesh.bulb, 1)
    foreign = await mesh.couriers[HOME].packages(other.auth_id)
    with mesh.frozen(f"{HOME}-service"):
        batch = await g.create_batch(mesh.stage, mesh.crew, mesh.bulb, 1)
        delivery = await mesh.couriers[HOME].packages(batch.auth_id)
        swapped = altered(delivery, lambda d: d.authorization.package.CopyFrom(foreign.authorization.package))
        result = await handed(mesh, swapped)
        assert (await handed(mesh, delivery)).accepted

    assert (result.accepted, result.reason) == (False, "SEAL_INVALID")


def _one_signature_less(delivery):
    delivery.grant.grant.signatures.pop()


def _one_signature_twice(delivery):
    signatures = delivery.grant.grant.signatures
    signatures[1].CopyFrom(signatures[0])


def _rule_altered(delivery):
    delivery.grant.rule.payload = flipped(delivery.grant.rule.payload, 5)


def _manifest_altered(delivery):
    delivery.grant.version_manifest = flipped(delivery.grant.version_manifest, 20)


GRANT_TAMPERED = {
    "ten times the total": (
        {"SIGNATURE_INVALID"},
        lambda d: widen(d.grant.grant, Grant, "total_quantity"),
    ),
    "one signature less": ({"THRESHOLD_NOT_MET"}, _one_signature_less),
    "one signature twice": ({"MALFORMED", "THRESHOLD_NOT_MET"}, _one_signature_twice),
    "another rule": ({"SIGNATURE_INVALID"}, _rule_altered),
    "another manifest": ({"DIGEST_MISMATCH", "WRONG_PRODUCT_VERSION"}, _manifest_altered),
    "no longer a grant": ({"PAYLOAD_TYPE_UNEXPECTED"}, lambda d: setattr(d.grant.grant, "payload_type", "x/y")),
}


async def test_a_tampered_grant_is_refused_and_the_untouched_one_is_admitted(mesh):
    """A second Grant for the product, on its way for the first time."""
    held = (await carried(mesh, lambda each: each.delivery.HasField("grant"))).delivery
    with mesh.frozen(f"{HOME}-service"):
        await mesh.crew.oem.grants.ProposeGrant(g._grant(mesh.stage, mesh.bulb), timeout=PATIENCE)
        await sitting(mesh.stage, "a second grant")
        fresh = (await _carried(mesh, lambda each: _is_another_grant(each.delivery, held))).delivery
        came = {what: (await handed(mesh, altered(fresh, change))) for what, (_, change) in GRANT_TAMPERED.items()}
        genuine = await handed(mesh, fresh)

    assert not [what for what, result in came.items() if result.accepted]
    assert not [(what, each.reason) for what, each in came.items() if each.reason not in GRANT_TAMPERED[what][0]]
    assert (genuine.accepted, genuine.reason) == (True, "")


def _is_another_grant(delivery, held) -> bool:
    grant, known = delivery.grant.grant.payload, held.grant.grant.payload
    return bool(grant) and Grant.FromString(grant).product_id == Grant.FromString(known).product_id and grant != known


async def test_a_beacon_with_another_time_is_refused(mesh):
    answer = await carried(mesh, lambda each: bool(each.heartbeat.beacon.payload))
    place = {"number": 1, "edgehsm_id": mesh.couriers[HOME].factory.edgehsm, "epoch": EPOCH}
    delivery = Delivery(**place, beacon=answer.heartbeat.beacon)
    forged = altered(delivery, lambda d: setattr(d.beacon, "payload", flipped(d.beacon.payload, 4)))

    result = await handed(mesh, forged)

    assert (result.accepted, result.reason) == (False, "SIGNATURE_INVALID")
    assert (await handed(mesh, delivery)).reason != "SIGNATURE_INVALID"


def _leaf_altered(page):
    page.leaves[-1] = flipped(page.leaves[-1], len(page.leaves[-1]) - 3)


def _leaf_dropped(page):
    page.leaves.pop(0)


def _leaves_swapped(page):
    first, second = page.leaves[:2]
    page.leaves[0], page.leaves[1] = second, first


def _checkpoint_altered(page):
    page.checkpoint = flipped(page.checkpoint, len(page.checkpoint) - 5)


PAGE_TAMPERED = {
    _leaf_altered: {"DIGEST_MISMATCH", "BROKEN_CHAIN"},
    _leaf_dropped: {"DIGEST_MISMATCH", "MALFORMED", "BROKEN_CHAIN"},
    _leaves_swapped: {"DIGEST_MISMATCH", "MALFORMED", "BROKEN_CHAIN"},
    _checkpoint_altered: {"SIGNATURE_INVALID", "MALFORMED"},
}


async def test_a_tampered_log_page_is_refused_by_the_cloud_and_the_log_goes_on(mesh):
    """Way up: records cannot be altered either. The log is not frozen, for EdgeHSM did nothing wrong."""
    batch = await mesh.batch(mesh.bulb, 3)
    await eventually(lambda: _all_in_cloud(mesh), "the cloud has the whole log")
    with mesh.frozen(f"{HOME}-service"):
        for _ in range(3):
            assert reason(await mesh.step(HOME, Device(SOC).issue(batch.auth_id))) == ""
        answers = [await _sent_up(mesh, tamper) for tamper in PAGE_TAMPERED]
    await eventually(lambda: _all_in_cloud(mesh), "the untouched leaves arrive")

    assert [each.WhichOneof("message") for each in answers] == ["page_refused"] * len(PAGE_TAMPERED)
    for words, answer in zip(PAGE_TAMPERED.values(), answers, strict=True):
        assert answer.page_refused.reason in words
    assert len(await mesh.records(batch)) == 3


async def _all_in_cloud(mesh):
    status = await mesh.status(HOME)
    return status.cosigned_size == status.log_size


async def _sent_up(mesh, tamper):
    """The newest page, altered; what the cloud answers to it."""
    courier, size = mesh.couriers[HOME], (await mesh.status(HOME)).cosigned_size
    async with courier.at_the_front(mesh.address(f"{HOME}-front")) as channel:
        call = CustodyStub(channel).FollowLog(FollowLogRequest(from_index=size), timeout=PATIENCE)
        page = LogPage.FromString((await call.read()).page.SerializeToString())
        call.cancel()
    tamper(page)
    cursor = EdgeHsmCursor(edgehsm_id=courier.factory.edgehsm, epoch=EPOCH, size=size)
    async with open_channel(mesh.facts.cloud, CLOUD, credentials(mesh.facts, courier.own)) as channel:
        call = FactoryLinkStub(channel).Sync(timeout=PATIENCE)
        await call.write(SyncRequest(hello=FactoryHello(edgehsms=[cursor])))
        await call.write(SyncRequest(page=page))
        while (answer := await call.read()) is not grpc.aio.EOF:
            kind = answer.WhichOneof("message")
            if kind in {"page_refused", "frozen"} or (kind == "cosignature" and answer.cosignature.size > size):
                call.cancel()
                return answer
    raise AssertionError("the cloud said nothing to the page")
