"""Quorum proposals: whose signature counts, when it is enough, and what can no longer be completed."""

from hashlib import sha256

import pytest

from obis.trust import payload
from obis.trust.envelope import sign_with
from obis.v1 import grants_pb2 as grants
from obis.v1 import products_pb2 as products
from obis.v1 import versions_pb2 as versions
from obis.v1.envelope_pb2 import SigScheme
from obis.v1.grants_pb2 import ProposalState
from obis.v1.reason_pb2 import Reason
from obis.v1.versions_pb2 import VersionState
from tests.cloud.refusals import refused
from tests.cloud.small_mesh import Key


@pytest.fixture
async def proposed(mesh, edge):
    """An open Grant of a fresh product, proposed by ann."""
    product_id = await mesh.product(100, "Governed")
    version = await mesh.version(product_id)
    request = mesh.grant_request(version.version_id, [("th-01", edge.id, edge.epoch, 10)])
    proposal = (await mesh.callers["ann"].grants.ProposeGrant(request)).proposal
    proposal.title = product_id.hex()
    return proposal


def signature(mesh, proposal, key, kind=payload.GRANT):
    return grants.SignProposalRequest(
        proposal_id=proposal.proposal_id, signature=sign_with(kind, proposal.envelope.payload, key)
    )


async def test_the_proposers_signature_is_refused(mesh, proposed):
    with refused(Reason.REASON_PROPOSER_SIGNED):
        await mesh.sign(proposed, "ann")


async def test_the_same_person_counts_once(mesh, proposed):
    after_one = await mesh.sign(proposed, "bob")

    with refused(Reason.REASON_ALREADY_SIGNED):
        await mesh.sign(proposed, "bob")
    assert (after_one.state, list(after_one.signed_by)) == (ProposalState.PROPOSAL_STATE_PROPOSED, ["bob"])


async def test_a_key_the_trust_root_does_not_know_is_refused(mesh, proposed):
    with refused(Reason.REASON_KEY_UNKNOWN):
        await mesh.callers["ann"].grants.SignProposal(signature(mesh, proposed, Key()))


async def test_the_clouds_own_online_key_is_no_approver(mesh, proposed):
    with refused(Reason.REASON_ROLE_NOT_HELD):
        await mesh.callers["ann"].grants.SignProposal(signature(mesh, proposed, mesh.cloud.service.keys.online))


async def test_a_signature_over_another_type_of_the_same_bytes_is_refused(mesh, proposed):
    with refused(Reason.REASON_SIGNATURE_INVALID):
        await mesh.callers["ann"].grants.SignProposal(
            signature(mesh, proposed, mesh.people["bob"], payload.ENROL_TICKET)
        )


async def test_a_signature_with_another_scheme_is_refused(mesh, proposed):
    request = signature(mesh, proposed, mesh.people["bob"])
    request.signature.scheme = SigScheme.SIG_SCHEME_ED25519

    with refused(Reason.REASON_SCHEME_MISMATCH):
        await mesh.callers["ann"].grants.SignProposal(request)


async def test_one_signature_of_two_approves_nothing(mesh, proposed, edge):
    await mesh.sign(proposed, "bob")

    product_id = bytes.fromhex(proposed.title)
    found = await mesh.callers["ann"].versions.ListVersions(versions.ListVersionsRequest(product_id=product_id))
    chain = await mesh.callers["ann"].grants.ListGrants(grants.ListGrantsRequest(product_id=product_id))
    assert [each.state for each in found.versions] == [VersionState.VERSION_STATE_SUBMITTED]
    assert list(chain.grants) == []


async def test_the_last_signature_approves_and_a_closed_proposal_takes_no_more(mesh, proposed):
    signed = await mesh.sign(proposed, "bob", "cat")

    assert signed.state == ProposalState.PROPOSAL_STATE_SIGNED
    assert len(signed.envelope.signatures) == 2
    with refused(Reason.REASON_STATE_CONFLICT):
        await mesh.sign(proposed, "dan")


async def test_a_grant_that_was_overtaken_cannot_be_completed(mesh, proposed, edge):
    """Two Grants of one product are proposed; the one signed second stood on a chain that moved on."""
    product_id = bytes.fromhex(proposed.title)
    await mesh.sign(proposed, "bob")
    second = await mesh.version(product_id, label="2.0")
    overtaking = await mesh.grant(second.version_id, [("th-01", edge.id, edge.epoch, 5)])

    with refused(Reason.REASON_STATE_CONFLICT):
        await mesh.sign(proposed, "cat")

    request = grants.GetProposalRequest(proposal_id=proposed.proposal_id)
    late = (await mesh.callers["ann"].grants.GetProposal(request)).proposal
    assert overtaking.state == ProposalState.PROPOSAL_STATE_SIGNED
    assert late.state == ProposalState.PROPOSAL_STATE_WITHDRAWN


async def test_grants_of_a_product_form_a_chain(mesh, proposed, edge):
    product_id = bytes.fromhex(proposed.title)
    first = await mesh.sign(proposed, "bob", "cat")
    second = await mesh.version(product_id, label="2.0")
    await mesh.grant(second.version_id, [("th-01", edge.id, edge.epoch, 7)])

    chain = await mesh.callers["ann"].grants.ListGrants(grants.ListGrantsRequest(product_id=product_id))
    found = [payload.parse_closed(payload.GRANT, each.envelope.payload) for each in chain.grants]

    assert [each.sequence for each in found] == [1, 2]
    assert found[1].previous_digest == sha256(first.envelope.payload).digest()
    assert (found[1].granted_before, found[1].total_quantity) == (10, 7)


async def test_a_grant_beyond_the_lifetime_is_refused_with_the_figures(mesh, proposed, edge):
    product_id = bytes.fromhex(proposed.title)
    await mesh.sign(proposed, "bob", "cat")
    second = await mesh.version(product_id, label="2.0")
    request = mesh.grant_request(second.version_id, [("th-01", edge.id, edge.epoch, 91)])

    with refused(Reason.REASON_LIFETIME_QUANTITY_EXCEEDED) as refusal:
        await mesh.callers["ann"].grants.ProposeGrant(request)
    assert "100 in the product's lifetime, 10 granted, 90 left" in refusal.what


async def test_shares_beyond_the_total_are_refused(mesh, proposed, edge):
    second = await mesh.version(bytes.fromhex(proposed.title), label="2.0")
    request = mesh.grant_request(second.version_id, [("th-01", edge.id, edge.epoch, 91)], total=10)

    with refused(Reason.REASON_EDGE_CAP_EXCEEDED):
        await mesh.callers["ann"].grants.ProposeGrant(request)


@pytest.mark.parametrize(
    ("share", "reason"),
    [
        (("th-01", "edge-nowhere", 1, 5), Reason.REASON_NOT_ENROLLED),
        (("th-01", "edge-th", 2, 5), Reason.REASON_NOT_ENROLLED),
        (("vn-01", "edge-th", 1, 5), Reason.REASON_WRONG_FACTORY),
    ],
)
async def test_a_share_goes_only_to_an_enrolled_edgehsm_of_the_versions_odm(mesh, edge, share, reason):
    product_id = await mesh.product(100, f"Shared {share[0]} {share[1]} {share[2]}")
    version = await mesh.version(product_id)

    with refused(reason):
        await mesh.callers["ann"].grants.ProposeGrant(mesh.grant_request(version.version_id, [share]))


async def test_only_its_proposer_withdraws_and_an_unsigned_product_leaves_nothing(mesh):
    ann, bob = mesh.callers["ann"], mesh.callers["bob"]
    made = await ann.products.CreateProduct(
        products.CreateProductRequest(name="Never", vendor_id=0xFFF1, product_code=9, lifetime_quantity=1)
    )

    with refused(Reason.REASON_ROLE_NOT_ALLOWED):
        await bob.grants.WithdrawProposal(grants.WithdrawProposalRequest(proposal_id=made.proposal_id))
    withdrawn = await ann.grants.WithdrawProposal(grants.WithdrawProposalRequest(proposal_id=made.proposal_id))

    assert withdrawn.proposal.state == ProposalState.PROPOSAL_STATE_WITHDRAWN
    with refused(Reason.REASON_NOT_FOUND):
        await ann.products.GetProduct(products.GetProductRequest(product_id=made.product_id))


async def test_a_rejected_version_is_not_approved_by_a_grant_still_open(mesh, proposed):
    ann, product_id = mesh.callers["ann"], bytes.fromhex(proposed.title)
    found = await ann.versions.ListVersions(versions.ListVersionsRequest(product_id=product_id))
    await ann.versions.RejectVersion(
        versions.RejectVersionRequest(version_id=found.versions[0].version_id, why="The label is wrong.")
    )
    await mesh.sign(proposed, "bob")

    with refused(Reason.REASON_STATE_CONFLICT):
        await mesh.sign(proposed, "cat")

    after = await ann.versions.GetVersion(versions.GetVersionRequest(version_id=found.versions[0].version_id))
    assert after.version.state == VersionState.VERSION_STATE_REJECTED
