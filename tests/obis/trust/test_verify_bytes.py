"""A changed, dropped, swapped or added byte anywhere in an export is found, and the file is named."""

import itertools
import random
from functools import cache

import pytest

from obis.refusal import Refused
from obis.trust.verify import verify_export
from tests.obis.trust.world import World

OFFSETS_PER_FILE = 24


@cache
def world() -> World:
    return World()


PATHS = tuple(sorted(world().files))


def judge(files):
    return verify_export(files, world().fingerprint)


def refusal_of(files) -> Refused:
    with pytest.raises(Refused) as refusal:
        judge(files)
    return refusal.value


def test_the_untouched_export_holds():
    verdict = judge(world().files)

    assert verdict.is_confirmed
    assert (verdict.total("issued"), verdict.total("replaced"), verdict.total("leaves")) == (12, 2, 60)
    assert (verdict.total("passed"), verdict.total("failed"), verdict.total("abandoned")) == (8, 2, 2)
    assert [unit.reason for unit in verdict.failed_units] == ["LABEL_MISMATCH", "LABEL_MISMATCH"]
    assert len(verdict.abandoned_units) == 2
    assert (verdict.rules, verdict.grants, verdict.approvals, verdict.authorizations, verdict.pais) == (1, 2, 2, 2, 2)
    assert verdict.refusals == {"QUANTITY_SPENT": 6}
    assert verdict.products[0].granted == 90


def test_without_a_fingerprint_the_root_is_not_confirmed():
    verdict = verify_export(world().files)

    assert not verdict.is_confirmed
    assert verdict.fingerprint == world().fingerprint.hex()
    assert verdict.as_dict()["verdict"] == "root not confirmed"


def test_another_fingerprint_is_refused():
    with pytest.raises(Refused, match="TRUST_ROOT_INVALID") as refused:
        verify_export(world().files, bytes(32))
    assert refused.value.where.startswith("trust/root-0001.dsse")


@pytest.mark.parametrize("path", PATHS)
def test_a_changed_dropped_or_added_byte_is_found_and_its_file_named(path):
    content = world().files[path]
    chosen = random.Random(path)
    offsets = {0, len(content) - 1, *(chosen.randrange(len(content)) for _ in range(OFFSETS_PER_FILE))}
    for offset in sorted(offsets):
        for forged in bend(content, offset, chosen):
            assert path in refusal_of(world().files | {path: forged}).where


@pytest.mark.ci
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("path", PATHS)
def test_byte_after_byte_changed_is_found_and_its_file_named(path):
    content = world().files[path]
    for offset in range(0, len(content), 1 if len(content) < 4096 else 3):
        forged = content[:offset] + bytes([content[offset] ^ 1 << offset % 8]) + content[offset + 1 :]
        assert path in refusal_of(world().files | {path: forged}).where


def bend(content, offset, chosen):
    yield content[:offset] + bytes([content[offset] ^ 1 << chosen.randrange(8)]) + content[offset + 1 :]
    yield content[:offset] + content[offset + 1 :]
    yield content[:offset] + bytes([chosen.randrange(256)]) + content[offset:]


@pytest.mark.parametrize("path", PATHS)
def test_an_emptied_cut_or_missing_file_is_found_and_named(path):
    content = world().files[path]
    for forged in (b"", content[: len(content) // 2], content + content):
        assert path in refusal_of(world().files | {path: forged}).where
    without = {each: data for each, data in world().files.items() if each != path}
    assert path in refusal_of(without).where


def test_swapped_files_are_found_and_one_of_them_named():
    for one, other in itertools.combinations(PATHS, 2):
        swapped = world().files | {one: world().files[other], other: world().files[one]}
        refused = refusal_of(swapped)
        assert one in refused.where or other in refused.where


@pytest.mark.parametrize(
    "path", ["extra.txt", "logs/edge-th-2.leaves", "trust/root-0002.dsse", "grants/../x.dsse", "rules/", "a b", "./paa"]
)
def test_an_added_file_is_found_and_named(path):
    assert path in refusal_of(world().files | {path: b"x"}).where


@pytest.mark.parametrize("path", [path for path in PATHS if path != "manifest.dsse"])
def test_what_the_manifest_does_not_list_as_it_is_is_refused_before_it_is_read(path):
    """The manifest comes right after the root: nothing else is parsed before its bytes are known to be those listed."""
    refused = refusal_of(world().files | {path: world().files[path] + b"\0"})
    expected = "MALFORMED" if path.startswith("trust/") else "DIGEST_MISMATCH"
    assert str(refused).startswith(expected)
