"""Rules of the house that no import graph shows: who holds keys, who reads the clock, what no file may contain."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.tree import ROOT, calls, checks, dotted, files, imported, sources, text, tree, within

LONGEST_FILE = 350  # lines; from 300 on the run's last lines name the file
VAGUE = {"utils", "util", "common", "manager", "helper", "helpers", "misc"}

# Places that make or load private keys, each with the keys it is there for.
KEY_PLACES = (
    "edgehsm/boundary/element",  # the EdgeHSM's own and its PAIs'
    "cloud/vault",  # the PAA and the product keys
    "cloud/keystore",  # the cloud's ONLINE, REVOCATION, BEACON and WITNESS keys
    "station/virtual",  # the chip's
    "obis/matter/base_point",  # no key of a device: a scalar that follows from the passcode
    "obis/mesh",  # transport keys, able to authorize nothing
    "obis/cli",  # approvers' own
)
MAKES_OR_LOADS_A_KEY = re.compile(
    r"(^|\.)(generate_private_key|derive_private_key|load_(pem|der|ssh)_private_key|load_pkcs12|load_key_and_certificates"
    r"|private_key|from_private_bytes|from_seed_bytes|\w*PrivateKey\.generate)$"
)
HPKE = "cryptography.hazmat.primitives.hpke"
# obis/trust defines the suites; the two others are the only ones to use them in that direction.
SEALS = ("obis/trust", "cloud/packaging", "cloud/vault")
OPENS = ("obis/trust", "edgehsm/boundary", "station/virtual")

DECISIONS = tuple(
    module.replace(".", "/")
    for contract in tomllib.loads(text(Path("pyproject.toml")))["tool"]["importlinter"]["contracts"]
    if contract["type"] == "decisions"
    for module in contract["source_modules"]
)
READS_THE_CLOCK = re.compile(r"(^|\.)(datetime\.(now|utcnow|today)|date\.today|time|monotonic|time_ns|perf_counter)$")

# Put together from parts, so that this file does not contain what it looks for.
FORBIDDEN_TEXT = {
    "a private key": "-----BEGIN [A-Z ]*PRIVATE" + " KEY-----",
    "a cloud access key": r"\bAKIA" + r"[0-9A-Z]{16}\b",
    "a path of one machine": r"(?<![\w.$}])/(home|root|work|Users)" + r"/\w",
    "a package registry's host": "|".join(
        [r"pypi\." + "org", r"python" + "hosted", r"registry\.npm" + "js", r"deb\.deb" + "ian"]
    ),
    "another package index": "--(extra-)?index" + "-url|find" + "-links",
}
# Public test keys of the Matter specification, and keys made for vectors, with their origin beside them.
MAY_HOLD_KEYS = ("tests/vectors",)


@pytest.mark.parametrize("path", sources(), ids=str)
def test_no_source_file_is_too_long(path):
    assert len(text(path).splitlines()) <= LONGEST_FILE, "two things are in one file; split it by noun"


@pytest.mark.parametrize("path", sources(), ids=str)
def test_every_module_opens_with_what_it_promises(path):
    assert ast.get_docstring(tree(path))


def test_no_file_has_a_vague_name():
    assert not [path for path in [*sources(), *checks()] if VAGUE & {*path.with_suffix("").parts}]


def test_private_keys_are_made_and_loaded_only_where_they_live():
    found = [
        f"{path}:{call.lineno} {dotted(call.func)}"
        for path in sources()
        if not within(path, *KEY_PLACES)
        for call in calls(path)
        if MAKES_OR_LOADS_A_KEY.search(dotted(call.func))
    ]

    assert not found


@pytest.mark.parametrize(("verb", "places"), [("encrypt", SEALS), ("decrypt", OPENS)])
def test_only_packaging_seals_and_only_the_boundary_opens(verb, places):
    found = [
        f"{path}:{call.lineno}"
        for path in sources()
        if not within(path, *places) and any(name.startswith(HPKE) for name in imported(path))
        for call in calls(path)
        if dotted(call.func).endswith(f".{verb}")
    ]

    assert not found


@pytest.mark.parametrize(("name", "places"), [("seal", SEALS), ("open_with", OPENS)])
def test_packages_are_sealed_and_opened_in_one_place_each(name, places):
    package = f"obis.trust.package.{name}"
    users = [
        path
        for path in sources()
        if package in imported(path) or any(dotted(call.func) == f"package.{name}" for call in calls(path))
    ]

    assert users
    assert not [path for path in users if not within(path, *places)]


def test_decisions_are_given_the_time():
    found = [
        f"{path}:{call.lineno} {dotted(call.func)}"
        for path in sources()
        if within(path, *DECISIONS)
        for call in calls(path)
        if READS_THE_CLOCK.search(dotted(call.func))
    ]

    assert not found, "`now` is an argument of every decision"


@pytest.mark.parametrize("what", FORBIDDEN_TEXT)
def test_no_file_contains(what):
    pattern = re.compile(FORBIDDEN_TEXT[what])
    found = [
        f"{path}: {match.group()}"
        for path in files()
        if not (what == "a private key" and path.as_posix().startswith(MAY_HOLD_KEYS))
        for match in [pattern.search(text(path))]
        if match
    ]

    assert not found


def test_links_between_pages_resolve():
    broken = []
    for page in (path for path in files() if path.suffix == ".md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", text(page)):
            place = target.partition("#")[0]
            if (
                place
                and "://" not in place
                and not place.startswith("mailto:")
                and not (ROOT / page.parent / place).exists()
            ):
                broken.append(f"{page} -> {target}")

    assert not broken


def test_every_scenario_opens_with_what_it_proves():
    scenarios = [path for path in checks() if within(path, "tests/scenarios") and path.name.startswith("test_")]

    assert not [path for path in scenarios if not ast.get_docstring(tree(path))]


def test_only_a_missing_back_end_skips_a_test():
    """A test that may not fail, or is never run, looks like one that passes."""
    found = [
        f"{path}:{node.lineno} {dotted(node)}"
        for path in checks()
        if path != Path("tests/conftest.py")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and re.search(r"^pytest\.(mark\.)?(skip|skipif|xfail|importorskip)$", dotted(node))
    ]

    assert not found
