"""An ODM never learns of another: what is foreign is answered like what does not exist."""

import pytest

from obis.v1 import batches_pb2 as batches
from obis.v1 import factories_pb2 as factories
from obis.v1 import grants_pb2 as grants
from obis.v1 import keys_pb2 as keys
from obis.v1 import organisations_pb2 as organisations
from obis.v1 import products_pb2 as products
from obis.v1 import versions_pb2 as versions
from obis.v1.enrolment_objects_pb2 import TicketSubject
from obis.v1.reason_pb2 import Reason
from tests.cloud.refusals import refused

NOBODYS = b"\x07" * 16


@pytest.mark.parametrize("mine", [False, True])
async def test_foreign_and_absent_are_answered_alike(mesh, ready, mine):
    """The same reason and the same words for another ODM's object and for an id nobody has."""
    odb = mesh.callers["odb"]
    product_id = ready.product_id if mine else NOBODYS
    version_id = ready.version.version_id if mine else NOBODYS
    asked = [
        odb.products.GetProduct(products.GetProductRequest(product_id=product_id)),
        odb.products.AcceptInvitation(products.AcceptInvitationRequest(product_id=product_id)),
        odb.versions.ListVersions(versions.ListVersionsRequest(product_id=product_id)),
        odb.versions.GetVersion(versions.GetVersionRequest(version_id=version_id)),
        odb.versions.SubmitVersion(versions.SubmitVersionRequest(version_id=version_id)),
        odb.versions.DiffVersion(versions.DiffVersionRequest(version_id=version_id)),
        odb.versions.UploadFirmware(mesh.upload(product_id)),
        odb.grants.ListGrants(grants.ListGrantsRequest(product_id=product_id)),
        odb.keys.ListCertificates(keys.ListCertificatesRequest(product_id=product_id)),
        odb.batches.ListBatches(batches.ListBatchesRequest(product_id=product_id)),
        odb.batches.CreateBatch(mesh.batch_request(version_id, ready.edge, "vn-01", 1)),
    ]
    for call in asked:
        with refused(Reason.REASON_NOT_FOUND) as refusal:
            await call
        assert refusal.what.startswith("no such")


async def test_another_odms_batch_is_not_found_in_any_rpc(mesh, ready):
    made = await mesh.callers["oda"].batches.CreateBatch(
        mesh.batch_request(ready.version.version_id, ready.edge, "th-01", 1)
    )
    odb = mesh.callers["odb"]

    with refused(Reason.REASON_NOT_FOUND):
        await odb.batches.GetBatch(batches.GetBatchRequest(batch_id=made.batch.batch_id))
    with refused(Reason.REASON_NOT_FOUND):
        await odb.batches.WatchBatch(batches.WatchBatchRequest(batch_id=made.batch.batch_id)).read()
    assert list((await odb.batches.ListBatches(batches.ListBatchesRequest())).batches) == []


async def test_lists_hold_only_what_is_the_callers(mesh, ready):
    odb, oda, ann = (mesh.callers[name] for name in ("odb", "oda", "ann"))

    own = await odb.organisations.ListOrganisations(organisations.ListOrganisationsRequest())
    every = await ann.organisations.ListOrganisations(organisations.ListOrganisationsRequest())
    sites = await odb.factories.ListFactories(factories.ListFactoriesRequest())
    open_to = await oda.grants.ListProposals(grants.ListProposalsRequest())

    assert [each.organisation_id for each in own.organisations] == ["odm-b"]
    assert {"oem", "odm-a", "odm-b"} <= {each.organisation_id for each in every.organisations}
    assert [each.factory_id for each in sites.factories] == ["vn-01"]
    assert list(open_to.proposals) == []
    assert list((await odb.products.ListProducts(products.ListProductsRequest())).products) == []


async def test_a_second_odm_in_the_workspace_sees_neither_the_first_nor_its_numbers(mesh, ready):
    ann, odb = mesh.callers["ann"], mesh.callers["odb"]
    await ann.products.InviteOrganisation(
        products.InviteOrganisationRequest(product_id=ready.product_id, organisation_id="odm-b")
    )
    await odb.products.AcceptInvitation(products.AcceptInvitationRequest(product_id=ready.product_id))

    seen = (await odb.products.GetProduct(products.GetProductRequest(product_id=ready.product_id))).product
    chain = await odb.grants.ListGrants(grants.ListGrantsRequest(product_id=ready.product_id))
    listed = await odb.versions.ListVersions(versions.ListVersionsRequest(product_id=ready.product_id))

    assert [each.organisation_id for each in seen.members] == ["odm-b"]
    assert (seen.granted_quantity, seen.batched_quantity) == (0, 0)
    assert list(chain.grants) == []
    assert list(listed.versions) == []
    with refused(Reason.REASON_NOT_FOUND):
        await odb.versions.GetVersion(versions.GetVersionRequest(version_id=ready.version.version_id))


async def test_what_is_the_oems_is_refused_to_an_odm_and_the_other_way_round(mesh, ready):
    oda, ann = mesh.callers["oda"], mesh.callers["ann"]
    subject = TicketSubject.TICKET_SUBJECT_FACTORY
    of_the_oem = [
        oda.products.CreateProduct(
            products.CreateProductRequest(name="Mine", vendor_id=0xFFF1, product_code=1, lifetime_quantity=1)
        ),
        oda.grants.ProposeGrant(mesh.grant_request(ready.version.version_id, [("th-01", "edge-th", 1, 1)])),
        oda.versions.RejectVersion(versions.RejectVersionRequest(version_id=ready.version.version_id, why="No.")),
        oda.factories.ProposeTicket(
            factories.ProposeTicketRequest(subject=subject, factory_id="th-01", valid_seconds=60)
        ),
        oda.organisations.CreateOrganisation(
            organisations.CreateOrganisationRequest(
                organisation=organisations.Organisation(organisation_id="odm-c", name="C")
            )
        ),
    ]
    of_the_odm = [
        ann.batches.CreateBatch(mesh.batch_request(ready.version.version_id, ready.edge, "th-01", 1)),
        ann.versions.SubmitVersion(versions.SubmitVersionRequest(version_id=ready.version.version_id)),
        ann.versions.UploadFirmware(mesh.upload(ready.product_id)),
    ]
    for call in [*of_the_oem, *of_the_odm]:
        with refused(Reason.REASON_ROLE_NOT_ALLOWED):
            await call


async def test_an_odm_cannot_run_its_batch_in_anothers_factory(mesh, ready):
    request = mesh.batch_request(ready.version.version_id, ready.edge, "vn-01", 1)

    with refused(Reason.REASON_NOT_FOUND):
        await mesh.callers["oda"].batches.CreateBatch(request)


async def test_a_factory_is_given_to_one_organisation_only(mesh):
    again = organisations.Organisation(organisation_id="odm-d", name="D", factory_ids=["th-01"])

    with refused(Reason.REASON_ALREADY_EXISTS):
        await mesh.callers["ann"].organisations.CreateOrganisation(
            organisations.CreateOrganisationRequest(organisation=again)
        )
    listed = await mesh.callers["ann"].organisations.ListOrganisations(organisations.ListOrganisationsRequest())
    assert "odm-d" not in [each.organisation_id for each in listed.organisations]
