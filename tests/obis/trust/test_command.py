"""`obis verify`: a real process, a real folder; exit status, words and JSON."""

import json
import subprocess
import sys
from functools import cache

import pytest

from tests.obis.trust.world import World


@cache
def world() -> World:
    return World()


@pytest.fixture
def folder(tmp_path):
    for path, content in world().files.items():
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return tmp_path


def obis_verify(*arguments):
    command = [sys.executable, "-m", "obis.cli", "verify", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_good_export_under_the_right_fingerprint_ends_with_0(folder):
    ended = obis_verify(folder, "--fingerprint", world().fingerprint.hex())

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("VERIFIED  Test mesh")
    assert max(map(len, ended.stdout.splitlines())) <= 80
    for word in ("edge-th", "edge-vn", "Lamp", "LABEL_MISMATCH", "no outcome", world().fingerprint.hex()):
        assert word in ended.stdout


def test_without_a_fingerprint_it_says_so_and_ends_with_3(folder):
    ended = obis_verify(folder)

    assert ended.returncode == 3
    assert ended.stdout.startswith("ROOT NOT CONFIRMED")
    assert max(map(len, ended.stdout.splitlines())) <= 80


def test_a_changed_byte_ends_with_1_and_names_the_file(folder):
    place = folder / "logs/edge-th-1.leaves"
    content = bytearray(place.read_bytes())
    content[100] ^= 1
    place.write_bytes(content)

    ended = obis_verify(folder, "--fingerprint", world().fingerprint.hex())

    assert ended.returncode == 1
    assert "DIGEST_MISMATCH" in ended.stdout
    assert "logs/edge-th-1.leaves" in ended.stdout


def test_the_fingerprint_may_be_grouped_as_people_write_it(folder):
    text = world().fingerprint.hex().upper()
    grouped = ":".join(text[at : at + 4] for at in range(0, 64, 4))

    ended = obis_verify(folder, "--fingerprint", grouped, "--json")

    said = json.loads(ended.stdout)
    assert (ended.returncode, said["verdict"], said["issued"], said["passed"]) == (0, "confirmed", 12, 8)
    assert len(said["failed_units"]) == len(said["abandoned_units"]) == 2


def test_a_refusal_as_json_says_reason_and_place(folder):
    (folder / "extra").write_bytes(b"")

    ended = obis_verify(folder, "--json")

    said = json.loads(ended.stdout)
    assert (ended.returncode, said["verdict"], said["where"]) == (1, "refused", "extra")


def test_a_link_is_no_file_of_an_export(folder):
    (folder / "rules/link").symlink_to(folder / "manifest.dsse")

    ended = obis_verify(folder, "--json")

    assert (ended.returncode, json.loads(ended.stdout)["where"]) == (1, "rules/link")


@pytest.mark.parametrize("arguments", [("--fingerprint", "12"), ("--fingerprint", "z" * 64)])
def test_what_is_no_fingerprint_is_wrong_usage(folder, arguments):
    assert obis_verify(folder, *arguments).returncode == 2
