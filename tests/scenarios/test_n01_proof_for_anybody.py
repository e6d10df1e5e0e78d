"""N1, N2, N4: one exported folder proves what was made, to anybody, with no server and no trust in us.

`obis verify` needs the folder and the fingerprint. Its counts are those of the EdgeHSMs and of the stations: certificates =
issue leaves <= authorized <= granted <= lifetime quantity. A unit that failed has its record too. Whoever edits,
drops, adds or swaps anything, a record or a failed unit above all, is found and told where.
"""

import json
import shutil
from hashlib import sha256

import pytest

from obis.trust.envelope import make_envelope
from obis.trust.payload import EXPORT_MANIFEST, parse_closed
from obis.v1.envelope_pb2 import Envelope
from obis.v1.reason_pb2 import Reason
from tests.scenarios.devices import Device, reason
from tests.scenarios.identities import Forge
from tests.scenarios.mesh import AWAY, HOME, eventually

pytestmark = pytest.mark.ci
SOC = "generic-thread"


@pytest.fixture(scope="module")
async def exported(mesh):
    """After a good unit and a failed one; all of it in the cloud."""
    batch, failed = await mesh.batch(mesh.bulb, 2), Device(SOC)
    await mesh.provision(batch, 1)
    assert reason(await mesh.step(HOME, failed.issue(batch.auth_id))) == ""
    ended = failed.outcome(batch.auth_id, reason=Reason.REASON_DEVICE_TEST_FAILED)
    assert reason(await mesh.step(HOME, ended)) == ""
    for factory in (HOME, AWAY):
        await eventually(lambda: _all_in_cloud(mesh, factory), "the cloud has the whole log")  # noqa: B023 (awaited here)
    return await mesh.export("whole"), failed


async def _all_in_cloud(mesh, factory):
    status = await mesh.status(factory)
    return status.cosigned_size == status.log_size


async def verdict(mesh, folder, *more) -> tuple[int, dict]:
    status, said = await mesh.obis("verify", str(folder), "--json", *more)
    return status, json.loads(said)


def pinned(mesh):
    return ("--fingerprint", mesh.facts.fingerprint.hex())


async def test_the_export_verifies_and_its_counts_are_everybodys(mesh, exported):
    folder, failed = exported
    status, said = await verdict(mesh, folder, *pinned(mesh))

    assert status == 0
    issued = sum(each["issued"] for each in said["logs"])
    counted = [await mesh.status(factory) for factory in (HOME, AWAY)]
    assert issued == sum(each.used for status in counted for each in status.authorizations)
    assert issued == sum(each["issued"] for each in said["products"])
    for product in said["products"]:
        assert product["issued"] <= product["authorized"] <= product["granted"] <= product["lifetime_quantity"]
    assert failed.uid.hex() in {each["uid"] for each in said["failed_units"]}


async def test_without_the_fingerprint_it_is_not_confirmed_and_with_another_refused(mesh, exported):
    folder, _ = exported

    assert (await verdict(mesh, folder))[0] == 3
    assert (await verdict(mesh, folder, "--fingerprint", "00" * 32))[0] == 1


def _leaves(folder):
    (path,) = folder.glob(f"logs/{HOME}-a-1.leaves")
    return path


def _split(octets: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(octets):
        length = int.from_bytes(octets[at : at + 4])
        found.append(octets[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def _joined(leaves: list[bytes]) -> bytes:
    return b"".join(len(each).to_bytes(4) + each for each in leaves)


def _edit_a_byte(folder, failed):
    path = _leaves(folder)
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)


def _drop_the_failed_unit(folder, failed):
    path = _leaves(folder)
    path.write_bytes(_joined([each for each in _split(path.read_bytes()) if failed.uid not in each]))


def _drop_the_last_record(folder, failed):
    path = _leaves(folder)
    path.write_bytes(_joined(_split(path.read_bytes())[:-1]))


def _a_record_twice(folder, failed):
    path = _leaves(folder)
    leaves = _split(path.read_bytes())
    path.write_bytes(_joined([*leaves, leaves[-1]]))


def _another_s_log(folder, failed):
    (other,) = folder.glob(f"logs/{AWAY}-a-1.leaves")
    _leaves(folder).write_bytes(other.read_bytes())


def _no_authorization(folder, failed):
    next(iter(sorted(folder.glob("authorizations/*.dsse")))).unlink()


def _no_vault_acts(folder, failed):
    (folder / "vault" / "acts.bin").write_bytes(b"")


def _no_log_at_all(folder, failed):
    for each in folder.glob(f"logs/{HOME}-a-1.*"):
        each.unlink()


EDITS = (
    _edit_a_byte,
    _drop_the_failed_unit,
    _drop_the_last_record,
    _a_record_twice,
    _another_s_log,
    _no_authorization,
    _no_vault_acts,
    _no_log_at_all,
)


@pytest.mark.parametrize("edit", EDITS, ids=lambda each: each.__name__.strip("_"))
@pytest.mark.parametrize("who", ["anybody", "a thief of the cloud's key"])
async def test_an_edited_export_is_found(mesh, exported, tmp_path, edit, who):
    """Also by whoever holds the ONLINE key and signs a manifest over the edited files: the log, not the manifest, proves."""
    folder, failed = exported
    copy = shutil.copytree(folder, tmp_path / "edited")
    edit(copy, failed)
    if who != "anybody":
        sign_again(mesh, copy)

    status, said = await verdict(mesh, copy, *pinned(mesh))

    assert status == 1, said
    assert said["verdict"] == "refused"
    assert said["where"]


async def test_signed_again_and_not_edited_it_still_verifies(mesh, exported, tmp_path):
    """The control to the thief: signing again by itself is not what was found."""
    copy = shutil.copytree(exported[0], tmp_path / "same")
    sign_again(mesh, copy)

    assert (await verdict(mesh, copy, *pinned(mesh)))[0] == 0


def sign_again(mesh, folder):
    """A manifest for these files, under the real ONLINE key."""
    path = folder / "manifest.dsse"
    manifest = parse_closed(EXPORT_MANIFEST, Envelope.FromString(path.read_bytes()).payload)
    here = {each.relative_to(folder).as_posix(): each for each in folder.rglob("*") if each.is_file() and each != path}
    kept = [each for each in manifest.files if each.path in here]
    for each in kept:
        octets = here[each.path].read_bytes()
        each.size, each.digest = len(octets), sha256(octets).digest()
    del manifest.files[:]
    manifest.files.extend(kept)
    online = Forge.of(mesh).keys.online
    made = make_envelope(EXPORT_MANIFEST, manifest.SerializeToString(deterministic=True), [online])
    path.write_bytes(made.SerializeToString(deterministic=True))
