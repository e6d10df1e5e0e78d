"""Everything that may be delivered, by an honest courier and by one that is not."""

from __future__ import annotations

from shutil import copytree

import pytest

from obis.trust.envelope import pae, verify_single
from obis.trust.payload import AUTHORIZATION, BEACON, PAI_REQUEST
from obis.v1.delivery_pb2 import Delivery, PaiDelivery
from obis.v1.envelope_pb2 import Envelope, Sig, SigScheme
from obis.v1.grant_pb2 import EdgeCap, Lease, LeaseKind
from obis.v1.leaf_pb2 import CloseReason
from obis.v1.package_pb2 import SealedPackage
from obis.v1.revocation_pb2 import LoweredQuantity
from obis.v1.scope_pb2 import Assurance, TimeQuality, Window
from tests.edgehsm.room import NOW, Room, digest_of, firmware, issue, make_folder, outcome, ready_room, reason
from tests.edgehsm.world import EDGE, World, chip
from tests.obis.trust import objects, people
from tests.obis.trust.keys import p256


@pytest.fixture
def room(tmp_path):
    """With a station, a Grant and its PAI."""
    return ready_room(tmp_path / "room")


@pytest.fixture(scope="module")
def _enrolled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("enrolled")
    make_folder(folder)
    room = Room(folder, World(NOW))
    room.enrol()
    room.store.close()
    return room


@pytest.fixture
def bare(_enrolled, tmp_path):
    """Enrolled, and nothing delivered yet."""
    copytree(_enrolled.folder, tmp_path / "bare")
    return Room(tmp_path / "bare", _enrolled.world)


def authorize(room, **changed):
    return room.deliver(authorization=room.world.authorization(room.grant, room.pai, **changed))


# ---- Grants


def test_a_grant_makes_the_products_keys_inside_and_a_request_signed_by_the_identity_key(bare):
    result = bare.deliver(grant=bare.world.grant())

    said = verify_single(result.pai_request, PAI_REQUEST, bare.world.keys.identity_spki_der, SigScheme.SIG_SCHEME_P256)
    assert (said.edgehsm_id, said.product_id) == (EDGE, objects.PRODUCT)
    assert bare.leaves("product_keys")
    assert bare.leaves("grant_admitted")[0].edge_cap == 1_000_000


def test_the_same_grant_again_changes_nothing_and_gets_the_same_request(bare):
    grant = bare.world.grant()
    first = bare.deliver(grant=grant)
    size = bare.status.log_size
    bare.restart()
    again = bare.deliver(grant=grant)

    assert (again.accepted, again.reason, again.pai_request) == (True, "ALREADY_ADMITTED", first.pai_request)
    assert bare.status.log_size == size + 1  # the incarnation


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"edge_caps": [EdgeCap(factory_id="vn-1", edgehsm_id="edge-vn", epoch=1, max_quantity=9)]}, "WRONG_EDGEHSM"),
        ({"edge_caps": [EdgeCap(factory_id="vn-1", edgehsm_id=EDGE, epoch=1, max_quantity=9)]}, "WRONG_FACTORY"),
        ({"edge_caps": [EdgeCap(factory_id="th-1", edgehsm_id=EDGE, epoch=2, max_quantity=9)]}, "WRONG_EPOCH"),
        ({"granted_before": 9_000_000}, "LIFETIME_QUANTITY_EXCEEDED"),
        ({"version_digest": b"x" * 32}, "DIGEST_MISMATCH"),
        ({"firmware_digest": b"x" * 32}, "WRONG_PRODUCT_VERSION"),
        ({"soc": "generic-thread"}, "WRONG_PRODUCT_VERSION"),
        ({"required_assurance": Assurance.ASSURANCE_TOKEN_HARDWARE}, "ASSURANCE_TOO_LOW"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_grant_that_is_not_ours_or_does_not_fit_makes_no_key(bare, changed, word):
    result = bare.deliver(grant=bare.world.grant(**changed))

    assert (result.accepted, result.reason) == (False, word)
    assert reason(bare.leaves("refused")[-1]) == word
    assert not bare.leaves("product_keys")


@pytest.mark.parametrize(
    ("signers", "word"),
    [
        ((people.BOB,), "THRESHOLD_NOT_MET"),
        ((people.BOB, people.BOB_SPARE), "THRESHOLD_NOT_MET"),
        ((people.ALICE, people.BOB), "PROPOSER_SIGNED"),
        ((people.BOB, people.ONLINE), "ROLE_NOT_HELD"),
        ((people.BOB, p256("nobody")), "KEY_UNKNOWN"),
    ],
    ids=["one person", "one person twice", "proposer", "the cloud's key", "stranger"],
)
def test_a_grant_needs_the_quorum_counted_here(bare, signers, word):
    assert bare.deliver(grant=bare.world.grant(*signers)).reason == word


def test_an_older_grant_of_the_product_is_refused(room):
    again = room.world.grant(grant_id=b"another grant id")

    assert room.deliver(grant=again).reason == "REPLAYED"


def test_another_paa_than_the_rules_is_refused(bare):
    grant = bare.world.grant()
    grant.paa_cert_der = bare.world.paa_der[:-1] + b"\0"

    assert bare.deliver(grant=grant).reason == "DIGEST_MISMATCH"


# ---- PAI


def test_a_pai_for_another_key_or_by_another_paa_or_product_is_refused(bare):
    request = bare.deliver(grant=bare.world.grant()).pai_request
    mine = bare.world.certify_pai(request)
    point = p256("another pai").point
    for pai_der, word in [
        (bare.world.pai(point), "DIGEST_MISMATCH"),
        (mine.pai_cert_der[:-1] + bytes([mine.pai_cert_der[-1] ^ 1]), "CERTIFICATE_LINT_FAILED"),
        (bare.world.certify_pai(request, product_code=0x8001).pai_cert_der, "WRONG_PRODUCT"),
        (b"rubbish", "CERTIFICATE_LINT_FAILED"),
    ]:
        assert bare.deliver(pai=PaiDelivery(product_id=objects.PRODUCT, pai_cert_der=pai_der)).reason == word
    assert bare.deliver(pai=mine).accepted
    assert bare.deliver(pai=mine).reason == "ALREADY_ADMITTED"


def test_a_pai_before_its_grant_has_nothing_to_stand_on(bare):
    pai = PaiDelivery(product_id=objects.PRODUCT, pai_cert_der=bare.world.pai(p256("x").point))

    assert bare.deliver(pai=pai).reason == "DEPENDENCY_MISSING"


# ---- Authorizations


def test_an_authorization_before_its_pai_waits(bare):
    bare.grant = bare.world.grant()
    request = bare.deliver(grant=bare.grant).pai_request
    bare.pai = bare.world.certify_pai(request)
    assert authorize(bare).reason == "PAI_NOT_READY"

    bare.deliver(pai=bare.pai)
    assert authorize(bare).accepted


def test_the_same_authorization_again_leaves_no_leaf(room):
    first = room.world.authorization(room.grant, room.pai)
    room.deliver(authorization=first)
    size = room.status.log_size

    assert room.deliver(authorization=first).reason == "ALREADY_ADMITTED"
    assert room.status.log_size == size


def test_a_replayed_authorization_grants_nothing(room):
    room.admit()
    other = authorize(room, quantity=5)
    later = authorize(room, sequence=3, auth_id=b"third batch id !")

    assert (other.accepted, other.reason) == (False, "REPLAYED")
    assert later.reason == "SEQUENCE_GAP"
    assert authorize(room, sequence=2).reason == "REPLAYED"  # the id of sequence 1


def test_a_closed_authorization_cannot_come_again(room):
    short = Window(starts_at=NOW - 60, ends_at=NOW + 60)
    delivery = room.world.authorization(room.grant, room.pai, window=short)
    room.deliver(authorization=delivery)
    room.later(120)

    assert room.deliver(authorization=delivery).reason == "REPLAYED"
    (closed,) = room.leaves("authorization_closed")
    assert (closed.used, closed.close_reason) == (0, CloseReason.CLOSE_REASON_WINDOW_ENDED)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"factory_id": "vn-1"}, "WRONG_FACTORY"),
        ({"edgehsm_id": "edge-vn"}, "WRONG_EDGEHSM"),
        ({"epoch": 2}, "WRONG_EPOCH"),
        ({"grant_digest": b"x" * 32}, "DEPENDENCY_MISSING"),
        ({"product_id": b"x" * 16}, "WRONG_PRODUCT"),
        ({"version_digest": b"x" * 32}, "WRONG_PRODUCT_VERSION"),
        ({"quantity": 1_000_001}, "EDGE_CAP_EXCEEDED"),
        ({"window": Window(starts_at=NOW, ends_at=NOW + 400 * 86400)}, "WINDOW_CLOSED"),
        ({"minimum_revocation_sequence": 1}, "REVOCATION_STALE"),
        ({"pai_cert_digest": b"x" * 32}, "DIGEST_MISMATCH"),
        ({"package_digest": b"x" * 32}, "DIGEST_MISMATCH"),
        ({"dac_not_before": NOW - 10 * 86400}, "CERTIFICATE_LINT_FAILED"),
        ({"package": {"auth_id": b"x" * 16}}, "SEAL_INVALID"),
        ({"package": {"edgehsm_id": "edge-vn"}}, "SEAL_INVALID"),
        ({"package": {"epoch": 2}}, "SEAL_INVALID"),
        ({"package": {"version_manifest": b"another"}}, "WRONG_PRODUCT_VERSION"),
        ({"package": {"pai_cert_der": b"another"}}, "DIGEST_MISMATCH"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_an_authorization_out_of_scope_is_refused_by_the_dimension_it_breaks(room, changed, word):
    result = authorize(room, **changed)

    assert (result.accepted, result.reason) == (False, word)
    assert not room.status.authorizations


def test_authorizations_of_one_grant_share_the_edge_cap_and_closing_releases_what_was_not_used(room):
    short = Window(starts_at=NOW - 60, ends_at=NOW + 60)
    first = room.admit(quantity=600_000, window=short)
    room.step(issue(first, chip(1)))
    second = {"sequence": 2, "auth_id": b"second batch id!", "serial_prefix": b"\x22abc", "quantity": 999_999}
    assert authorize(room, **second).reason == "EDGE_CAP_EXCEEDED"

    room.later(120)
    assert authorize(room, **second).accepted


def test_a_tampered_authorization_is_refused(room):
    delivery = room.world.authorization(room.grant, room.pai)
    payload = bytearray(delivery.authorization.payload)
    payload[payload.index(b"edge-th")] ^= 1
    delivery.authorization.payload = bytes(payload)

    assert room.deliver(authorization=delivery).reason == "SIGNATURE_INVALID"


def test_an_unknown_field_in_a_signed_payload_is_refused(room):
    delivery = room.world.authorization(room.grant, room.pai)
    payload = delivery.authorization.payload + b"\xf8\x07\x01"
    signature = people.ONLINE.sign(pae(AUTHORIZATION.text, payload))
    sig = Sig(sig=signature, key_id=people.ONLINE.key_id, scheme=people.ONLINE.scheme)
    delivery.authorization.CopyFrom(Envelope(payload=payload, payload_type=AUTHORIZATION.text, signatures=[sig]))

    assert room.deliver(authorization=delivery).reason == "UNKNOWN_FIELD"


def test_an_approvers_key_cannot_sign_an_authorization(room):
    assert authorize(room, signer=people.BOB).reason == "ROLE_NOT_HELD"


def test_a_package_sealed_in_another_context_or_altered_does_not_open(room):
    delivery = room.world.authorization(room.grant, room.pai)
    altered = delivery.package.sealed[:-1] + bytes([delivery.package.sealed[-1] ^ 1])
    delivery.package.CopyFrom(SealedPackage(edgehsm_id=EDGE, auth_id=delivery.package.auth_id, sealed=altered))

    assert room.deliver(authorization=delivery).reason == "SEAL_INVALID"


@pytest.mark.parametrize(
    ("wrapper", "word"), [({"edgehsm_id": "edge-vn"}, "WRONG_EDGEHSM"), ({"epoch": 2}, "WRONG_EPOCH")]
)
def test_a_delivery_addressed_to_another_is_refused(room, wrapper, word):
    assert room.deliver(beacon=room.world.beacon(1, NOW), **wrapper).reason == word


# ---- what comes from time to time


def test_a_revoked_authorization_stops_at_once_and_says_how_much_was_made(room):
    auth_id = room.admit()
    room.step(issue(auth_id, chip(1)))
    assert room.deliver(revocation_list=room.world.revocations(auth_ids=[auth_id])).accepted

    (closed,) = room.leaves("authorization_closed")
    assert (closed.used, closed.close_reason) == (1, CloseReason.CLOSE_REASON_REVOKED)
    room.restart()
    assert reason(room.step(issue(auth_id, chip(2)))) == "REVOKED"
    assert reason(room.step(issue(auth_id, chip(1)))) == "REVOKED"


def test_what_was_made_before_a_revocation_still_has_its_record(room):
    auth_id, one = room.admit(), chip(1)
    nonce = room.step(issue(auth_id, one)).issued.boundary_nonce
    room.deliver(revocation_list=room.world.revocations(auth_ids=[auth_id]))

    assert reason(room.step(firmware(auth_id, one))) == "REVOKED"
    assert room.step(outcome(auth_id, one, passed=True, report=one.report(auth_id, nonce))).outcome.log_index


def test_a_key_that_finds_no_room_on_the_disk_changes_nothing(bare, monkeypatch):
    grant = bare.world.grant()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("edgehsm.boundary.element.software.replace_file", full)
        assert reason(bare.ask(deliver=Delivery(number=1, edgehsm_id=EDGE, epoch=1, grant=grant))) == "STORAGE_FULL"

    assert not bare.leaves("grant_admitted")
    assert bare.deliver(grant=grant).reason == ""


def test_a_revoked_station_or_a_paused_batch_makes_nothing_and_a_newer_list_lets_it_go_on(room):
    auth_id = room.admit()
    stopped = [digest_of(p256("station"))]
    room.deliver(revocation_list=room.world.revocations(1, station_spki_digests=stopped))
    assert reason(room.step(issue(auth_id, chip(1)))) == "STATION_NOT_ENROLLED"
    room.deliver(revocation_list=room.world.revocations(2, paused_auth_ids=[auth_id]))
    assert reason(room.step(issue(auth_id, chip(1)))) == "REVOKED"
    room.deliver(revocation_list=room.world.revocations(3))

    assert room.step(issue(auth_id, chip(1))).issued.dac_der


def test_a_list_lowers_a_quantity_and_never_raises_it_across_a_restart(room):
    auth_id = room.admit(quantity=2)
    lowered = [LoweredQuantity(auth_id=auth_id, quantity=1)]
    room.deliver(revocation_list=room.world.revocations(1, lowered=lowered))
    room.step(issue(auth_id, chip(1)))
    room.restart()
    assert reason(room.step(issue(auth_id, chip(2)))) == "QUANTITY_SPENT"

    raised = [LoweredQuantity(auth_id=auth_id, quantity=50)]
    room.deliver(revocation_list=room.world.revocations(2, lowered=raised))
    room.step(issue(auth_id, chip(2)))
    assert room.status.authorizations[0].quantity == 1


def test_an_older_or_another_list_of_the_same_sequence_is_stale(room):
    newest = room.world.revocations(2)
    room.deliver(revocation_list=newest)

    assert room.deliver(revocation_list=newest).reason == "ALREADY_ADMITTED"
    assert room.deliver(revocation_list=room.world.revocations(1)).reason == "REVOCATION_STALE"
    assert (
        room.deliver(revocation_list=room.world.revocations(2, grant_digests=[b"g" * 32])).reason == "REVOCATION_STALE"
    )


def test_a_key_on_the_list_counts_no_longer(room):
    room.deliver(revocation_list=room.world.revocations(1, key_ids=[people.ONLINE.key_id]))

    assert authorize(room).reason == "REVOKED"


def test_a_beacon_is_a_lower_bound_for_time_and_an_old_one_is_refused(room):
    assert room.deliver(beacon=room.world.beacon(5, NOW + 30)).accepted

    assert room.status.now == NOW + 30
    assert room.status.time_quality == TimeQuality.TIME_QUALITY_BEACONED
    assert room.deliver(beacon=room.world.beacon(4, NOW + 500)).reason == "REPLAYED"
    assert room.deliver(beacon=room.world.beacon(6, NOW + 500, edgehsm_id="edge-vn")).reason == "WRONG_EDGEHSM"


def test_the_next_trust_root_is_taken_and_what_was_admitted_before_still_reads(room):
    auth_id = room.admit()
    second = people.signed_root(people.trust_root(version=2))
    assert room.deliver(trust_root=second).accepted
    room.restart()

    assert room.deliver(trust_root=second).reason == "ALREADY_ADMITTED"
    assert room.deliver(trust_root=people.signed_root(people.trust_root(version=4))).reason == "TRUST_ROOT_STALE"
    assert room.step(issue(auth_id, chip(1))).issued.dac_der


def test_a_list_and_a_beacon_renewed_under_the_next_trust_root_read_back(room):
    """Their rows keep the place of the first ones, which stood before the root."""
    world = room.world
    for number in (1, 2):
        assert room.deliver(revocation_list=world.revocations(number)).accepted
        assert room.deliver(beacon=world.beacon(number, NOW + number)).accepted
        if number == 1:
            assert room.deliver(trust_root=people.signed_root(people.trust_root(version=2))).accepted
    room.restart()

    assert room.status.revocation_sequence == 2
    assert room.deliver(beacon=world.beacon(2, NOW + 500)).reason == "REPLAYED"


def test_a_beacon_beyond_all_dates_is_refused_and_the_site_ca_goes_on(room):
    assert room.deliver(beacon=room.world.beacon(1, 2**63 - 1)).reason == "MALFORMED"

    assert room.enrol_station(p256("later"), station_id="st-2").HasField("chain")
    room.restart()
    assert room.status.now == NOW


def test_a_witness_ahead_of_time_lengthens_no_lease_across_a_restart(room):
    lease = Lease(kind=LeaseKind.LEASE_KIND_COSIGNED, max_seconds=3600, max_issues=1000)
    delivery = room.world.grant(sequence=2, previous_digest=b"p" * 32, granted_before=1, lease=lease)
    assert room.deliver(grant=delivery).accepted
    room.grant = delivery
    auth_id = room.admit()
    assert room.cosigned(room.world.cosign(room.page().checkpoint, at=NOW + 10**6)).HasField("cosigned")
    room.restart()

    room.later(3600)
    assert reason(room.step(issue(auth_id, chip(1)))) == "LEASE_EXPIRED"


def test_a_beacon_where_a_list_should_be_is_the_wrong_type(room):
    assert room.deliver(revocation_list=room.world.beacon(1, NOW)).reason == "PAYLOAD_TYPE_UNEXPECTED"


def test_a_malformed_delivery_leaves_no_leaf(room):
    size = room.status.log_size

    assert room.deliver(beacon=Envelope(payload_type=BEACON.text, payload=b"x")).reason == "MALFORMED"
    assert room.deliver(pai=PaiDelivery(product_id=objects.PRODUCT, pai_cert_der=b"x")).reason == (
        "CERTIFICATE_LINT_FAILED"
    )
    assert room.status.log_size == size
