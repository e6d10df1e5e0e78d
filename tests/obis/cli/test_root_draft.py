import pytest

from obis.cli.approver_key import ApproverKey, PublicKey
from obis.cli.exits import Usage
from obis.cli.rendering import render
from obis.cli.root_draft import (
    DraftPerson,
    DraftRole,
    DraftSite,
    MachineKeys,
    draft_root,
    fingerprint,
    missing_signatures,
    sign_root,
)
from obis.refusal import Refused
from obis.trust.trust_root import walk
from obis.v1.trust_root_pb2 import RootRole
from tests.obis.trust.people import (
    ALICE,
    BEACON,
    BOB,
    CAROL,
    ONLINE,
    REVOCATION,
    SITE_ROOT,
    SITE_TH,
    TRANSPORT_CA,
    WITNESS,
)

NOW = 1_795_000_000
PEOPLE = [
    DraftPerson(name, name.title(), PublicKey(key.spki))
    for name, key in (("alice", ALICE), ("bob", BOB), ("carol", CAROL))
]
ROLES = [DraftRole(role, 2, ("alice", "bob", "carol")) for role in ("ROOT", "GRANT", "ENROLMENT")]
SITES = [DraftSite("th-01", "TH", "Rayong", (PublicKey(SITE_TH.spki),))]
CLOUD = {
    "transport_ca_spki_der": TRANSPORT_CA.spki.hex(),
    "keys": [
        {"role": role, "scheme": scheme, "spki_der": key.spki.hex()}
        for role, scheme, key in (
            ("ONLINE", "P256", ONLINE),
            ("REVOCATION", "P256", REVOCATION),
            ("BEACON", "P256", BEACON),
            ("WITNESS", "ED25519", WITNESS),
        )
    ],
}
VAULT = {"site_root_spki_der": SITE_ROOT.spki.hex()}


def drafted(**changes):
    parts = {"people": PEOPLE, "roles": ROLES, "sites": SITES, "machines": MachineKeys.parse(CLOUD, VAULT)} | changes
    return draft_root("Acme", *(parts[name] for name in ("people", "roles", "sites", "machines")), now=NOW)


def signer(key):
    return ApproverKey(key.private)


def test_a_signed_draft_is_a_trust_root_everybody_can_walk():
    root = sign_root(sign_root(drafted(), signer(ALICE)), signer(BOB))

    view = walk([root], fingerprint(root))
    assert {each.person_id for each in view.root.persons} == {"alice", "bob", "carol"}
    assert view.threshold(RootRole.ROOT_ROLE_GRANT) == 2
    assert view.site_of(SITE_TH.key_id) == "th-01"
    assert [key.key_id for key in view.keys_of(RootRole.ROOT_ROLE_WITNESS)] == [WITNESS.key_id]


def test_the_same_facts_are_the_same_bytes():
    assert drafted().payload == drafted().payload


def test_one_signature_is_not_enough_and_it_says_how_many_are_wanted():
    once = sign_root(drafted(), signer(ALICE))

    assert missing_signatures(drafted()) == 2
    assert missing_signatures(once) == 1
    with pytest.raises(Refused, match="THRESHOLD_NOT_MET"):
        walk([once], fingerprint(once))


def test_a_person_who_signs_twice_counts_once():
    once = sign_root(drafted(), signer(ALICE))

    with pytest.raises(Refused, match="ALREADY_SIGNED"):
        sign_root(once, signer(ALICE))


def test_somebody_who_is_no_person_cannot_hold_a_role():
    with pytest.raises(Usage, match="mallory, who is no --person"):
        drafted(roles=[DraftRole("ROOT", 1, ("alice", "mallory"))])


def test_a_role_that_does_not_exist_is_refused():
    with pytest.raises(Usage, match="'KING' is no role"):
        drafted(roles=[*ROLES, DraftRole("KING", 1, ("alice",))])


@pytest.mark.parametrize(
    ("cloud", "vault"), [({}, VAULT), (CLOUD, {}), (CLOUD | {"transport_ca_spki_der": "xy"}, VAULT)]
)
def test_an_incomplete_public_json_says_what_is_missing(cloud, vault):
    with pytest.raises(Usage, match="holds no"):
        MachineKeys.parse(cloud, vault)


def test_the_whole_root_is_shown_before_it_is_signed():
    text = render(drafted())

    for key in (ALICE, BOB, CAROL, ONLINE, WITNESS, SITE_TH):
        assert key.key_id[:40] in text
    assert all(len(line) <= 80 for line in text.splitlines())
