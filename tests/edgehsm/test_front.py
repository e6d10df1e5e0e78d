"""Front and boundary together over real mTLS: stations, the Factory Service, strangers, and a boundary that is killed."""

from __future__ import annotations

import asyncio
import time

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edgehsm.config import FrontConfig
from edgehsm.front import Front
from edgehsm.rate import StationRates
from obis.mesh.authorities import Authorities
from obis.mesh.channel import open_channel
from obis.mesh.credentials import Credentials
from obis.mesh.identity import CLOUD_HOST, Identity, Role
from obis.mesh.status import understood
from obis.mesh.transport import OwnCertificate, TransportKey
from obis.refusal import Refused
from obis.v1.custody_pb2 import (
    CosignedRequest,
    CustodyEnrolStationRequest,
    CustodyStatusRequest,
    DeliverRequest,
    FollowLogRequest,
)
from obis.v1.custody_pb2_grpc import CustodyStub
from obis.v1.delivery_pb2 import Delivery
from obis.v1.provisioning_pb2 import OpenDebug, ProvisionRequest, ReopenDebugRequest
from obis.v1.provisioning_pb2_grpc import ProvisioningStub
from tests.edgehsm.processes import enrolled
from tests.edgehsm.room import firmware, issue, reason
from tests.edgehsm.world import EDGE, EPOCH, FACTORY, chip
from tests.obis.trust.keys import Key

FRONT = Identity(Role.FRONT, EDGE, FACTORY)


class Site:
    """The front's address, and credentials for whoever calls it."""

    def __init__(self, boundary, port: int, station: OwnCertificate, site_ca: bytes) -> None:
        self.boundary, self.address, self.station = boundary, f"127.0.0.1:{port}", station
        self.site_ca = x509.load_der_x509_certificate(site_ca)
        self.world = boundary.world

    def channel(self, own: OwnCertificate | None) -> grpc.aio.Channel:
        authorities = Authorities({FRONT.host: [self.site_ca], CLOUD_HOST: [self.world.transport_ca]})
        return open_channel(self.address, FRONT, Credentials(authorities, own))

    def cloud_name(self, identity: Identity) -> OwnCertificate:
        key = TransportKey.generate()
        return key.certified(
            [self.world._leaf(identity, key.public_der), self.world.transport_ca.public_bytes(Encoding.DER)]
        )


@pytest.fixture(scope="module")
async def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    boundary = enrolled(folder)
    boundary.auth_id = boundary.admit()
    key = TransportKey.generate()
    chain = boundary.enrol_station(Key(key._key), station_id="st-9").chain
    boundary.connection.close()
    config = FrontConfig(folder / "mesh.json", boundary.socket_path, "127.0.0.1:0", FACTORY, EDGE)
    front = Front(config)
    async with front.running() as server:
        site = Site(boundary, server.port, key.certified(list(chain.certificates_der)), chain.certificates_der[1])
        site.link = front.link
        yield site
    boundary.kill()


async def provision(site: Site, *messages, own=None):
    async with site.channel(own or site.station) as channel:
        call = ProvisioningStub(channel).Provision(iter(messages))
        with understood("front"):
            return [each async for each in call]


async def test_many_messages_of_one_stream_are_answered_each(site):
    messages = [
        ProvisionRequest(
            steps=[
                step
                for number in range(32 * place, 32 * place + 32)
                for step in (
                    issue(site.boundary.auth_id, chip(number), number),
                    firmware(site.boundary.auth_id, chip(number)),
                )
            ]
        )
        for place in range(3)
    ]
    answers = await provision(site, *messages)

    assert len(answers) == 3
    assert all(reply.WhichOneof("reply") in {"issued", "firmware"} for each in answers for reply in each.replies)
    assert [reply.step_id for reply in answers[1].replies][::2] == list(range(32, 64))


async def test_a_refused_step_refuses_itself_alone(site):
    wrong = issue(bytes(16), chip(1000), 1)
    (answer,) = await provision(site, ProvisionRequest(steps=[wrong, issue(site.boundary.auth_id, chip(1001), 2)]))

    assert reason(answer.replies[0]) == "AUTHORIZATION_UNKNOWN"
    assert answer.replies[1].issued.dac_der


async def test_steps_survive_a_boundary_killed_in_mid_issue_with_the_same_answers(site):
    """The front sends again what was in flight; the station sees one answer a step."""
    messages = [
        ProvisionRequest(steps=[issue(site.boundary.auth_id, chip(n), n) for n in range(2000 + 8 * p, 2008 + 8 * p)])
        for p in range(60)
    ]

    async def kill() -> None:
        for _ in range(2):
            await asyncio.sleep(0.15)
            site.boundary.kill()
            await asyncio.to_thread(site.boundary.start_alone)

    answers, _ = await asyncio.gather(provision(site, *messages), kill())
    again = await provision(site, *messages)

    first = [reply.issued.dac_der for each in answers for reply in each.replies]
    assert all(first)
    assert first == [reply.issued.dac_der for each in again for reply in each.replies]


async def test_without_a_boundary_a_step_is_told_so_and_may_be_asked_again(site, monkeypatch):
    monkeypatch.setattr(site.link, "_deadline_seconds", 1)
    site.boundary.kill()
    try:
        (answer,) = await provision(site, ProvisionRequest(steps=[issue(site.boundary.auth_id, chip(3000), 1)]))
        assert reason(answer.replies[0]) == "BOUNDARY_UNAVAILABLE"
        began = time.monotonic()  # from now on nobody waits for it
        (answer,) = await provision(site, ProvisionRequest(steps=[issue(site.boundary.auth_id, chip(3000), 1)]))
        assert reason(answer.replies[0]) == "BOUNDARY_UNAVAILABLE"
        assert time.monotonic() - began < 2
    finally:
        await asyncio.to_thread(site.boundary.start_alone)


async def test_the_factory_service_delivers_follows_and_hands_back(site):
    factory = site.cloud_name(Identity(Role.FACTORY, FACTORY))
    async with site.channel(factory) as channel:
        stub = CustodyStub(channel)
        beacon = site.world.beacon(int(time.time()), int(time.time()))
        delivery = Delivery(number=1, edgehsm_id=EDGE, epoch=EPOCH, beacon=beacon)
        assert (await stub.Deliver(DeliverRequest(delivery=delivery))).result.accepted
        page = await read_to_the_end(stub)
        cosigned = site.world.cosign(page.checkpoint)
        assert (await stub.Cosigned(CosignedRequest(checkpoint=cosigned))).cosigned_size == page.first_index
        status = await stub.Status(CustodyStatusRequest())

    assert (status.edgehsm_id, status.cosigned_size) == (EDGE, page.first_index)


async def read_to_the_end(stub):
    """The first heartbeat: an empty page."""
    async for response in stub.FollowLog(FollowLogRequest()):
        if not response.page.leaves:
            return response.page
    raise AssertionError("the stream ended")


async def test_a_heartbeat_comes_every_two_seconds_and_a_leaf_at_once(site):
    factory = site.cloud_name(Identity(Role.FACTORY, FACTORY))
    async with site.channel(factory) as channel:
        stub = CustodyStub(channel)
        end = (await read_to_the_end(stub)).first_index
        call = stub.FollowLog(FollowLogRequest(from_index=end))
        assert not (await call.read()).page.leaves
        began = time.monotonic()
        assert not (await call.read()).page.leaves
        assert 1.5 < time.monotonic() - began < 4
        began = time.monotonic()
        await provision(site, ProvisionRequest(steps=[issue(site.boundary.auth_id, chip(4000), 1)]))
        assert (await call.read()).page.leaves
        assert time.monotonic() - began < 1.5
        call.cancel()


async def test_a_station_enrols_through_the_factory_service(site):
    factory, key = site.cloud_name(Identity(Role.FACTORY, FACTORY)), TransportKey.generate()
    ticket = site.world.station_ticket(Key(key._key), station_id="st-10")
    csr = key.request(Identity(Role.STATION, "st-10", FACTORY))
    async with site.channel(factory) as channel:
        request = CustodyEnrolStationRequest(ticket=ticket, csr_der=csr)
        response = await CustodyStub(channel).EnrolStation(request)

    own = key.certified(list(response.certificate_chain_der))
    (answer,) = await provision(site, ProvisionRequest(steps=[issue(site.boundary.auth_id, chip(5000), 1)]), own=own)
    assert answer.replies[0].issued.dac_der


async def refused(site: Site, own, call) -> str:
    async with site.channel(own) as channel:
        with pytest.raises(Refused) as failure, understood("front"):
            await call(channel)
    return failure.value.word


async def test_strangers_and_wrong_roles_are_refused_on_every_service(site):
    async def provision_once(channel):
        return [each async for each in ProvisioningStub(channel).Provision(iter([ProvisionRequest()]))]

    async def status(channel):
        return await CustodyStub(channel).Status(CustodyStatusRequest(), timeout=5)

    another = site.cloud_name(Identity(Role.FACTORY, "vn-1"))
    assert await refused(site, site.station, status) == "ROLE_NOT_ALLOWED"
    assert await refused(site, another, status) == "WRONG_FACTORY"
    assert await refused(site, another, provision_once) == "ROLE_NOT_ALLOWED"
    assert await refused(site, site.cloud_name(Identity(Role.EDGEHSM, EDGE)), provision_once) == "ROLE_NOT_ALLOWED"
    assert await refused(site, None, status) == "UNREACHABLE"


async def test_a_site_name_signed_by_the_cloud_is_nobody_here(site):
    """Each host has its CA: the transport CA cannot make a station."""
    forged = site.cloud_name(Identity(Role.STATION, "st-9", FACTORY))

    async def provision_once(channel):
        return [each async for each in ProvisioningStub(channel).Provision(iter([ProvisionRequest()]))]

    assert await refused(site, forged, provision_once) in {"IDENTITY_UNKNOWN", "UNREACHABLE"}


async def test_a_message_without_steps_is_malformed(site):
    with pytest.raises(Refused) as failure:
        await provision(site, ProvisionRequest())

    assert failure.value.word == "MALFORMED"


async def test_an_unknown_debug_session_is_an_answer_and_not_an_error(site):
    opening = OpenDebug(
        auth_id=site.boundary.auth_id, challenge=chip(9999).challenge(b"n" * 32), rework_reason="r", operator="o"
    )
    async with site.channel(site.station) as channel:
        call = ProvisioningStub(channel).ReopenDebug(iter([ReopenDebugRequest(open=opening)]))
        (answer,) = [each async for each in call]

    assert reason(answer) == "DEVICE_UNKNOWN"


def test_a_station_that_floods_waits_alone():
    rates = StationRates(100)

    assert rates.allowed(b"one", 500, 0.0) == 200
    assert rates.allowed(b"one", 500, 1.0) == 100
    assert rates.allowed(b"two", 50, 1.0) == 50
