"""Newcomers: every proof is checked, used once, and gives exactly the name people signed."""

import time
from hashlib import sha256

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from obis.mesh.authorities import Authorities
from obis.mesh.certificate import authority, leaf
from obis.mesh.channel import open_channel
from obis.mesh.credentials import Credentials
from obis.mesh.identity import CLOUD_HOST, Identity, Role
from obis.mesh.status import understand
from obis.mesh.transport import TransportKey
from obis.trust import payload
from obis.trust.envelope import make_envelope
from obis.v1 import enrolment_pb2 as enrolment
from obis.v1 import factories_pb2 as factories
from obis.v1 import organisations_pb2 as organisations
from obis.v1.enrolment_objects_pb2 import EnrolTicket, PersonRequest, TicketSubject
from obis.v1.factories_pb2 import EdgeHsmState
from obis.v1.organisations_pb2_grpc import OrganisationsStub
from obis.v1.reason_pb2 import Reason
from tests.cloud.refusals import refused
from tests.cloud.small_mesh import Edge, Key, csr, spki, whole

FACTORY, EDGE = TicketSubject.TICKET_SUBJECT_FACTORY, TicketSubject.TICKET_SUBJECT_EDGEHSM


def uri(certificate_der):
    names = x509.load_der_x509_certificate(certificate_der).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    return names.value.get_values_for_type(x509.UniformResourceIdentifier)


# ---- factories


async def test_a_factory_gets_the_name_on_its_ticket_whatever_it_asks_for(mesh):
    ticket = await mesh.ticket(FACTORY, "th-01")
    wish = csr(ec.generate_private_key(ec.SECP256R1()), name="spiffe://cloud.obis/cloud/main")

    answer = await mesh.enrolment.EnrolFactory(enrolment.EnrolFactoryRequest(ticket=ticket, csr_der=wish))

    assert uri(answer.certificate_chain_der[0]) == ["spiffe://cloud.obis/factory/th-01"]


async def test_a_ticket_serves_one_key_and_serves_it_again(mesh):
    ticket = await mesh.ticket(FACTORY, "th-01")
    request = enrolment.EnrolFactoryRequest(ticket=ticket, csr_der=Key().csr())

    await mesh.enrolment.EnrolFactory(request)
    await mesh.enrolment.EnrolFactory(request)

    with refused(Reason.REASON_TICKET_USED):
        await mesh.enrolment.EnrolFactory(enrolment.EnrolFactoryRequest(ticket=ticket, csr_der=Key().csr()))


async def test_a_ticket_with_one_signature_of_two_admits_nobody(mesh):
    proposed = await mesh.callers["ann"].factories.ProposeTicket(
        factories.ProposeTicketRequest(subject=FACTORY, factory_id="vn-01", valid_seconds=60)
    )
    ticket = (await mesh.sign(proposed.proposal, "bob")).envelope

    with refused(Reason.REASON_THRESHOLD_NOT_MET):
        await mesh.enrolment.EnrolFactory(enrolment.EnrolFactoryRequest(ticket=ticket, csr_der=Key().csr()))
    await mesh.sign(proposed.proposal, "cat")


async def test_an_expired_ticket_or_one_for_something_else_admits_nobody(mesh):
    now = int(time.time())
    people = [mesh.people[name] for name in ("bob", "cat")]

    def ticket(**fields):
        fields = {"subject": FACTORY, "expires_at": now + 60, **fields}
        said = EnrolTicket(ticket_id=b"t" * 16, factory_id="th-01", proposer="ann", proposed_at=now - 99, **fields)
        return make_envelope(payload.ENROL_TICKET, whole(said), people)

    for envelope, reason in (
        (ticket(expires_at=now - 1), Reason.REASON_EXPIRED),
        (ticket(subject=EDGE, edgehsm_id="edge-x", epoch=1), Reason.REASON_PAYLOAD_TYPE_UNEXPECTED),
    ):
        with refused(reason):
            await mesh.enrolment.EnrolFactory(enrolment.EnrolFactoryRequest(ticket=envelope, csr_der=Key().csr()))


@pytest.mark.parametrize(
    ("csr_der", "reason"),
    [
        (b"\x30\x03\x02\x01\x00", Reason.REASON_CSR_MALFORMED),
        (csr(ec.generate_private_key(ec.SECP384R1())), Reason.REASON_CSR_CURVE_UNSUPPORTED),
        (csr(rsa.generate_private_key(65537, 2048)), Reason.REASON_CSR_CURVE_UNSUPPORTED),
    ],
)
async def test_a_request_for_a_strange_key_is_refused_and_uses_no_ticket(mesh, csr_der, reason):
    ticket = await mesh.ticket(FACTORY, "th-01")

    with refused(reason):
        await mesh.enrolment.EnrolFactory(enrolment.EnrolFactoryRequest(ticket=ticket, csr_der=csr_der))
    await mesh.enrolment.EnrolFactory(enrolment.EnrolFactoryRequest(ticket=ticket, csr_der=Key().csr()))


async def test_a_ticket_for_a_factory_outside_the_trust_root_is_not_even_proposed(mesh):
    with refused(Reason.REASON_WRONG_FACTORY):
        await mesh.ticket(FACTORY, "xx-99")


# ---- EdgeHSMs


async def test_an_edgehsm_gets_nothing_before_people_approve_and_only_for_the_keys_they_saw(mesh):
    ticket = await mesh.ticket(EDGE, "vn-01", "edge-pending")
    edge = Edge("edge-pending")
    request = enrolment.EnrolEdgeHsmRequest(request=edge.enrol_request(ticket))
    shown = await mesh.enrolment.EnrolEdgeHsm(request)
    again = await mesh.enrolment.EnrolEdgeHsm(request)
    asked = enrolment.GetEdgeHsmEnrolmentRequest(edgehsm_id="edge-pending", epoch=1)

    with refused(Reason.REASON_APPROVAL_PENDING):
        await mesh.enrolment.GetEdgeHsmEnrolment(asked)
    with refused(Reason.REASON_DIGEST_MISMATCH):
        await mesh.callers["ann"].factories.ProposeApproval(
            factories.ProposeApprovalRequest(
                edgehsm_id="edge-pending", epoch=1, key_fingerprint=b"\1" * 32, outage_budget_seconds=86400
            )
        )
    assert shown == again


async def test_another_boundary_cannot_use_the_same_ticket(mesh):
    ticket = await mesh.ticket(EDGE, "vn-01", "edge-raced")
    first, second = Edge("edge-raced"), Edge("edge-raced")
    await mesh.enrolment.EnrolEdgeHsm(enrolment.EnrolEdgeHsmRequest(request=first.enrol_request(ticket)))

    with refused(Reason.REASON_TICKET_USED):
        await mesh.enrolment.EnrolEdgeHsm(enrolment.EnrolEdgeHsmRequest(request=second.enrol_request(ticket)))


@pytest.fixture(scope="module")
async def shown(mesh):
    """A ticket and an EdgeHSM for requests that must all be refused."""
    return await mesh.ticket(EDGE, "vn-01", "edge-bad"), Edge("edge-bad")


async def refuse_edge(mesh, envelope, reason):
    with refused(reason):
        await mesh.enrolment.EnrolEdgeHsm(enrolment.EnrolEdgeHsmRequest(request=envelope))


async def test_every_new_key_must_have_signed(mesh, shown):
    ticket, edge = shown
    for missing in (edge.identity, edge.log, edge.site_ca):
        signers = [each for each in (edge.identity, edge.log, edge.site_ca) if each is not missing]
        await refuse_edge(mesh, edge.enrol_request(ticket, signers), Reason.REASON_THRESHOLD_NOT_MET)


async def test_a_key_that_is_not_in_the_request_may_not_sign_it(mesh, shown):
    ticket, edge = shown
    signers = [edge.identity, edge.log, edge.site_ca, Key()]
    await refuse_edge(mesh, edge.enrol_request(ticket, signers), Reason.REASON_KEY_UNKNOWN)


async def test_a_csr_for_another_key_than_the_one_shown_is_refused(mesh, shown):
    ticket, edge = shown
    for field in ("identity_csr_der", "site_ca_csr_der"):
        swapped = edge.enrol_request(ticket, **{field: Key().csr()})
        await refuse_edge(mesh, swapped, Reason.REASON_DIGEST_MISMATCH)


async def test_a_wrapping_key_that_is_too_short_is_refused(mesh, shown):
    ticket, edge = shown
    kept = edge.keys.wrap_spki_der
    edge.keys.wrap_spki_der = spki(rsa.generate_private_key(65537, 2048))
    try:
        await refuse_edge(mesh, edge.enrol_request(ticket), Reason.REASON_SCHEME_MISMATCH)
    finally:
        edge.keys.wrap_spki_der = kept


async def test_a_new_ticket_begins_the_next_epoch_and_old_shares_are_not_its(mesh):
    first = await mesh.enrol_edge("vn-01", "edge-again")
    second = await mesh.enrol_edge("vn-01", "edge-again")

    listed = await mesh.callers["odb"].factories.ListFactories(factories.ListFactoriesRequest())
    found = [each for each in listed.factories[0].edgehsms if each.edgehsm_id == "edge-again"]

    assert (first.epoch, second.epoch) == (1, 2)
    assert [each.state for each in found] == [EdgeHsmState.EDGE_HSM_STATE_ENROLLED] * 2
    assert uri(second.result.identity_cert_der) == ["spiffe://cloud.obis/edgehsm/edge-again"]


# ---- persons


async def invitation(mesh, person_id):
    request = organisations.InvitePersonRequest(organisation_id="odm-a", person_id=person_id)
    return (await mesh.callers["oda"].organisations.InvitePerson(request)).invitation_token


async def test_an_invitation_is_used_once_and_names_the_person(mesh):
    token = await invitation(mesh, "new.person")
    wish = Key().csr()

    answer = await mesh.enrolment.EnrolPerson(enrolment.EnrolPersonRequest(csr_der=wish, invitation_token=token))

    assert uri(answer.certificate_chain_der[0]) == ["spiffe://cloud.obis/person/new.person"]
    assert answer.organisation_id == "odm-a"
    with refused(Reason.REASON_TICKET_USED):
        await mesh.enrolment.EnrolPerson(enrolment.EnrolPersonRequest(csr_der=wish, invitation_token=token))


async def test_nobody_comes_as_a_person_of_the_trust_root_by_an_invitation(mesh):
    """Ann could propose as Bob and then sign it as Ann: the proposer would count."""
    ann = mesh.callers["ann"]
    (oem,) = [
        each
        for each in (await ann.organisations.ListOrganisations(organisations.ListOrganisationsRequest())).organisations
        if each.kind == organisations.OrganisationKind.ORGANISATION_KIND_OEM
    ]
    asked = organisations.InvitePersonRequest(organisation_id=oem.organisation_id, person_id="bob")
    token = (await ann.organisations.InvitePerson(asked)).invitation_token

    with refused(Reason.REASON_ROLE_NOT_ALLOWED):
        await mesh.enrolment.EnrolPerson(enrolment.EnrolPersonRequest(csr_der=Key().csr(), invitation_token=token))


async def test_a_guessed_token_is_not_found(mesh):
    with refused(Reason.REASON_NOT_FOUND):
        await mesh.enrolment.EnrolPerson(enrolment.EnrolPersonRequest(csr_der=Key().csr(), invitation_token="A" * 43))


async def test_an_odms_person_invites_nobody_elsewhere_nor_under_a_taken_id(mesh):
    oda = mesh.callers["oda"]
    with refused(Reason.REASON_NOT_FOUND):
        await oda.organisations.InvitePerson(
            organisations.InvitePersonRequest(organisation_id="odm-b", person_id="eve")
        )
    with refused(Reason.REASON_ALREADY_EXISTS):
        await invitation(mesh, "ann")


@pytest.mark.parametrize(
    ("change", "signer", "reason"),
    [
        ({"requested_at": int(time.time()) - 3600}, "cat", Reason.REASON_EXPIRED),
        ({"spki_digest": b"\2" * 32}, "cat", Reason.REASON_DIGEST_MISMATCH),
        ({"person_id": "dan"}, "cat", Reason.REASON_ROLE_NOT_HELD),
        ({}, None, Reason.REASON_KEY_UNKNOWN),
    ],
)
async def test_a_person_request_counts_only_for_its_person_its_key_and_its_minutes(mesh, change, signer, reason):
    key = Key()
    said = {"person_id": "cat", "spki_digest": sha256(key.spki).digest(), "requested_at": int(time.time())}
    holder = mesh.people[signer] if signer else Key()
    proof = make_envelope(payload.PERSON_REQUEST, whole(PersonRequest(**{**said, **change})), [holder])

    with refused(reason):
        await mesh.enrolment.EnrolPerson(enrolment.EnrolPersonRequest(csr_der=key.csr(), person_request=proof))


async def test_renewal_gives_the_callers_own_name_and_no_other(mesh):
    wish = TransportKey.generate().request(Identity(Role.PERSON, "bob"))

    answer = await mesh.callers["oda"].enrolment.Renew(enrolment.RenewRequest(csr_der=wish))

    assert uri(answer.certificate_chain_der[0]) == ["spiffe://cloud.obis/person/oda"]


# ---- ports


async def test_renewal_is_not_for_the_anonymous_and_enrolment_not_for_the_known(mesh):
    with refused(Reason.REASON_ROLE_NOT_ALLOWED):
        await mesh.enrolment.Renew(enrolment.RenewRequest(csr_der=Key().csr()))
    with refused(Reason.REASON_ROLE_NOT_ALLOWED):
        await mesh.callers["oda"].enrolment.GetTrust(enrolment.GetTrustRequest())


async def test_a_certificate_of_another_ca_opens_nothing(mesh):
    """A thief makes a CA of the same name and certifies himself as ann."""
    ca, key = ec.generate_private_key(ec.SECP256R1()), TransportKey.generate()
    at = mesh.authority.not_valid_before_utc, mesh.authority.not_valid_after_utc
    builder = authority(CLOUD_HOST, ca.public_key(), not_before=at[0], not_after=at[1])
    forged_ca = builder.sign(ca, hashes.SHA256())
    mine = leaf(Identity(Role.PERSON, "ann"), key.public_key, forged_ca, not_before=at[0], not_after=at[1])
    chain = [each.public_bytes(Encoding.DER) for each in (mine.sign(ca, hashes.SHA256()), forged_ca)]
    credentials = Credentials(Authorities({CLOUD_HOST: [mesh.authority]}), key.certified(chain))
    identity = Identity(Role.CLOUD, "main")

    async with open_channel(f"127.0.0.1:{mesh.cloud.mesh.port}", identity, credentials) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await OrganisationsStub(channel).ListOrganisations(organisations.ListOrganisationsRequest(), timeout=5)
    assert understand(raised.value).reason in (Reason.REASON_UNREACHABLE, Reason.REASON_IDENTITY_UNKNOWN)
