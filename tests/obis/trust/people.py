"""A mesh's people and machines, and the trust root that names them."""

from obis.trust.envelope import digest, make_envelope
from obis.trust.payload import TRUST_ROOT
from obis.trust.trust_root import walk
from obis.v1.trust_root_pb2 import RootKey, RootPerson, RootRole, RootRoleRule, RootSite, TrustRoot
from tests.obis.trust.keys import ORIGIN, RP_ID, Key, ed, ml_dsa, p256, passkey

BEGIN = 1_790_000_000  # 2026-09-21
END = BEGIN + 400 * 86400

ALICE, BOB, CAROL, DAVE = p256("alice"), p256("bob"), p256("carol"), p256("dave")
BOB_SPARE, ERIN, FAITH, GEORGE = ed("bob spare"), passkey("erin"), ml_dsa("faith"), p256("george")
ONLINE, REVOCATION, BEACON, WITNESS = p256("online"), p256("revocation"), p256("beacon"), ed("witness")
SITE_TH, SITE_VN = p256("site th"), p256("site vn")
TRANSPORT_CA, SITE_ROOT = p256("transport ca"), p256("site root")

PERSONS = {
    "alice": [ALICE],
    "bob": [BOB, BOB_SPARE],
    "carol": [CAROL],
    "dave": [DAVE],
    "erin": [ERIN],
    "faith": [FAITH],
    "george": [GEORGE],
    "sup-th": [SITE_TH],
    "sup-vn": [SITE_VN],
}
APPROVERS = [ALICE, BOB, BOB_SPARE, CAROL, DAVE, ERIN, FAITH]
ROLES = {
    RootRole.ROOT_ROLE_ROOT: (2, [ALICE, BOB, CAROL]),
    RootRole.ROOT_ROLE_GRANT: (2, APPROVERS),
    RootRole.ROOT_ROLE_ENROLMENT: (2, [ALICE, BOB, CAROL]),
    RootRole.ROOT_ROLE_ONLINE: (1, [ONLINE]),
    RootRole.ROOT_ROLE_REVOCATION: (1, [REVOCATION]),
    RootRole.ROOT_ROLE_BEACON: (1, [BEACON]),
    RootRole.ROOT_ROLE_WITNESS: (1, [WITNESS]),
    RootRole.ROOT_ROLE_SITE: (1, [SITE_TH, SITE_VN]),
    RootRole.ROOT_ROLE_VOUCHER: (1, [GEORGE]),
}


def root_key(key: Key, person: str = "") -> RootKey:
    entry = RootKey(key_id=key.key_id, spki_der=key.spki, scheme=key.scheme, person_id=person)
    if key is ERIN:
        entry.webauthn_rp_id, entry.webauthn_origin = RP_ID, ORIGIN
    return entry


def trust_root(version: int = 1, roles=ROLES) -> TrustRoot:
    keys = {key.key_id: root_key(key, person) for person, held in PERSONS.items() for key in held}
    machines = [ONLINE, REVOCATION, BEACON, WITNESS]
    machines += [key for _, held in roles.values() for key in held if key.key_id not in keys]
    keys |= {key.key_id: root_key(key) for key in machines}
    return TrustRoot(
        mesh_name="Test mesh",
        version=version,
        issued_at=BEGIN,
        expires_at=END,
        persons=[RootPerson(person_id=person, name=person.title()) for person in PERSONS],
        keys=sorted(keys.values(), key=lambda key: key.key_id),
        roles=[
            RootRoleRule(role=role, threshold=threshold, key_ids=sorted(key.key_id for key in held))
            for role, (threshold, held) in roles.items()
        ],
        sites=[
            RootSite(factory_id="th-1", site_key_ids=[SITE_TH.key_id], country="TH", name="Thailand 1"),
            RootSite(factory_id="vn-1", site_key_ids=[SITE_VN.key_id], country="VN", name="Vietnam 1"),
        ],
        transport_ca_spki_der=TRANSPORT_CA.spki,
        site_root_spki_der=SITE_ROOT.spki,
    )


def signed_root(root: TrustRoot, *signers: Key):
    return make_envelope(TRUST_ROOT, root.SerializeToString(deterministic=True), signers or (BOB, CAROL))


def walked(envelope):
    return walk([envelope], digest(envelope.payload))


def view():
    return walked(signed_root(trust_root()))
