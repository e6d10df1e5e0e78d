"""M13: an ODM sees what is its own and nothing of another's; who may not approve cannot.

The engineer of one ODM asks, with a genuine certificate, for everything of the other's product: each answer is the one
for a thing that does not exist. Lists, summary, records and export hold its own alone. Its Factory Service cannot speak
for the other's EdgeHSM. What needs the OEM's people is refused to it by role.
"""

import asyncio
import os

import grpc
import pytest

from loadtest.demo import goods as g
from loadtest.demo.courier import EPOCH
from obis.cli.connection import CLOUD, answered, credentials
from obis.mesh.channel import open_channel
from obis.refusal import Refused
from obis.v1.batches_pb2 import CreateBatchRequest, GetBatchRequest, ListBatchesRequest, WatchBatchRequest
from obis.v1.custody_pb2 import FollowLogRequest
from obis.v1.custody_pb2_grpc import CustodyStub
from obis.v1.delivery_pb2 import LogPage
from obis.v1.enrolment_objects_pb2 import TicketSubject
from obis.v1.factories_pb2 import ListFactoriesRequest, ProposeTicketRequest
from obis.v1.factory_link_pb2 import EdgeHsmCursor, FactoryHello, SyncRequest
from obis.v1.factory_link_pb2_grpc import FactoryLinkStub
from obis.v1.grants_pb2 import ListGrantsRequest, ListProposalsRequest
from obis.v1.keys_pb2 import ListCertificatesRequest
from obis.v1.organisations_pb2 import ListOrganisationsRequest
from obis.v1.products_pb2 import AcceptInvitationRequest, GetProductRequest, ListProductsRequest
from obis.v1.scope_pb2 import DeviceId, Window
from obis.v1.trace_pb2 import FindRequest, StreamRecordsRequest, SummarizeRequest
from obis.v1.versions_pb2 import DiffVersionRequest, GetVersionRequest, ListVersionsRequest, SubmitVersionRequest
from tests.scenarios.mesh import AWAY, HOME, PATIENCE


@pytest.fixture(scope="module")
async def made(mesh):
    """Something of each: a batch and a device in the cloud."""
    found = {}
    for factory, goods in ((HOME, mesh.bulb), (AWAY, mesh.plug)):
        batch = await mesh.batch(goods, 1)
        devices = await mesh.provision(batch, 1)
        await mesh.in_cloud(factory, devices)
        found[factory] = batch, devices[0]
    return found


def questions(mesh, goods, batch, device):
    """Every question that names an object, about one ODM's."""
    product, version = {"product_id": goods.product_id}, {"version_id": goods.version_id}
    now = batch.window.starts_at
    more = {
        "request_id": os.urandom(16),
        "factory_id": batch.factory_id,
        "edgehsm_id": batch.edgehsm_id,
        "quantity": 1,
        "window": Window(starts_at=now, ends_at=now + 60),
    }
    serial, uid = bytes.fromhex(device["serial"]), bytes.fromhex(device["uid"])
    return {
        "GetProduct": lambda c: c.products.GetProduct(GetProductRequest(**product)),
        "AcceptInvitation": lambda c: c.products.AcceptInvitation(AcceptInvitationRequest(**product)),
        "GetVersion": lambda c: c.versions.GetVersion(GetVersionRequest(**version)),
        "DiffVersion": lambda c: c.versions.DiffVersion(DiffVersionRequest(**version)),
        "SubmitVersion": lambda c: c.versions.SubmitVersion(SubmitVersionRequest(**version)),
        "ListVersions": lambda c: c.versions.ListVersions(ListVersionsRequest(**product)),
        "ListGrants": lambda c: c.grants.ListGrants(ListGrantsRequest(**product)),
        "ListCertificates": lambda c: c.keys.ListCertificates(ListCertificatesRequest(**product)),
        "GetBatch": lambda c: c.batches.GetBatch(GetBatchRequest(batch_id=batch.batch_id)),
        "WatchBatch": lambda c: first(c.batches.WatchBatch(WatchBatchRequest(batch_id=batch.batch_id))),
        "CreateBatch": lambda c: c.batches.CreateBatch(CreateBatchRequest(**version, **more)),
        "FindDevice": lambda c: c.trace.Find(FindRequest(device=DeviceId(soc=device["soc"], uid=uid))),
        "FindSerial": lambda c: c.trace.Find(FindRequest(dac_serial=serial)),
        "FindBatch": lambda c: c.trace.Find(FindRequest(batch_id=batch.batch_id)),
        "FindAuthorization": lambda c: c.trace.Find(FindRequest(auth_id=batch.auth_id)),
        "StreamRecords": lambda c: first(c.trace.StreamRecords(StreamRecordsRequest(batch_id=batch.batch_id))),
    }


async def first(call):
    try:
        async with asyncio.timeout(5):
            return await call.read()
    finally:
        call.cancel()


async def word(asking) -> str:
    """The refusal's word; "" for an answer."""
    try:
        with answered("cloud"):
            await asking
    except Refused as refused:
        return refused.word
    return ""


async def test_whatever_is_another_s_does_not_exist(mesh, made):
    theirs = {
        name: await word(ask(mesh.crew.odms[HOME])) for name, ask in questions(mesh, mesh.plug, *made[AWAY]).items()
    }

    assert theirs == dict.fromkeys(theirs, "NOT_FOUND")


async def test_the_same_questions_about_one_s_own_are_answered(mesh, made):
    """The control: the words above came from whose it is, not from what was asked."""
    own = {name: await word(ask(mesh.crew.odms[AWAY])) for name, ask in questions(mesh, mesh.plug, *made[AWAY]).items()}

    done_before = {"SubmitVersion": "STATE_CONFLICT", "AcceptInvitation": ""}
    assert own == dict.fromkeys(own, "") | done_before


async def test_lists_and_counts_hold_one_s_own_alone(mesh, made):
    odm, oem = mesh.crew.odms[HOME], mesh.crew.oem

    products = {each.product_id for each in (await odm.products.ListProducts(ListProductsRequest())).products}
    batches = {each.factory_id for each in (await odm.batches.ListBatches(ListBatchesRequest())).batches}
    factories = {each.factory_id for each in (await odm.factories.ListFactories(ListFactoriesRequest())).factories}
    people = (await odm.organisations.ListOrganisations(ListOrganisationsRequest())).organisations
    counts = {each.factory_id for each in (await odm.trace.Summarize(SummarizeRequest())).counts}
    proposals = (await odm.grants.ListProposals(ListProposalsRequest())).proposals

    assert mesh.bulb.product_id in products
    assert mesh.plug.product_id not in products
    assert (batches, factories, counts) == ({HOME}, {HOME}, {HOME})
    own = mesh.stage.plan.factory(HOME).odm.id
    assert mesh.stage.plan.factory(AWAY).odm.id not in {each.organisation_id for each in people}
    assert own in {each.organisation_id for each in people}
    assert not [each for each in proposals if mesh.plug.product.name in each.title]
    assert {each.factory_id for each in (await oem.trace.Summarize(SummarizeRequest())).counts} == {HOME, AWAY}


async def test_its_records_are_its_own(mesh, made):
    call = mesh.crew.odms[HOME].trace.StreamRecords(StreamRecordsRequest(), timeout=PATIENCE)
    factories = set()
    try:
        async with asyncio.timeout(1.5):
            while (answer := await call.read()) is not grpc.aio.EOF:
                factories.add(answer.record.factory_id)
    except TimeoutError:
        call.cancel()

    assert factories == {HOME}


async def test_an_odm_neither_invites_nor_proposes_nor_sells_more(mesh, made):
    odm = mesh.crew.odms[HOME]
    ticket = ProposeTicketRequest(subject=TicketSubject.TICKET_SUBJECT_FACTORY, factory_id=HOME, valid_seconds=60)
    grant = g._grant(mesh.stage, mesh.bulb)

    words = [await word(odm.factories.ProposeTicket(ticket)), await word(odm.grants.ProposeGrant(grant))]

    assert words == ["ROLE_NOT_ALLOWED", "ROLE_NOT_ALLOWED"]


async def test_a_factory_service_cannot_speak_for_another_s_edgehsm(mesh, made):
    """Its hello is passed over: no cursor, no delivery. A page of the other's log ends the stream."""
    thief, edgehsm = mesh.couriers[AWAY], mesh.stage.plan.factory(HOME).edgehsm
    async with mesh.couriers[HOME].at_the_front(mesh.address(f"{HOME}-front")) as channel:
        page = (await CustodyStub(channel).FollowLog(FollowLogRequest(), timeout=PATIENCE).read()).page
    said = [SyncRequest(hello=FactoryHello(edgehsms=[EdgeHsmCursor(edgehsm_id=edgehsm, epoch=EPOCH)]))]
    said.append(SyncRequest(page=LogPage.FromString(page.SerializeToString())))
    answers = []
    with mesh.frozen(f"{AWAY}-service"):
        async with open_channel(mesh.facts.cloud, CLOUD, credentials(mesh.facts, thief.own)) as channel:
            end = await word(_gather(FactoryLinkStub(channel).Sync(timeout=PATIENCE), said, answers))

    assert end == "NOT_FOUND"
    about = [getattr(each, each.WhichOneof("message")) for each in answers]
    assert edgehsm not in {getattr(each, "edgehsm_id", "") for each in about}


async def _gather(call, said, answers):
    for each in said:
        await call.write(each)
    async with asyncio.timeout(8):
        while (answer := await call.read()) is not grpc.aio.EOF:
            answers.append(answer)
