"""Objects and certificates that a thief of some keys would put into an export, each with the reason that finds it."""

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from obis.trust.envelope import make_envelope, parse_envelope
from obis.trust.payload import AUTHORIZATION
from obis.trust.signature import P256_ORDER
from obis.v1.grant_pb2 import GrantRelease
from tests.obis.trust import people
from tests.obis.trust.floor import whole
from tests.obis.trust.forgery import (
    AUTH,
    EDGE,
    GRANT_1,
    GRANT_2,
    OTHER,
    PAI,
    RULE_1,
    changing,
    honest,
    refused,
    setting,
)
from tests.obis.trust.keys import ed, p256
from tests.obis.trust.objects import DAY
from tests.obis.trust.people import ALICE, BEGIN, BOB, CAROL, ONLINE
from tests.obis.trust.pki import site_ca
from tests.obis.trust.world import World

# ---- Governance ----

GOVERNANCE = {
    "a rule for more than its thief may sign": ({}, {RULE_1: (ONLINE,)}, "ROLE_NOT_HELD", RULE_1),
    "a rule one person signed": ({}, {RULE_1: (BOB,)}, "THRESHOLD_NOT_MET", RULE_1),
    "a grant one person signed": ({}, {GRANT_1: (BOB,)}, "THRESHOLD_NOT_MET", GRANT_1),
    "a grant one person signed twice": ({}, {GRANT_1: (BOB, people.BOB_SPARE)}, "THRESHOLD_NOT_MET", GRANT_1),
    "a grant its proposer signed": ({}, {GRANT_1: (ALICE, BOB)}, "PROPOSER_SIGNED", GRANT_1),
    "a grant the online key signed": ({}, {GRANT_1: (ONLINE,)}, "ROLE_NOT_HELD", GRANT_1),
    "a grant a stranger signed too": ({}, {GRANT_1: (BOB, CAROL, p256("stranger"))}, "KEY_UNKNOWN", GRANT_1),
    "an approval one person signed": (
        {},
        {f"approvals/{EDGE}-1.dsse": (BOB,)},
        "THRESHOLD_NOT_MET",
        f"approvals/{EDGE}-1.dsse",
    ),
    "an authorization people signed": ({}, {AUTH: (BOB, CAROL)}, "ROLE_NOT_HELD", AUTH),
    "a manifest the grant quorum signed": ({}, {"manifest.dsse": (BOB, CAROL)}, "ROLE_NOT_HELD", "manifest.dsse"),
    "a revocation list by the online key": (
        {},
        {"revocations/0001.dsse": (ONLINE,)},
        "ROLE_NOT_HELD",
        "revocations/0001",
    ),
    "more granted than may ever be made": ({"rule": setting(lifetime_quantity=89)}, {}, *("LIFETIME_QUANTITY_EXCEEDED", GRANT_2)),
    "a lie about what was granted before": (
        {"second_grant": setting(granted_before=10)},
        {},
        "LIFETIME_QUANTITY_EXCEEDED",
        GRANT_2,
    ),
    "a grant that skips one": ({"second_grant": setting(sequence=3)}, {}, "DIGEST_MISMATCH", GRANT_2),
    "a grant that follows another": ({"second_grant": setting(previous_digest=bytes(32))}, {}, "DIGEST_MISMATCH", GRANT_2),
    "a grant of another rule": ({"grant": setting(rule_digest=bytes(32))}, {}, "DEPENDENCY_MISSING", GRANT_1),
    "shares above the grant": (
        {"grant": changing(lambda grant: setattr(grant.edge_caps[0], "max_quantity", 31))},
        {},
        "EDGE_CAP_EXCEEDED",
        GRANT_1,
    ),
    "a release nobody can show": (
        {
            "second_grant": lambda grant: releasing(grant, closed_leaf_hashes=[bytes(32)]),
        },
        {},
        "DEPENDENCY_MISSING",
        GRANT_2,
    ),
    "a release by a credit that is not here": (
        {"second_grant": lambda grant: releasing(grant, scrap_credit_digest=bytes(32))},
        {},
        "DEPENDENCY_MISSING",
        GRANT_2,
    ),
    "an approval for a site nobody named": (
        {f"approval {EDGE}": setting(factory_id="xx-1")},
        {},
        "WRONG_FACTORY",
        f"approvals/{EDGE}-1.dsse",
    ),
    "an approval of a key approved elsewhere": (
        {f"approval {OTHER}": changing(lambda a: setattr(a.keys, "log_spki_der", ed(f"{EDGE} log").spki))},
        {},
        "KEY_REUSED",
        f"approvals/{OTHER}-1.dsse",
    ),
    "an authorization above its share": ({f"authorization {EDGE}": setting(quantity=21)}, {}, "EDGE_CAP_EXCEEDED", AUTH),
    "an authorization of another version": (
        {f"authorization {EDGE}": setting(version_digest=bytes(32))},
        {},
        "WRONG_PRODUCT_VERSION",
        AUTH,
    ),
    "an authorization for another factory": (
        {f"authorization {EDGE}": setting(factory_id="vn-1")},
        {},
        "WRONG_FACTORY",
        AUTH,
    ),
    "an authorization for another epoch": ({f"authorization {EDGE}": setting(epoch=2)}, {}, "WRONG_EPOCH", AUTH),
    "an authorization that outlives its grant": (
        {f"authorization {EDGE}": changing(lambda a: setattr(a.window, "ends_at", BEGIN + 31 * DAY))},
        {},
        "WINDOW_CLOSED",
        AUTH,
    ),
    "an authorization with another template": (
        {f"authorization {EDGE}": changing(lambda a: setattr(a.template, "common_name_pattern", "Mine {serial}"))},
        {},
        "CERTIFICATE_LINT_FAILED",
        AUTH,
    ),
    "an authorization left out": ({f"authorization {EDGE}": setting(sequence=2)}, {}, "SEQUENCE_GAP", "authorizations/"),
    "a version other than the one approved": ({"grant": setting(firmware_digest=b"x" * 32)}, {}, "WRONG_PRODUCT_VERSION", GRANT_1),
    "a declaration by an unknown signer": (
        {"rule": changing(lambda rule: rule.cd_signer_spki_der.__setitem__(0, p256("other").spki))},
        {},
        "CD_INVALID",
        GRANT_1,
    ),
}  # fmt: skip


def releasing(grant, **evidence):
    grant.releases.append(GrantRelease(grant_digest=grant.previous_digest, quantity=5, **evidence))
    grant.granted_before -= 5
    return grant


@pytest.mark.parametrize("name", GOVERNANCE)
def test_governance(name):
    edits, signers, reason, where = GOVERNANCE[name]

    refused(reason, where, World(edits, signers))


def test_the_cloud_cannot_authorize_more_than_a_share_in_two_pieces():
    def another(files):
        auth = parse_envelope(files[AUTH])
        message = AUTHORIZATION.message.FromString(auth.payload)
        message.auth_id, message.sequence, message.quantity = b"2" * 16, 2, 15
        files[f"authorizations/{message.auth_id.hex()}.dsse"] = whole(
            make_envelope(AUTHORIZATION, whole(message), [ONLINE])
        )
        return files

    refused("EDGE_CAP_EXCEEDED", "authorizations/", World({"files": another}))


def test_a_high_s_manifest_is_refused():
    world = World()
    envelope = parse_envelope(world.files["manifest.dsse"])
    r, s = decode_dss_signature(envelope.signatures[0].sig)
    envelope.signatures[0].sig = encode_dss_signature(r, P256_ORDER - s)
    world.files["manifest.dsse"] = whole(envelope)

    refused("SIGNATURE_INVALID", "manifest.dsse", world)


def test_the_export_of_another_mesh_is_refused():
    refused("TRUST_ROOT_INVALID", "manifest.dsse", World({"manifest": setting(fingerprint=bytes(32))}))


# ---- Certificates ----


def without(*paths):
    return {"files": lambda files: {path: content for path, content in files.items() if path not in paths}}


CERTIFICATES = {
    "a PAI without its grant": (
        {f"pai_request {EDGE}": setting(grant_digest=bytes(32))},
        {},
        "DEPENDENCY_MISSING",
        PAI,
    ),
    "a PAI asked for by another EdgeHSM": (
        {},
        {f"{PAI[:-4]}.request.dsse": (p256(f"{OTHER} identity"),)},
        "KEY_UNKNOWN",
        f"{PAI[:-4]}.request.dsse",
    ),
    "a PAI for a key nobody asked for": (
        {f"pai_request {EDGE}": setting(pai_csr_der=p256("other").csr())},
        {},
        "KEY_UNKNOWN",
        PAI,
    ),
    "a PAI the vault does not admit to": (
        {"act 2": setting(result_digest=bytes(32))},
        {},
        "DEPENDENCY_MISSING",
        PAI,
    ),
    "a PAI under another grant than the vault says": (
        {"act 2": setting(grant_digest=bytes(32))},
        {},
        "DEPENDENCY_MISSING",
        PAI,
    ),
    "a gap in the vault's acts": ({"act 2": setting(sequence=3)}, {}, "BROKEN_CHAIN", "vault/acts.bin act 2"),
    "an act that follows another": (
        {"act 3": setting(previous_digest=bytes(32))},
        {},
        "BROKEN_CHAIN",
        "vault/acts.bin act 3",
    ),
    "a PAI that is hidden": (without(PAI, f"{PAI[:-4]}.request.dsse"), {}, "DEPENDENCY_MISSING", "vault/acts.bin"),
    "a PAI without its request": (without(f"{PAI[:-4]}.request.dsse"), {}, "DEPENDENCY_MISSING", "request.dsse"),
    "a request without its PAI": (without(PAI), {}, "DEPENDENCY_MISSING", PAI),
    "a site CA that is hidden": (without(f"site-ca/{EDGE}-1.der"), {}, "DEPENDENCY_MISSING", "vault/acts.bin"),
    "no approval": (without(f"approvals/{EDGE}-1.dsse"), {}, "DEPENDENCY_MISSING", AUTH),
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_certificates(name):
    edits, signers, reason, where = CERTIFICATES[name]

    refused(reason, where, World(edits, signers))


@pytest.mark.parametrize(
    ("key", "host", "reason"),
    [(f"{EDGE} site ca", "vn-1.site.obis", "WRONG_FACTORY"), ("another site ca", "", "KEY_UNKNOWN")],
)
def test_a_site_ca_for_another_site_or_key(key, host, reason):
    forged = site_ca("th-1", p256(key), honest().site_root, host)

    refused(reason, f"site-ca/{EDGE}-1.der", World({"files": lambda files: files | {f"site-ca/{EDGE}-1.der": forged}}))
