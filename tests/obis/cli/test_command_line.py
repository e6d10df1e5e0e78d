"""The commands that need no server, as a person types them; those that do are run by tests/scenarios/test_demo.py."""

import json
import os
import subprocess
import sys

import pytest

from obis.cli.files import read_envelope
from obis.trust import payload
from obis.trust.trust_root import walk

PASSPHRASE = "correct horse battery"
WATCHED = ("grpc", "cryptography", "protovalidate", "sqlalchemy", "google.protobuf")


def obis(*arguments, home, cwd, secrets=None):
    """Run the command; the passphrases by a pipe, as a program hands them over."""
    ours, theirs = os.pipe()
    os.write(theirs, json.dumps(dict.fromkeys(secrets or [], PASSPHRASE)).encode())
    os.close(theirs)
    options = ["--secrets-fd", str(ours)] if secrets else []
    command = [sys.executable, "-m", "obis.cli", *options, *map(str, arguments)]
    environment = {**os.environ, "OBIS_HOME": str(home), "COLUMNS": "80"}
    ran = subprocess.run(
        command, cwd=cwd, env=environment, pass_fds=[ours], capture_output=True, text=True, check=False
    )
    os.close(ours)
    return ran


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return tmp_path_factory.mktemp("desk")


@pytest.fixture(scope="module")
def run(desk):
    def run(*arguments, secrets=None):
        return obis(*arguments, home=desk / "home", cwd=desk, secrets=secrets)

    return run


def test_help_imports_nothing_heavy():
    loaded = f"import sys; import obis.cli.command_line; print([m for m in {WATCHED} if m in sys.modules])"

    said = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout

    assert json.loads(said.replace("'", '"')) == ["google.protobuf"]


def test_without_a_profile_a_command_says_what_to_do(run):
    ran = run("product", "list")

    assert ran.returncode == 2
    assert "obis login" in ran.stderr


def test_usage_errors_and_missing_mesh_end_with_two(run):
    assert run("trace", "--bogus").returncode == 2
    assert run("mesh", "show").returncode == 2


def test_a_cloud_that_is_not_there_ends_with_four(run, desk, tmp_path):
    mesh = {"fingerprint": "00" * 32, "cloud": "127.0.0.1:1", "enrolment": "127.0.0.1:1", "transport_ca_pem": ca_pem()}
    (desk / "mesh.json").write_text(json.dumps(mesh))
    assert run("mesh", "join", "mesh.json", "--fingerprint", "00" * 32).returncode == 0
    assert run("key", "new", "zoe.key", secrets=["zoe"]).returncode == 0

    ran = run("login", "zoe", "--key", "zoe.key", secrets=["zoe"])

    assert ran.returncode == 4
    assert "no answer: UNREACHABLE" in ran.stderr


def test_a_mesh_of_another_fingerprint_is_not_joined(run, desk):
    mesh = {"fingerprint": "00" * 32, "cloud": "h:1", "enrolment": "h:1", "transport_ca_pem": "x"}
    (desk / "other.json").write_text(json.dumps(mesh))

    ran = run("mesh", "join", "other.json", "--fingerprint", "11" * 32)

    assert ran.returncode == 2
    assert "another" in ran.stderr


def test_a_root_is_drafted_and_signed_at_three_desks(run, desk):
    names = ["anna", "boris", "chandra", "online", "ca", "site", "super"]
    keys = {}
    for name in names:
        ran = run("key", "new", f"{name}.key", secrets=[name])
        keys[name] = ran.stdout.split()[-1]
    online = [
        {"role": role, "scheme": "P256", "spki_der": keys["online"]} for role in ("ONLINE", "REVOCATION", "BEACON")
    ]
    (desk / "cloud.json").write_text(json.dumps({"transport_ca_spki_der": keys["ca"], "keys": online}))
    (desk / "vault.json").write_text(json.dumps({"site_root_spki_der": keys["site"]}))
    people = [option for name in names[:3] for option in ("--person", f"{name}:{name.title()} X={name}.pub")]
    roles = [option for role in ("ROOT", "GRANT", "ENROLMENT") for option in ("--role", f"{role}=2:anna,boris,chandra")]

    drafted = run(
        *("root", "draft", "--name", "Acme", "--cloud", "cloud.json", "--vault", "vault.json", *people, *roles),
        *("--site", "th-01:TH:Rayong=super.pub", "-o", "root.bin"),
    )
    assert drafted.returncode == 0, drafted.stderr
    assert "signatures wanted  2" in drafted.stdout
    fingerprint = bytes.fromhex(drafted.stdout.split()[1])

    for name in ("boris", "chandra"):
        signed = run("root", "sign", "root.bin", "--key", f"{name}.key", "--yes", secrets=[name])
        assert signed.returncode == 0, signed.stderr

    assert "signatures wanted  0" in signed.stdout
    assert walk([read_envelope(desk / "root.bin")], fingerprint).root.mesh_name == "Acme"
    again = run("root", "sign", "root.bin", "--key", "boris.key", "--yes", secrets=["boris"])
    assert again.returncode == 1
    assert "ALREADY_SIGNED" in again.stderr


def test_a_supervisor_signs_a_station_ticket_without_any_server(run, desk):
    run("key", "new", "boss.key", secrets=["boss"])

    ran = run(
        *("station-ticket", "th-01", "th-01-s1", "--key-digest", "ab" * 32, "--key", "boss.key", "-o", "s1.ticket"),
        secrets=["boss"],
    )

    assert ran.returncode == 0, ran.stderr
    ticket = payload.parse_closed(payload.STATION_TICKET, read_envelope(desk / "s1.ticket").payload)
    assert (ticket.station_id, ticket.spki_digest) == ("th-01-s1", b"\xab" * 32)


def test_a_wrong_passphrase_is_a_sentence_and_not_a_trace(run, desk):
    run("key", "new", "eve.key", secrets=["eve"])
    (desk / "other").mkdir()
    (desk / "eve.key").rename(desk / "other" / "mallory.key")

    ours = run("root", "sign", "nothing.bin", "--key", "other/mallory.key", "--yes", secrets=["mallory"])

    assert ours.returncode == 2
    assert "Traceback" not in ours.stderr


def ca_pem():
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([]), datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.PEM).decode()
