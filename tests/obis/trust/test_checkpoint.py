"""Checkpoints and cosignatures: published examples, our own round trip, and every byte that may not change."""

from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from obis.refusal import Refused
from obis.trust import checkpoint
from obis.trust.checkpoint import (
    Checkpoint,
    NoteLine,
    cosign_note,
    log_origin,
    parse_note,
    sign_note,
    verify_cosignature,
    verify_note,
    witness_name,
)

ORIGIN = log_origin("edge-1", 3)
WITNESS = witness_name(bytes(range(32)))
AT = 1_790_000_000


def spki(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def log_key():
    return Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)


@pytest.fixture(scope="module")
def witness_key():
    return Ed25519PrivateKey.from_private_bytes(bytes([2]) * 32)


@pytest.fixture(scope="module")
def note(log_key):
    return sign_note(Checkpoint(ORIGIN, 7, bytes([5]) * 32), spki(log_key), log_key.sign)


@pytest.fixture(scope="module")
def cosigned(note, witness_key):
    return cosign_note(note, WITNESS, spki(witness_key), witness_key.sign, AT)


def test_the_published_example_of_signed_notes_verifies():
    """The example of golang.org/x/mod/sumdb/note and of C2SP signed-note: key, key hash, signature."""
    text = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    key = b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    line = checkpoint._parse_line(
        "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    )
    public = Ed25519PublicKey.from_public_bytes(key[1:])
    spki_der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    assert key[:1] == b"\x01"
    assert line.key_hash.hex() == "c74f20a3"
    checkpoint._verify_line(line, "PeterNeumann", b"\x01", spki_der, text)
    with pytest.raises(Refused, match="SIGNATURE_INVALID"):
        checkpoint._verify_line(line, "PeterNeumann", b"\x01", spki_der, text + b" ")


def test_the_published_form_of_a_cosigned_checkpoint_is_read():
    """The example of C2SP tlog-cosignature (its keys are not published): two lines, one with a timestamp."""
    published = (
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE"
        "+xeMcTOAYQ8=\n"
        "\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0"
        "xUe+mbIUBkBIfZ+qnA==\n"
    ).encode()

    note = parse_note(published)

    assert note.checkpoint.size == 20852163
    assert [len(line.signature) for line in note.lines] == [64, 72]
    assert int.from_bytes(note.lines[1].signature[:8]) == 1679315147


def test_a_checkpoint_is_what_its_log_signed(note, log_key):
    assert verify_note(note, ORIGIN, spki(log_key)) == Checkpoint(ORIGIN, 7, bytes([5]) * 32)
    assert note.startswith(b"obis/edge-1/3\n7\nBQUF")


def test_a_cosignature_says_who_and_when(cosigned, log_key, witness_key):
    assert verify_cosignature(cosigned, WITNESS, spki(witness_key)) == (
        verify_note(cosigned, ORIGIN, spki(log_key)),
        AT,
    )


def test_another_log_key_origin_epoch_witness_or_name_is_refused(note, cosigned, log_key, witness_key):
    for origin, key in ((ORIGIN, witness_key), (log_origin("edge-1", 4), log_key), (log_origin("edge-2", 3), log_key)):
        with pytest.raises(Refused):
            verify_note(note, origin, spki(key))
    for name, key in ((WITNESS, log_key), (witness_name(bytes(32)), witness_key)):
        with pytest.raises(Refused, match="KEY_UNKNOWN"):
            verify_cosignature(cosigned, name, spki(key))


def test_a_log_signature_is_no_cosignature_and_the_other_way_round(note, log_key, witness_key):
    """The type byte in the key hash keeps them apart, and so does what is signed."""
    with pytest.raises(Refused, match="SIGNATURE_INVALID: the note is not cosigned"):
        verify_cosignature(note, WITNESS, spki(witness_key))
    first = parse_note(note)
    line = NoteLine(WITNESS, first.lines[0].key_hash, AT.to_bytes(8) + first.lines[0].signature)
    forged = checkpoint.Note(first.checkpoint, (*first.lines, line)).data()
    with pytest.raises(Refused, match="KEY_UNKNOWN"):
        verify_cosignature(forged, WITNESS, spki(log_key))


def test_every_changed_dropped_or_added_byte_is_refused(cosigned, log_key, witness_key):
    for forged in forgeries(cosigned):
        with pytest.raises(Refused):
            (verify_note(forged, ORIGIN, spki(log_key)), verify_cosignature(forged, WITNESS, spki(witness_key)))


def forgeries(data):
    for at in range(len(data)):
        for bit in range(8):
            yield data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
        yield data[:at] + data[at + 1 :]
        yield data[:at] + b"\n" + data[at:]
    yield data + b"\n"
    yield data + data.splitlines(keepends=True)[-1]


@pytest.mark.parametrize(
    "data",
    [b"", b"\n\n", b"\xff", b"a" * 5000, "obis/a/1\n07\nAAAA\n\n\u2014 a AAAAAAAA\n".encode()],
    ids=["empty", "blank", "not-utf8", "long", "leading-zero"],
)
def test_what_is_no_note_is_refused(data):
    with pytest.raises(Refused):
        parse_note(data)


@pytest.mark.parametrize(("origin", "size", "root"), [("a b", 1, bytes(32)), ("a", -1, bytes(32)), ("a", 1, b"")])
def test_no_checkpoint_is_made_of_wrong_parts(origin, size, root):
    with pytest.raises(Refused, match="MALFORMED"):
        Checkpoint(origin, size, root)
