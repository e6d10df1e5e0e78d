"""Leaves that a bent boundary would have written; its log key signs them and the witness cosigns them, unseeing."""

from hashlib import sha256

import pytest

from obis.trust.envelope import digest
from obis.trust.verify import verify_export
from obis.v1.device_objects_pb2 import Lifecycle
from obis.v1.leaf_pb2 import CloseReason
from obis.v1.reason_pb2 import Reason
from obis.v1.revocation_pb2 import LoweredQuantity
from obis.v1.scope_pb2 import EvidenceLevel
from tests.obis.trust import people
from tests.obis.trust.floor import HOUR, nonce, whole
from tests.obis.trust.forgery import (
    AUTH_ID,
    EDGE,
    LOG,
    OTHER,
    at_leaf,
    changing,
    clone,
    honest,
    kind,
    refused,
    setting,
    trust_root_leaf,
    with_leaves,
)
from tests.obis.trust.keys import p256
from tests.obis.trust.people import BEGIN
from tests.obis.trust.world import World


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
    "a report of a chip that is not locked": (
        with_leaves(lambda leaves: reported(leaves, lifecycle=Lifecycle.LIFECYCLE_PROGRAMMED)),
        "REPORT_MISMATCH",
    ),
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
