"""Logs and trust roots that somebody put together anew, each with the reason that finds it."""

import pytest

from obis.trust.checkpoint import Checkpoint, cosign_note, parse_note, sign_note, witness_name
from obis.trust.envelope import digest
from obis.trust.verify import verify_export
from obis.v1.trust_root_pb2 import RootRole
from tests.obis.trust import people
from tests.obis.trust.floor import FIRMWARE, whole
from tests.obis.trust.forgery import EDGE, LOG, OTHER, changing, honest, refused, trust_root_leaf, with_leaves
from tests.obis.trust.keys import ed
from tests.obis.trust.people import BEGIN, BOB, DAVE
from tests.obis.trust.world import World

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


def test_a_log_left_out_whole_by_a_thief_of_the_online_key():
    """The EdgeHSM's own request for its PAI stands in the vault's chain of acts: it has a log."""

    def without(files):
        return {name: content for name, content in files.items() if not name.startswith(f"{LOG}.")}

    refused("BROKEN_CHAIN", f"pai/{EDGE}-1-", World({"files": without}))


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
