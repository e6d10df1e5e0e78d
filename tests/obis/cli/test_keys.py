import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from obis.cli.approver_key import ApproverKey, make_key, read_public
from obis.cli.exits import Usage
from obis.cli.passphrase import Passphrases, passphrases_from
from obis.cli.sealed_key import read_sealed, seal
from obis.trust import payload
from obis.trust.envelope import add_signature, sign_with, verify_single
from obis.trust.signature import require_low_s
from obis.v1.enrolment_objects_pb2 import PersonRequest
from obis.v1.envelope_pb2 import Envelope, SigScheme

PASSPHRASE = b"correct horse battery"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def key(folder):
    return make_key(folder / "anna.key", PASSPHRASE)


def test_a_key_opens_again_under_its_passphrase(folder, key):
    assert ApproverKey.open(folder / "anna.key", PASSPHRASE).key_id == key.key_id
    assert read_public(folder / "anna.pub") == key.public


def test_a_key_file_is_for_its_owner_alone_and_holds_no_key_in_clear(folder, key):
    written = (folder / "anna.key").read_bytes()

    assert (folder / "anna.key").stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in written
    with pytest.raises(Usage, match="does not open"):
        read_sealed(folder / "anna.key", b"another passphrase")


def test_a_key_is_never_overwritten(folder, key):
    with pytest.raises(Usage, match="never overwritten"):
        make_key(folder / "anna.key", PASSPHRASE)
    assert ApproverKey.open(folder / "anna.key", PASSPHRASE).key_id == key.key_id


@pytest.mark.needs("openssl")
def test_openssl_reads_the_sealed_key(folder, key):
    shown = subprocess.run(
        ["openssl", "pkey", "-in", folder / "anna.key", "-passin", "stdin", "-pubout", "-outform", "DER"],
        input=PASSPHRASE,
        capture_output=True,
        check=True,
    )

    assert shown.stdout == key.public.spki_der


def test_every_sealing_differs():
    made = ec.generate_private_key(ec.SECP256R1())

    assert seal(made, PASSPHRASE) != seal(made, PASSPHRASE)


def test_signatures_have_the_low_s_and_verify(key):
    request = PersonRequest(person_id="anna", spki_digest=bytes(32), requested_at=1)
    octets = request.SerializeToString(deterministic=True)
    for _ in range(16):
        sig = sign_with(payload.PERSON_REQUEST, octets, key)
        require_low_s(sig.sig)

    envelope = add_signature(Envelope(payload=octets, payload_type=payload.PERSON_REQUEST.text), sig)
    assert verify_single(envelope, payload.PERSON_REQUEST, key.public.spki_der, SigScheme.SIG_SCHEME_P256) == request


def test_another_curve_is_no_public_key_of_ours(tmp_path):
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    (tmp_path / "x.pub").write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    with pytest.raises(Usage, match="P-256"):
        read_public(tmp_path / "x.pub")


def test_a_passphrase_is_asked_for_once_a_sitting():
    asked = []

    def ask(prompt):
        asked.append(prompt)
        return "correct horse battery"

    sitting = Passphrases(ask=ask)

    assert sitting.of("anna") == sitting.of("anna") == PASSPHRASE
    assert asked == ["Passphrase of anna: "]


def test_a_new_passphrase_is_typed_twice_and_long_enough():
    typed = iter(["one passphrase", "another one", "short", "short"])
    sitting = Passphrases(ask=lambda _prompt: next(typed))

    with pytest.raises(Usage, match="differ"):
        sitting.chosen_for("anna")
    with pytest.raises(Usage, match="at least 8"):
        sitting.chosen_for("boris")


def test_without_terminal_and_descriptor_nothing_hangs():
    with pytest.raises(Usage, match="no terminal"):
        Passphrases().of("anna")


def test_passphrases_come_through_a_pipe(pipe_with):
    assert passphrases_from(pipe_with(b'{"anna": "correct horse battery"}')).of("anna") == PASSPHRASE


@pytest.mark.parametrize("content", [b"", b"[]", b'{"anna": 1}', b"correct horse"])
def test_anything_else_on_the_pipe_is_refused(pipe_with, content):
    with pytest.raises(Usage, match="JSON"):
        passphrases_from(pipe_with(content))
