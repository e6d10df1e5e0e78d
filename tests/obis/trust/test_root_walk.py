"""Sites, persons and the walk from version to version: who may speak, and which root follows which."""

import pytest

from obis.refusal import Refused
from obis.trust.envelope import digest, make_envelope
from obis.trust.payload import (
    PERSON_REQUEST,
    PRODUCT_RULE,
    STATION_TICKET,
    TRUST_ROOT,
)
from obis.trust.trust_root import walk
from obis.v1.enrolment_objects_pb2 import PersonRequest, SiteRole, StationTicket
from obis.v1.envelope_pb2 import SigScheme
from obis.v1.trust_root_pb2 import RootRole
from tests.obis.trust import people
from tests.obis.trust.keys import p256
from tests.obis.trust.objects import product_rule
from tests.obis.trust.people import (
    ALICE,
    BOB,
    BOB_SPARE,
    CAROL,
    DAVE,
    END,
    ERIN,
    GEORGE,
    ONLINE,
    ROLES,
    SITE_TH,
    SITE_VN,
    signed_root,
    trust_root,
)

RULE = product_rule().SerializeToString(deterministic=True)


@pytest.fixture(scope="module")
def view():
    return people.view()


def rule(*signers):
    return make_envelope(PRODUCT_RULE, RULE, signers)


# ---- A site's key ----


def station_ticket(*signers, factory="th-1"):
    ticket = StationTicket(
        ticket_id=b"t" * 16,
        factory_id=factory,
        role=SiteRole.SITE_ROLE_STATION,
        station_id="st-1",
        line_id="l-1",
        spki_digest=b"s" * 32,
        expires_at=END,
    )
    return make_envelope(STATION_TICKET, ticket.SerializeToString(deterministic=True), signers)


def test_a_supervisor_speaks_for_their_own_site_alone(view):
    assert view.site_of(SITE_TH.key_id) == "th-1"
    assert view.site("vn-1").country == "VN"
    assert view.verify(station_ticket(SITE_TH), STATION_TICKET).persons == {"sup-th"}
    with pytest.raises(Refused, match="WRONG_FACTORY"):
        view.verify(station_ticket(SITE_VN), STATION_TICKET)
    with pytest.raises(Refused, match="ROLE_NOT_HELD"):
        view.verify(station_ticket(BOB), STATION_TICKET)
    for ask in (lambda: view.site("xx-1"), lambda: view.site_of(BOB.key_id)):
        with pytest.raises(Refused, match=r"WRONG_FACTORY|ROLE_NOT_HELD"):
            ask()


# ---- A person asks for a certificate ----


def person_request(person, *signers):
    request = PersonRequest(person_id=person, spki_digest=b"s" * 32, requested_at=people.BEGIN)
    return make_envelope(PERSON_REQUEST, request.SerializeToString(deterministic=True), signers)


def test_a_person_asks_by_their_own_key(view):
    assert view.verify_person(person_request("bob", BOB_SPARE)).message.person_id == "bob"
    with pytest.raises(Refused, match="ROLE_NOT_HELD"):
        view.verify_person(person_request("bob", CAROL))
    with pytest.raises(Refused, match="ROLE_NOT_HELD"):
        view.verify_person(person_request("bob", ONLINE))
    with pytest.raises(Refused, match="THRESHOLD_NOT_MET"):
        view.verify_person(person_request("bob", BOB, BOB_SPARE))
    with pytest.raises(Refused, match="PAYLOAD_TYPE_UNEXPECTED"):
        view.verify(person_request("bob", BOB), PERSON_REQUEST)


# ---- The walk ----


def next_roles(**changed):
    return ROLES | {RootRole.Value(f"ROOT_ROLE_{role}"): rule for role, rule in changed.items()}


def test_the_walk_begins_at_the_fingerprint_alone():
    first = signed_root(trust_root())
    assert walk([first], digest(first.payload)).version == 1
    with pytest.raises(Refused, match="TRUST_ROOT_INVALID: the first trust root has fingerprint"):
        walk([first], bytes(32))
    with pytest.raises(Refused, match="TRUST_ROOT_INVALID"):
        walk([], digest(first.payload))
    second = signed_root(trust_root(2))
    with pytest.raises(Refused, match="TRUST_ROOT_STALE"):
        walk([second], digest(second.payload))


def test_the_next_root_needs_the_thresholds_of_both(view):
    """A new root quorum takes over only with the old one's consent, and only if it holds its keys itself."""
    roles = next_roles(ROOT=(2, [CAROL, DAVE, GEORGE]))
    after = view.extend(signed_root(trust_root(2, roles), ALICE, BOB, DAVE, GEORGE))
    assert (after.version, after.fingerprint) == (2, view.fingerprint)
    after.extend(signed_root(trust_root(3, roles), DAVE, GEORGE))
    for signers in ((DAVE, GEORGE), (ALICE, BOB), (ALICE, BOB, DAVE), (CAROL, DAVE, GEORGE)):
        with pytest.raises(Refused, match="THRESHOLD_NOT_MET"):
            view.extend(signed_root(trust_root(2, roles), *signers))
    with pytest.raises(Refused, match="KEY_UNKNOWN: neither version"):
        view.extend(signed_root(trust_root(2, roles), ALICE, BOB, DAVE, GEORGE, ERIN_FILE))


ERIN_FILE = p256("erin's file key")


@pytest.mark.parametrize("version", [1, 3])
def test_a_skipped_or_repeated_version_is_refused(view, version):
    with pytest.raises(Refused, match="TRUST_ROOT_STALE"):
        view.extend(signed_root(trust_root(version)))


def test_a_rule_signed_under_keys_that_left_is_refused_by_the_newer_root(view):
    after = view.extend(signed_root(trust_root(2, next_roles(GRANT=(2, [ALICE, CAROL, DAVE])))))

    with pytest.raises(Refused, match="ROLE_NOT_HELD"):
        after.verify(rule(BOB, CAROL), PRODUCT_RULE)


def test_the_first_roots_own_threshold_counts():
    only_one = signed_root(trust_root(), BOB)

    with pytest.raises(Refused, match="THRESHOLD_NOT_MET"):
        walk([only_one], digest(only_one.payload))


def bent(bend):
    root = trust_root()
    bend(root)
    return root


BENDS = {
    "a machine in GRANT": lambda root: root.roles[1].key_ids.append(ONLINE.key_id),
    "a key id of another key": lambda root: setattr(root.keys[0], "spki_der", p256("other").spki),
    "a key twice": lambda root: root.keys.append(root.keys[0]),
    "a person twice": lambda root: root.persons.append(root.persons[0]),
    "a site twice": lambda root: root.sites.append(root.sites[0]),
    "a role twice": lambda root: root.roles[8].CopyFrom(root.roles[0]),
    "a key twice in a role": lambda root: root.roles[0].key_ids.append(root.roles[0].key_ids[0]),
    "a role's key missing": lambda root: root.roles[0].key_ids.append("0" * 64),
    "nobody's key": lambda root: setattr(root.keys[0], "person_id", "nobody"),
    "a threshold nobody reaches": lambda root: setattr(root.roles[0], "threshold", 4),
    "two keys of one person as threshold": lambda root: setattr(root.roles[1], "threshold", 7),
    "no ROOT": lambda root: root.roles.pop(0),
    "a site key that is none": lambda root: root.sites[0].site_key_ids.append(ALICE.key_id),
    "a witness on P-256": lambda root: root.roles[6].key_ids.append(ONLINE.key_id),
    "a scheme that does not fit": lambda root: setattr(by_key(root, BOB), "scheme", SigScheme.SIG_SCHEME_ED25519),
    "WebAuthn without a party": lambda root: setattr(by_key(root, ERIN), "webauthn_rp_id", ""),
    "a party without WebAuthn": lambda root: setattr(by_key(root, BOB), "webauthn_rp_id", "x.example"),
    "expired when issued": lambda root: setattr(root, "expires_at", root.issued_at),
    "a site root that is no key": lambda root: setattr(root, "site_root_spki_der", bytes(64)),
}


def by_key(root, key):
    return next(each for each in root.keys if each.key_id == key.key_id)


@pytest.mark.parametrize("name", BENDS)
def test_a_root_that_is_not_in_order_is_refused_whoever_signed_it(name):
    envelope = signed_root(bent(BENDS[name]))

    with pytest.raises(Refused, match="TRUST_ROOT_INVALID"):
        walk([envelope], digest(envelope.payload))


def test_the_untouched_root_is_in_order():
    assert TRUST_ROOT.role == RootRole.ROOT_ROLE_ROOT
    envelope = signed_root(bent(lambda root: None))
    assert walk([envelope], digest(envelope.payload)).threshold(RootRole.ROOT_ROLE_GRANT) == 2
