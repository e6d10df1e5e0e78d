"""Keys at rest: sealed under the start secret, made once, and of the roles the trust root gives them."""

import time

import pytest

from cloud import beginning
from cloud.config import CloudConfig
from cloud.keystore import KeysUnusable, create_keys, load_keys
from cloud.vault import keys as vault_keys
from obis.matter.lint import lint_paa
from obis.refusal import Refused
from tests.cloud.small_mesh import SECRET, SmallMesh, whole


def test_a_wrong_secret_opens_no_key(tmp_path):
    create_keys(tmp_path / "keys", SECRET)

    with pytest.raises(KeysUnusable, match="secret"):
        load_keys(tmp_path / "keys", b"another secret")


def test_keys_are_never_overwritten(tmp_path):
    made = create_keys(tmp_path / "keys", SECRET)

    with pytest.raises(KeysUnusable, match="already"):
        create_keys(tmp_path / "keys", SECRET)
    assert load_keys(tmp_path / "keys", SECRET).online.key_id == made.online.key_id


def test_a_missing_key_refuses_the_start(tmp_path):
    create_keys(tmp_path / "keys", SECRET)
    (tmp_path / "keys" / "witness.pem").unlink()

    with pytest.raises(KeysUnusable, match="WITNESS"):
        load_keys(tmp_path / "keys", SECRET)


@pytest.mark.parametrize("make", ["cloud", "vault"])
def test_no_key_lies_in_clear_and_nobody_else_may_read_it(tmp_path, make):
    folder = tmp_path / "keys"
    if make == "cloud":
        create_keys(folder, SECRET)
    else:
        vault_keys.create_keys(folder, SECRET, (0xFFF1,), "Acme", now=int(time.time()))

    sealed = list(folder.glob("*.pem"))
    assert sealed
    for path in sealed:
        assert path.read_text().startswith("-----BEGIN ENCRYPTED")
        assert path.stat().st_mode & 0o077 == 0


def test_a_paa_for_each_vendor_id_passes_the_lint(tmp_path):
    held = vault_keys.create_keys(tmp_path / "keys", SECRET, (0xFFF1, 0xFFF2), "Acme", now=int(time.time()))

    assert sorted(held.paas) == [0xFFF1, 0xFFF2]
    assert [lint_paa(paa.cert_der) for paa in held.paas.values()] == [[], []]


@pytest.mark.parametrize("swapped", ["transport_ca_spki_der", "ONLINE"])
def test_a_trust_root_that_names_other_keys_is_not_taken(tmp_path, swapped):
    """A root drafted from somebody else's public.json: this cloud could sign nothing under it."""
    mesh = SmallMesh(tmp_path)
    config = CloudConfig(tmp_path / "c", f"sqlite:///{tmp_path / 'c' / 'cloud.db'}", "", "", "", "oem", "Acme")
    public = beginning.init(config, SECRET, now=1)
    other = create_keys(tmp_path / "other", SECRET)
    if swapped == "ONLINE":
        public["keys"][0]["spki_der"] = other.online.spki_der.hex()
    else:
        public[swapped] = other.transport_ca.spki_der.hex()
    root = mesh.signed_root(public, {"site_root_spki_der": other.beacon.spki_der.hex()})

    with pytest.raises(Refused, match="TRUST_ROOT_INVALID"):
        beginning.init_root(config, SECRET, whole(root), now=int(time.time()))
