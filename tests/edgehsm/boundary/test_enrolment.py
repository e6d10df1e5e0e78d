"""How a boundary becomes an EdgeHSM, and that nothing else makes it one."""

from __future__ import annotations

import pytest
from cryptography import x509

from edgehsm.enrol import key_fingerprint
from obis.matter.csr import parse_csr
from obis.trust.checkpoint import verify_note
from obis.trust.envelope import verify_with_keys
from obis.trust.payload import ENROL_REQUEST, parse_closed
from obis.v1.boundary_pb2 import BeginEnrolment, CertifyFront
from obis.v1.custody_pb2 import CustodyStatusRequest
from obis.v1.enrolment_objects_pb2 import TicketSubject
from obis.v1.envelope_pb2 import SigScheme
from obis.v1.leaf_pb2 import LogLeaf
from obis.v1.scope_pb2 import Assurance
from tests.edgehsm.room import NOW, Room, make_folder, ready_room, reason
from tests.edgehsm.world import World
from tests.obis.trust import people
from tests.obis.trust.keys import p256


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A boundary that has shown its keys; `finish` on it is refused in every test but the last."""
    folder = tmp_path_factory.mktemp("begun")
    make_folder(folder)
    room = Room(folder, World(NOW))
    room.ticket = room.world.ticket()
    room.request = room.ask(begin_enrolment=BeginEnrolment(ticket=room.ticket)).enrol_request
    return room


def begin(room, **ticket):
    return room.ask(begin_enrolment=BeginEnrolment(ticket=room.world.ticket(**ticket)))


def finish(room, *signers, **approval):
    answer = room.world.approve(room.request, *signers, **approval)
    return room.ask(finish_enrolment=answer)


def test_the_request_is_signed_by_every_key_that_can_sign(begun):
    keys = parse_closed(ENROL_REQUEST, begun.request.payload).keys
    said = verify_with_keys(
        begun.request,
        ENROL_REQUEST,
        [
            (keys.identity_spki_der, SigScheme.SIG_SCHEME_P256),
            (keys.log_spki_der, SigScheme.SIG_SCHEME_ED25519),
            (keys.site_ca_spki_der, SigScheme.SIG_SCHEME_P256),
        ],
    )

    assert parse_csr(said.identity_csr_der).spki_der == keys.identity_spki_der
    assert parse_csr(said.site_ca_csr_der).spki_der == keys.site_ca_spki_der
    assert verify_note(said.first_checkpoint, "obis/edge-th/1", keys.log_spki_der).size == 0
    assert said.assurance == Assurance.ASSURANCE_SOFTWARE
    assert len(key_fingerprint(begun.request)) == 32


def test_the_same_ticket_again_gives_the_same_request_across_a_restart(begun):
    begun.restart()

    assert begun.ask(begin_enrolment=BeginEnrolment(ticket=begun.ticket)).enrol_request == begun.request


@pytest.mark.parametrize(
    ("ticket", "word"),
    [
        ({"factory_id": "vn-1"}, "WRONG_FACTORY"),
        ({"edgehsm_id": "edge-vn"}, "WRONG_EDGEHSM"),
        ({"subject": TicketSubject.TICKET_SUBJECT_FACTORY}, "PAYLOAD_TYPE_UNEXPECTED"),
        ({"epoch": 0}, "PAYLOAD_TYPE_UNEXPECTED"),
    ],
)
def test_a_ticket_for_somebody_else_makes_no_request(begun, ticket, word):
    assert reason(begin(begun, **ticket)) == word


def test_an_envelope_that_is_no_ticket_makes_no_request(begun):
    assert reason(begun.ask(begin_enrolment=BeginEnrolment(ticket=begun.world.beacon(1, NOW)))) == (
        "PAYLOAD_TYPE_UNEXPECTED"
    )


def test_before_the_end_of_enrolment_nothing_is_served(begun):
    assert reason(begun.ask(status=CustodyStatusRequest())) == "NOT_ENROLLED"
    assert reason(begun.ask(certify_front=CertifyFront(csr_der=p256("front").csr()))) == "NOT_ENROLLED"


@pytest.mark.parametrize(
    ("signers", "approval", "word"),
    [
        ((people.BOB,), {}, "THRESHOLD_NOT_MET"),
        ((people.ALICE, people.BOB), {}, "PROPOSER_SIGNED"),
        ((people.ONLINE,), {}, "ROLE_NOT_HELD"),
        ((), {"factory_id": "vn-1"}, "WRONG_FACTORY"),
        ((), {"edgehsm_id": "edge-vn"}, "WRONG_EDGEHSM"),
        ((), {"epoch": 2}, "WRONG_EPOCH"),
        ((), {"ticket_id": b"x" * 16}, "DIGEST_MISMATCH"),
        ((), {"assurance": Assurance.ASSURANCE_TOKEN_HARDWARE}, "ASSURANCE_TOO_LOW"),
    ],
)
def test_an_approval_without_quorum_or_for_another_is_refused(begun, signers, approval, word):
    assert reason(finish(begun, *signers, **approval)) == word


def test_an_approval_of_other_keys_than_the_ones_here_is_refused(begun):
    keys = parse_closed(ENROL_REQUEST, begun.request.payload).keys
    keys.hpke_spki_der = p256("a key of the courier").spki

    assert reason(finish(begun, keys=keys)) == "DIGEST_MISMATCH"


def test_a_trust_root_of_another_mesh_is_refused(begun):
    """All of it signed properly, by people the configuration knows nothing of."""
    answer = begun.world.approve(begun.request)
    other = people.trust_root()
    other.mesh_name = "Another mesh"
    del answer.trust_roots[:]
    answer.trust_roots.append(people.signed_root(other))

    assert reason(begun.ask(finish_enrolment=answer)) == "TRUST_ROOT_INVALID"


@pytest.mark.parametrize(
    "field", ["identity_cert_der", "site_ca_cert_der", "site_root_cert_der", "transport_ca_cert_der"]
)
def test_a_certificate_that_its_issuer_did_not_sign_or_for_another_key_is_refused(begun, field):
    answer = begun.world.approve(begun.request)
    broken = getattr(answer, field)
    setattr(answer, field, broken[:-1] + bytes([broken[-1] ^ 1]))

    assert reason(begun.ask(finish_enrolment=answer)) == "CERTIFICATE_LINT_FAILED"


def test_a_site_ca_for_another_site_is_refused(begun):
    answer = begun.world.approve(begun.request)
    keys = parse_closed(ENROL_REQUEST, begun.request.payload).keys
    answer.site_ca_cert_der = begun.world.site_ca(keys.site_ca_spki_der, factory="vn-1")

    assert reason(begun.ask(finish_enrolment=answer)) == "CERTIFICATE_LINT_FAILED"


def test_approved_it_begins_its_log_with_an_incarnation_and_each_start_adds_another(begun):
    assert finish(begun).finished.epoch == 1
    begun.restart()
    leaves = [LogLeaf.FromString(each) for each in begun.page().leaves]

    assert [leaf.WhichOneof("entry") for leaf in leaves] == ["incarnation", "incarnation"]
    assert leaves[0].incarnation.incarnation != leaves[1].incarnation.incarnation
    assert finish(begun).finished.epoch == 1  # told again
    assert reason(begin(begun, ticket_id=b"u" * 16)) == "STATE_CONFLICT"


# ---- the site CA


@pytest.fixture
def room(tmp_path):
    return ready_room(tmp_path / "room")


def names(certificate: x509.Certificate) -> list[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [each.value for each in found]


def test_the_front_gets_a_transport_certificate_for_a_day(room):
    chain = room.ask(certify_front=CertifyFront(csr_der=p256("front").csr())).chain
    leaf, ca = [x509.load_der_x509_certificate(each) for each in chain.certificates_der]

    leaf.verify_directly_issued_by(ca)
    assert names(leaf) == ["spiffe://th-1.site.obis/front/edge-th", "edge-th.front.th-1.site.obis"]
    assert leaf.not_valid_after_utc.timestamp() == NOW + 86400
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_station_is_certified_by_its_ticket_for_the_outage_budget(room):
    chain = room.enrol_station(p256("station two"), station_id="st-2").chain
    leaf = x509.load_der_x509_certificate(chain.certificates_der[0])

    assert names(leaf) == ["spiffe://th-1.site.obis/station/st-2"]
    assert leaf.not_valid_after_utc.timestamp() == NOW + (14 + 30) * 86400
    assert room.leaves("station_enrolled")[-1].signed_by == people.SITE_TH.key_id


def test_the_same_ticket_again_gives_the_same_certificate_and_no_leaf(room):
    first = room.enrol_station(p256("station two")).chain
    count = len(room.leaves("station_enrolled"))
    room.restart()

    assert room.enrol_station(p256("station two")).chain == first
    assert len(room.leaves("station_enrolled")) == count


@pytest.mark.parametrize(
    ("ticket", "word"),
    [
        ({"signer": people.SITE_VN}, "WRONG_FACTORY"),
        ({"signer": people.SITE_VN, "factory_id": "vn-1"}, "WRONG_FACTORY"),
        ({"signer": people.BOB}, "ROLE_NOT_HELD"),
        ({"expires_at": NOW}, "EXPIRED"),
        ({"spki_digest": b"x" * 32}, "DIGEST_MISMATCH"),
        ({"csr": b"rubbish"}, "CSR_MALFORMED"),
    ],
)
def test_a_ticket_that_is_not_good_here_certifies_nobody(room, ticket, word):
    assert reason(room.enrol_station(p256("station three"), **ticket)) == word


def test_no_more_stations_than_people_approved(room):
    for number in range(2):
        assert room.enrol_station(p256(f"more {number}")).HasField("chain")

    assert reason(room.enrol_station(p256("one too many"))) == "QUOTA_EXCEEDED"
