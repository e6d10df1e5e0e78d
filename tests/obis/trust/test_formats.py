"""docs/formats.md says what the code does: its examples are computed again, its tables compared."""

import re
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from obis.trust import payload as types
from obis.trust.checkpoint import Checkpoint, cosign_note, log_origin, sign_note, witness_name
from obis.trust.envelope import digest, make_envelope, pae
from obis.trust.merkle import leaf_hash, root_of
from obis.trust.package import hpke_info
from obis.trust.payload import BEACON, PayloadType
from obis.trust.verify.files import _KINDS
from obis.v1.envelope_pb2 import SigScheme
from obis.v1.revocation_pb2 import Beacon
from tests.obis.trust.keys import Key
from tests.tree import ROOT

AT = 1_790_000_000


@cache
def page() -> str:
    return (ROOT / "docs/formats.md").read_text()


def seeded(byte: int) -> Key:
    return Key(Ed25519PrivateKey.from_private_bytes(bytes([byte]) * 32), SigScheme.SIG_SCHEME_ED25519)


def said(name: str) -> str:
    return re.search(rf"^    {name} {{2,}}(\S.*)$", page(), re.MULTILINE)[1]


def test_the_signed_example():
    body = Beacon(time=AT, sequence=7).SerializeToString(deterministic=True)
    envelope = make_envelope(BEACON, body, [seeded(1)])

    assert said("payload") == body.hex()
    assert said("digest") == digest(body).hex()
    assert said("PAE") == f'"{pae(BEACON.text, b"x" * 8)[:-8].decode()}" || payload'
    assert said("key_id") == envelope.signatures[0].key_id
    assert said("sig") == envelope.signatures[0].sig.hex()


def test_the_sealed_example():
    assert [*re.findall(r"^    info      ([0-9a-f]+)$", page(), re.MULTILINE)] == [
        hpke_info("edge-1", bytes(range(16))).hex()
    ]


def test_the_chained_example():
    root = root_of(map(leaf_hash, (b"a", b"b", b"c")))
    log, witness = seeded(1), seeded(2)
    note = sign_note(Checkpoint(log_origin("edge-1", 1), 3, root), log.spki, log.sign)
    note = cosign_note(note, witness_name(bytes(range(32))), witness.spki, witness.sign, AT)
    indented = "".join(f"    {line}\n" if line else "\n" for line in note.decode().splitlines())

    assert said("root") == root.hex()
    assert indented in page()


def test_every_signed_type_is_in_the_table():
    names = {each.text.split(".")[2] for each in vars(types).values() if isinstance(each, PayloadType)}
    table = page().partition("signed by |")[2].partition("\n\n")[0]

    assert set(re.findall(r"`([a-z-]+)`", table)) == names


def test_every_kind_of_file_is_in_the_layout():
    table = page().partition("| path | holds |")[2].partition("\n\n")[0]
    folders = {pattern.partition("/")[0] for pattern in _KINDS.values()}

    assert {path.partition("/")[0] for path in re.findall(r"`([a-z-]+/[^`]*)`", table)} == folders | {
        "certificates",
        "vault",
    }
