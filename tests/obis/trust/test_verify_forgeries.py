"""What a thief of some keys could forge so that all the rest fits, and the reason by which it is refused.

Every forgery is a whole world in which an object was bent just before its holder signed it, so manifests, digests,
chains, logs and cosignatures are all right: only the rule named is broken.
"""

from functools import cache
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from obis.refusal import Refused
from obis.trust.checkpoint import Checkpoint, cosign_note, parse_note, sign_note, witness_name
from obis.trust.envelope import digest, make_envelope, parse_envelope
from obis.trust.payload import AUTHORIZATION
from obis.trust.signature import P256_ORDER
from obis.trust.verify import verify_export
from obis.v1.grant_pb2 import GrantRelease
from obis.v1.leaf_pb2 import CloseReason, LogLeaf
from obis.v1.reason_pb2 import Reason
from obis.v1.revocation_pb2 import LoweredQuantity
from obis.v1.scope_pb2 import EvidenceLevel
from obis.v1.trust_root_pb2 import RootRole
from tests.obis.trust import people
from tests.obis.trust.keys import ed, p256
from tests.obis.trust.objects import DAY, PRODUCT
from tests.obis.trust.people import ALICE, BEGIN, BOB, CAROL, DAVE, ONLINE
from tests.obis.trust.world import FIRMWARE, HOUR, World, nonce, site_ca, whole

EDGE, OTHER = "edge-th", "edge-vn"
LOG = f"logs/{EDGE}-1"
GRANT_1 = f"grants/{PRODUCT.hex()}-0001.dsse"
GRANT_2 = f"grants/{PRODUCT.hex()}-0002.dsse"
RULE_1 = f"rules/{PRODUCT.hex()}-0001.dsse"
AUTH_ID = EDGE.encode().ljust(16, b"a")
AUTH = f"authorizations/{AUTH_ID.hex()}.dsse"
PAI = f"pai/{EDGE}-1-{PRODUCT.hex()}.der"


@cache
def honest() -> World:
    return World()


def refused(reason: str, where: str, world: World, fingerprint: bytes | None = None):
    with pytest.raises(Refused) as refusal:
        verify_export(world.files, fingerprint or world.fingerprint)
    assert (str(refusal.value).partition(":")[0], where in refusal.value.where) == (reason, True), (
        f"{refusal.value} in {refusal.value.where}"
    )


def setting(**fields):
    """An edit that sets fields."""

    def edit(message):
        for name, value in fields.items():
            setattr(message, name, value)
        return message

    return edit


def changing(change):
    """An edit that does something to the message."""

    def edit(message):
        change(message)
        return message

    return edit


def kind(leaves: list[LogLeaf], name: str, number: int = 0) -> LogLeaf:
    return [leaf for leaf in leaves if leaf.WhichOneof("entry") == name][number]


def at_leaf(name: str, change, number: int = 0):
    """Edits for the log of EDGE that change one leaf."""

    def edit(leaves):
        change(kind(leaves, name, number))
        return leaves

    return {f"leaves {EDGE}": edit}


def with_leaves(change):
    """Edits for the log of EDGE that return another list."""
    return {f"leaves {EDGE}": lambda leaves: change(leaves) or leaves}


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


# ---- The log ----


def split(content):
    leaves, position = [], 0
    while position < len(content):
        length = int.from_bytes(content[position : position + 4])
        leaves.append(content[position : position + 4 + length])
        position += 4 + length
    return leaves


@pytest.mark.parametrize(
    "forge",
    [
        lambda leaves: leaves[:10] + leaves[11:],
        lambda leaves: leaves[:-1],
        lambda leaves: [*leaves[:10], leaves[11], leaves[10], *leaves[12:]],
        lambda leaves: [*leaves, leaves[-1]],
        lambda leaves: [*leaves[:9], leaves[8], *leaves[10:]],
        lambda leaves: [],
    ],
    ids=["dropped", "cut", "swapped", "added", "doubled", "emptied"],
)
def test_a_log_whose_leaves_a_thief_of_the_online_key_changed(forge):
    changed = b"".join(forge(split(honest().files[f"{LOG}.leaves"])))

    refused("BROKEN_CHAIN", f"{LOG}.leaves", World({"files": lambda files: files | {f"{LOG}.leaves": changed}}))


def test_a_log_put_in_another_logs_place():
    other = f"logs/{OTHER}-1"
    swapped = {
        f"{LOG}{end}": honest().files[f"{other}{end}"] for end in (".leaves", ".checkpoint")
    }  # fmt: skip

    refused("BROKEN_CHAIN", f"{LOG}.checkpoint", World({"files": lambda files: files | swapped}))


def resigned(log, witness, name=None, *, lines=2):
    note = parse_note(honest().files[f"{LOG}.checkpoint"])
    made = sign_note(note.checkpoint, log.spki, log.sign)
    if lines == 2:
        made = cosign_note(made, name or witness_name(honest().fingerprint), witness.spki, witness.sign, BEGIN)
    return {f"{LOG}.checkpoint": made}


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        (lambda: resigned(ed("stranger"), people.WITNESS), "KEY_UNKNOWN"),
        (lambda: resigned(ed(f"{EDGE} log"), ed("stranger")), "KEY_UNKNOWN"),
        (lambda: resigned(ed(f"{EDGE} log"), people.WITNESS, witness_name(bytes(32))), "KEY_UNKNOWN"),
        (lambda: resigned(ed(f"{EDGE} log"), people.WITNESS, lines=1), "SIGNATURE_INVALID"),
    ],
    ids=["another log key", "another witness", "another mesh's witness", "no witness"],
)
def test_a_checkpoint_of_others(note, reason):
    refused(reason, f"{LOG}.checkpoint", World({"files": lambda files: files | note()}))


def test_a_log_signed_and_seen_but_not_of_these_leaves():
    log, witness = ed(f"{EDGE} log"), people.WITNESS
    made = sign_note(Checkpoint(f"obis/{EDGE}/1", 30, bytes(32)), log.spki, log.sign)
    note = cosign_note(made, witness_name(honest().fingerprint), witness.spki, witness.sign, BEGIN)

    refused("BROKEN_CHAIN", f"{LOG}.leaves", World({"files": lambda files: files | {f"{LOG}.checkpoint": note}}))


# ---- What a bent boundary would have written (its log key signs it, the witness cosigns it) ----


def issue_again(leaves, **changed):
    """Another issue leaf right after the last, for a device and key of its own unless changed."""
    world, auth, key = honest(), honest().auths[EDGE], p256("one more")
    device = kind(leaves, "issued").issued.device.__class__(soc="generic-wifi", uid=b"one more")
    dac = changed.pop("dac", None) or world.dac(EDGE, changed.get("key", key), b"one more")
    entry = world.issue(auth, changed.get("device", device), changed.get("key", key), dac, changed.get("count", 7))
    leaves.insert(len(leaves) - 2, world.leaf(8, issued=entry))


def closing(leaves, used):
    kind(leaves, "authorization_closed").authorization_closed.used = used


def moved(leaves, name, before):
    leaf = kind(leaves, name)
    leaves.remove(leaf)
    target = kind(leaves, before)
    leaf.at = target.at
    leaves.insert(leaves.index(target), leaf)


def ended_early(leaves):
    moved(leaves, "authorization_closed", "issued")
    closing(leaves, 0)


def late(leaves, name, hours):
    found = False
    for leaf in leaves:
        found = found or leaf.WhichOneof("entry") == name
        if found:
            leaf.at = BEGIN + hours * HOUR


def reported(leaves, number=0, **changed):
    """The outcome of one device, with a report that says something else."""
    device, key, _ = honest().issued[EDGE][number]
    report = honest().report(
        honest().auths[EDGE], device, changed.pop("key", key), changed.pop("nonce", nonce(number)), **changed
    )
    kind(leaves, "outcome", number).outcome.report.CopyFrom(report)


def older_report():
    device, key, _ = honest().issued[EDGE][1]
    return honest().report(honest().auths[EDGE], device, key, nonce(1))


def first_dac(edge=EDGE, number=0, **changed):
    return honest().dac(edge, p256(f"{edge} {number}"), bytes([number]) * 8, **changed)


def replaced_dac(leaves, dac):
    kind(leaves, "issued").issued.dac_der = dac


LEAVES = {
    "one device too many": (
        {f"authorization {EDGE}": setting(quantity=5)},
        "QUANTITY_SPENT",
    ),
    "a device twice": (
        with_leaves(lambda leaves: issue_again(leaves, device=kind(leaves, "issued").issued.device)),
        "REPLAYED",
    ),
    "a key twice": (
        with_leaves(lambda leaves: issue_again(leaves, key=p256(f"{EDGE} 0"))),
        "KEY_REUSED",
    ),
    "a count that skips": (with_leaves(lambda leaves: issue_again(leaves, count=8)), "SEQUENCE_GAP"),
    "a count that repeats": (with_leaves(lambda leaves: issue_again(leaves, count=6)), "SEQUENCE_GAP"),
    "a serial number twice": (
        with_leaves(lambda leaves: issue_again(leaves, dac=honest().dac(EDGE, p256("one more"), bytes(8)))),
        "REPLAYED",
    ),
    "a device of another chip family": (
        at_leaf("issued", lambda leaf: setattr(leaf.issued.device, "soc", "other-soc")),
        "WRONG_PRODUCT_VERSION",
    ),
    "a DAC another key signed": (
        with_leaves(lambda leaves: replaced_dac(leaves, first_dac(issuer="paa"))),
        "SIGNATURE_INVALID",
    ),
    "a DAC with another name": (
        with_leaves(lambda leaves: replaced_dac(leaves, first_dac(common_name_pattern="Mine {serial}"))),
        "CERTIFICATE_LINT_FAILED",
    ),
    "a DAC with another prefix": (
        with_leaves(lambda leaves: replaced_dac(leaves, first_dac(serial_prefix=b"\x22abc"))),
        "CERTIFICATE_LINT_FAILED",
    ),
    "a DAC of another EdgeHSM's PAI": (
        with_leaves(lambda leaves: replaced_dac(leaves, first_dac(OTHER))),
        "CERTIFICATE_LINT_FAILED",
    ),
    "a DAC for another key than the leaf says": (
        at_leaf("issued", lambda leaf: setattr(leaf.issued, "spki_digest", bytes(32))),
        "DIGEST_MISMATCH",
    ),
    "no certificate at all": (with_leaves(lambda leaves: replaced_dac(leaves, b"DAC")), "CERTIFICATE_LINT_FAILED"),
    "a device before the window": (
        {f"authorization {EDGE}": changing(lambda a: setattr(a.window, "starts_at", BEGIN + 3 * HOUR))},
        "WINDOW_NOT_OPEN",
    ),
    "a device after the window": (with_leaves(lambda leaves: late(leaves, "issued", 10 * 24)), "WINDOW_CLOSED"),
    "a device after the end": (
        with_leaves(ended_early),
        "AUTHORIZATION_CLOSED",
    ),
    "a device under an authorization nobody admitted": (
        at_leaf("issued", lambda leaf: setattr(leaf.issued, "auth_id", bytes(16))),
        "AUTHORIZATION_UNKNOWN",
    ),
    "a device before its authorization": (
        with_leaves(lambda leaves: moved(leaves, "issued", "authorization_admitted")),
        "AUTHORIZATION_UNKNOWN",
    ),
    "a device for a station nobody enrolled": (
        at_leaf("issued", lambda leaf: setattr(leaf, "station_key_digest", bytes(32))),
        "STATION_NOT_ENROLLED",
    ),
    "a station enrolled by another site": (
        at_leaf("station_enrolled", lambda leaf: setattr(leaf.station_enrolled, "signed_by", people.SITE_VN.key_id)),
        "ROLE_NOT_HELD",
    ),
    "an element below what the grant requires": ({"grant": setting(required_assurance=3)}, "ASSURANCE_TOO_LOW"),
    "an issue under a revoked authorization": (
        {"revocation": changing(lambda each: each.auth_ids.append(AUTH_ID))},
        "REVOKED",
    ),
    "an issue under a revoked grant": (
        {
            "grant": changing(lambda grant: None),
            "revocation": changing(lambda each: each.grant_digests.append(digest(whole(honest().grant)))),
        },
        "REVOKED",
    ),
    "an authorization admitted before its grant": (
        with_leaves(lambda leaves: moved(leaves, "authorization_admitted", "grant_admitted")),
        "DEPENDENCY_MISSING",
    ),
    "an authorization admitted twice": (
        with_leaves(lambda leaves: leaves.insert(7, clone(kind(leaves, "authorization_admitted")))),
        "REPLAYED",
    ),
    "an authorization that is not in the export": (
        at_leaf("authorization_admitted", lambda leaf: setattr(leaf.authorization_admitted, "authorization_digest", bytes(32))),
        "DEPENDENCY_MISSING",
    ),
    "a larger quantity than was signed": (
        at_leaf("authorization_admitted", lambda leaf: setattr(leaf.authorization_admitted, "quantity", 11)),
        "DIGEST_MISMATCH",
    ),
    "a larger share than was signed": (
        at_leaf("grant_admitted", lambda leaf: setattr(leaf.grant_admitted, "edge_cap", 21)),
        "EDGE_CAP_EXCEEDED",
    ),
    "a grant that is not in the export": (
        at_leaf("grant_admitted", lambda leaf: setattr(leaf.grant_admitted, "grant_digest", bytes(32))),
        "DEPENDENCY_MISSING",
    ),
    "keys that the PAI was not certified for": (
        at_leaf("product_keys", lambda leaf: setattr(leaf.product_keys, "pai_spki_digest", bytes(32))),
        "KEY_UNKNOWN",
    ),
    "another debug authority": (
        at_leaf("product_keys", lambda leaf: setattr(leaf.product_keys, "debug_spki_digest", bytes(32))),
        "KEY_UNKNOWN",
    ),
    "keys without a grant": (
        with_leaves(lambda leaves: moved(leaves, "product_keys", "grant_admitted")),
        "DEPENDENCY_MISSING",
    ),
    "a PAI that is not in the export": (
        at_leaf("pai_installed", lambda leaf: setattr(leaf.pai_installed, "pai_cert_digest", bytes(32))),
        "DEPENDENCY_MISSING",
    ),
    "a PAI of another EdgeHSM": (
        at_leaf(
            "pai_installed",
            lambda leaf: setattr(leaf.pai_installed, "pai_cert_digest", sha256(honest().pais[OTHER]).digest()),
        ),
        "WRONG_EDGEHSM",
    ),
    "a close that hides a device": (with_leaves(lambda leaves: closing(leaves, 5)), "BROKEN_CHAIN"),
    "firmware nobody granted": (
        at_leaf("firmware_authorized", lambda leaf: setattr(leaf.firmware_authorized, "firmware_digest", bytes(32))),
        "FIRMWARE_NOT_GRANTED",
    ),
    "an outcome of a device never issued": (
        at_leaf("outcome", lambda leaf: setattr(leaf.outcome.device, "uid", b"nobody")),
        "DEVICE_UNKNOWN",
    ),
    "a pass only the station reports": (
        at_leaf("outcome", lambda leaf: setattr(leaf.outcome, "evidence", EvidenceLevel.EVIDENCE_LEVEL_STATION_REPORTED)),
        "EVIDENCE_TOO_LOW",
    ),
    "a chip's evidence without a report": (
        at_leaf("outcome", lambda leaf: leaf.outcome.ClearField("report")),
        "EVIDENCE_TOO_LOW",
    ),
    "a pass with a reason": (
        at_leaf("outcome", lambda leaf: setattr(leaf.outcome, "reason", Reason.REASON_LABEL_MISMATCH)),
        "OUTCOME_CONFLICT",
    ),
    "a report another chip signed": (with_leaves(lambda leaves: reported(leaves, key=p256(f"{EDGE} 1"))), "KEY_UNKNOWN"),
    "a report about another issue": (with_leaves(lambda leaves: reported(leaves, nonce=bytes(16))), "REPORT_MISMATCH"),
    "a report of other firmware": (
        with_leaves(lambda leaves: reported(leaves, firmware_digest=bytes(32))),
        "REPORT_MISMATCH",
    ),
    "a report of an open port": (with_leaves(lambda leaves: reported(leaves, debug_state=1)), "REPORT_MISMATCH"),
    "a report that names another device": (
        with_leaves(lambda leaves: reported(leaves, device={"soc": "generic-wifi", "uid": b"elsewhere"})),
        "REPORT_MISMATCH",
    ),
    "a replacement of a DAC nobody has": (
        at_leaf("replaced", lambda leaf: setattr(leaf.replaced, "replaced_serial", b"\x01" * 12)),
        "DEVICE_KEY_CHANGED",
    ),
    "a replacement that skips": (at_leaf("replaced", lambda leaf: setattr(leaf.replaced, "count", 2)), "SEQUENCE_GAP"),
    "more debug permissions than granted": (
        at_leaf("debug_opened", lambda leaf: setattr(leaf.debug_opened, "permissions", 4)),
        "OPERATION_NOT_GRANTED",
    ),
    "a longer debug session than granted": (
        at_leaf("debug_opened", lambda leaf: setattr(leaf.debug_opened, "close_before", BEGIN + 8 * HOUR)),
        "OPERATION_NOT_GRANTED",
    ),
    "a debug challenge twice": (
        with_leaves(lambda leaves: leaves.insert(-2, clone(kind(leaves, "debug_opened")))),
        "CHALLENGE_REUSED",
    ),
    "a debug close without an opening": (
        at_leaf("debug_closed", lambda leaf: setattr(leaf.debug_closed, "session_id", bytes(16))),
        "DEBUG_SESSION_UNKNOWN",
    ),
    "an authorization closed twice": (
        with_leaves(lambda leaves: leaves.append(clone(kind(leaves, "authorization_closed")))),
        "AUTHORIZATION_CLOSED",
    ),
    "a debug close with an older report": (
        at_leaf("debug_closed", lambda leaf: leaf.debug_closed.report.CopyFrom(older_report())),
        "REPORT_MISMATCH",
    ),
    "time that goes back": (at_leaf("issued", lambda leaf: setattr(leaf, "at", BEGIN + 90 * 60), 1), "BROKEN_CHAIN"),
    "a root that is not in the export": (
        with_leaves(lambda leaves: leaves.insert(1, trust_root_leaf(2))),
        "TRUST_ROOT_INVALID",
    ),
}  # fmt: skip


def clone(leaf):
    copy = LogLeaf()
    copy.CopyFrom(leaf)
    return copy


def trust_root_leaf(version, payload_digest=bytes(32)):
    return honest().leaf(0, trust_root={"version": version, "payload_digest": payload_digest})


@pytest.mark.parametrize("name", LEAVES)
def test_leaves(name):
    edits, reason = LEAVES[name]

    refused(reason, f"{LOG}.leaves leaf", World(edits))


RAW = {
    "a start that names another log before it": (
        0,
        changing(lambda leaf: setattr(leaf.incarnation, "previous_root", bytes(32))),
        "BROKEN_CHAIN",
    ),
    "a leaf of another EdgeHSM": (5, setting(edgehsm_id=OTHER), "BROKEN_CHAIN"),
    "a leaf of another epoch": (5, setting(epoch=2), "BROKEN_CHAIN"),
    "a leaf of another index": (5, setting(index=6), "BROKEN_CHAIN"),
    "a leaf with an unknown field": (5, changing(lambda leaf: leaf.MergeFromString(b"\xf8\x07\x01")), "UNKNOWN_FIELD"),
    "a leaf that says nothing": (5, changing(lambda leaf: leaf.ClearField(leaf.WhichOneof("entry"))), "MALFORMED"),
}


@pytest.mark.parametrize("name", RAW)
def test_raw_leaves(name):
    index, edit, reason = RAW[name]

    refused(reason, f"{LOG}.leaves leaf {index}", World({f"leaf {EDGE} {index}": edit}))


def test_a_lowered_quantity_binds_from_the_list_on():
    """The list comes after the Authorization; five of its ten devices stay, the sixth does not."""

    def later(leaves):
        moved(leaves, "revocation", "outcome")
        return leaves

    lowered = changing(lambda each: each.lowered.append(LoweredQuantity(auth_id=AUTH_ID, quantity=5)))
    verify_export((world := World({"revocation": lowered, f"leaves {EDGE}": later})).files, world.fingerprint)

    def between(leaves):
        moved(leaves, "revocation", "issued")
        return leaves

    refused("QUANTITY_SPENT", f"{LOG}.leaves leaf", World({"revocation": lowered, f"leaves {EDGE}": between}))


def reworked_after_the_close(reason):
    def edit(leaves):
        closed = kind(leaves, "authorization_closed")
        closed.authorization_closed.close_reason = reason
        moved(leaves, "authorization_closed", "debug_opened")

    return World(with_leaves(edit))


def test_rework_outlives_production_but_not_a_stop():
    world = reworked_after_the_close(CloseReason.CLOSE_REASON_WINDOW_ENDED)
    assert verify_export(world.files, world.fingerprint).is_confirmed
    stopped = reworked_after_the_close(CloseReason.CLOSE_REASON_REQUESTED)
    refused("AUTHORIZATION_CLOSED", f"{LOG}.leaves leaf", stopped)


# ---- More than one trust root ----


def second_root(root):
    """Bob leaves the GRANT quorum."""
    grant = next(rule for rule in root.roles if rule.role == RootRole.ROOT_ROLE_GRANT)
    grant.key_ids.remove(BOB.key_id)
    return root


def second_root_digest():
    return digest(whole(second_root(people.trust_root(2))))


def test_what_was_signed_before_a_key_left_stays_what_it_was():
    world = World({"second_root": second_root})

    verdict = verify_export(world.files, world.fingerprint)

    assert (verdict.root_version, verdict.under_older_roots) == (2, 3)


def test_a_grant_signed_by_a_key_that_had_left_is_refused():
    """The log shows it: the newer root was accepted first."""
    edits = with_leaves(lambda leaves: leaves.insert(1, trust_root_leaf(2, second_root_digest())))

    refused("TRUST_ROOT_STALE", f"{LOG}.leaves leaf 2", World({"second_root": second_root} | edits))


def test_a_second_root_the_first_did_not_sign_is_refused():
    world = World(
        {"second_root": second_root}, {"trust/root-0002.dsse": (DAVE,)}
    )  # fmt: skip

    refused("KEY_UNKNOWN", "trust/root-0002.dsse", world)


def test_the_forgers_tools_make_an_honest_export_when_nothing_is_bent():
    """The control: the same world without an edit, and with edits that change nothing, passes."""
    same = changing(lambda each: None)
    world = World(
        {"grant": same, f"leaves {EDGE}": same, "files": lambda files: files, "second_root": lambda root: root}
    )

    assert verify_export(world.files, world.fingerprint).is_confirmed
    assert honest().grant.firmware_digest == FIRMWARE
