"""ISSUE_DAC and PROGRAM_FIRMWARE at a boundary with its real element, store and log."""

from __future__ import annotations

import subprocess
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from obis.matter.findings import errors_of
from obis.matter.lint_chain import lint_chain
from obis.v1.leaf_pb2 import LogLeaf
from obis.v1.provisioning_pb2 import DeviceStep, IssueStep
from tests.edgehsm.room import NOW, firmware, issue, ready_room, reason
from tests.edgehsm.world import Chip, chip
from tests.obis.trust.keys import Key, p256


@pytest.fixture
def room(tmp_path):
    return ready_room(tmp_path / "room")


@pytest.fixture
def auth_id(room):
    return room.admit()


def used(room) -> int:
    return room.status.authorizations[0].used


def test_a_dac_stands_under_its_pai_and_the_lint_finds_nothing(room, auth_id):
    made = chip(1)
    issued = room.step(issue(auth_id, made)).issued

    findings = lint_chain(room.world.paa_der, room.pai.pai_cert_der, issued.dac_der)
    key = x509.load_der_x509_certificate(issued.dac_der).public_key()
    assert not errors_of(findings)
    assert key == made.key.private.public_key()
    assert not issued.repeated_answer


def test_the_issue_leaf_holds_the_dac_and_the_count(room, auth_id):
    first, second = room.steps(issue(auth_id, chip(1)), issue(auth_id, chip(2)))

    leaf = LogLeaf.FromString(room.page(second.issued.log_index).leaves[0])
    assert leaf.issued.dac_der == second.issued.dac_der
    assert leaf.issued.count == 2
    assert leaf.issued.boundary_nonce == second.issued.boundary_nonce != first.issued.boundary_nonce
    assert leaf.at == NOW
    assert leaf.station_key_digest == sha256(p256("station").spki).digest()


def test_the_same_device_and_key_get_the_stored_answer_and_no_second_count(room, auth_id):
    first = room.step(issue(auth_id, chip_one := chip(1))).issued
    again = room.step(issue(auth_id, chip_one)).issued
    room.restart()
    after_restart = room.step(issue(auth_id, chip_one)).issued

    for answer in (again, after_restart):
        assert answer.repeated_answer
        assert (answer.dac_der, answer.boundary_nonce) == (first.dac_der, first.boundary_nonce)
        assert answer.log_index == first.log_index
    assert used(room) == len(room.leaves("issued")) == 1


def test_a_duplicate_inside_one_batch_counts_once(room, auth_id):
    made = chip(1)
    first, second = room.steps(issue(auth_id, made, 1), issue(auth_id, made, 2))

    assert first.issued.dac_der == second.issued.dac_der
    assert second.issued.repeated_answer
    assert used(room) == 1


def test_a_stored_answer_is_given_after_the_window_has_closed(room, auth_id):
    made = chip(1)
    first = room.step(issue(auth_id, made)).issued
    room.later(31 * 86400)

    assert room.step(issue(auth_id, made)).issued.dac_der == first.dac_der
    assert reason(room.step(issue(auth_id, chip(2)))) == "WINDOW_CLOSED"


def test_a_device_that_comes_back_with_another_key_is_refused_and_recorded(room, auth_id):
    room.step(issue(auth_id, chip(1)))
    reply = room.step(issue(auth_id, Chip(chip(1).uid)))

    (leaf,) = room.leaves("refused")
    assert reason(reply) == reason(leaf) == "DEVICE_KEY_CHANGED"
    assert leaf.device == chip(1).id
    assert used(room) == 1


def test_a_key_that_comes_back_with_another_device_is_refused(room, auth_id):
    made = chip(1)
    room.step(issue(auth_id, made))

    assert reason(room.step(issue(auth_id, Chip(b"another-uid", made.key)))) == "KEY_REUSED"
    assert used(room) == 1


def test_a_device_of_one_batch_does_not_get_its_dac_under_another(room, auth_id):
    made = chip(1)
    room.step(issue(auth_id, made))
    second = room.admit(sequence=2, auth_id=b"second batch id!", serial_prefix=b"\x22abc")

    assert reason(room.step(issue(second, made))) == "DEVICE_KEY_CHANGED"
    assert room.step(issue(second, chip(2))).issued.dac_der


def test_quantity_is_spent_once_per_device_across_a_restart(room):
    auth_id = room.admit(quantity=3)
    for number in range(3):
        assert room.step(issue(auth_id, chip(number))).issued.dac_der
    room.restart()

    assert reason(room.step(issue(auth_id, chip(9)))) == "QUANTITY_SPENT"
    assert len(room.leaves("issued")) == 3


def test_two_authorizations_run_at_once(room, auth_id):
    second = room.admit(sequence=2, auth_id=b"second batch id!", serial_prefix=b"\x22abc")
    replies = room.steps(*(issue((auth_id, second)[number % 2], chip(number)) for number in range(10)))

    assert all(reply.issued.dac_der for reply in replies)
    assert [each.used for each in room.status.authorizations] == [5, 5]


def test_only_the_key_of_a_csr_counts(room, auth_id):
    """A CSR that asks for another vendor and for a CA gets what the template says."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.ObjectIdentifier("1.3.6.1.4.1.37244.2.1"), "FFF2")])
    wish = x509.CertificateSigningRequestBuilder().subject_name(name)
    wish = wish.add_extension(x509.BasicConstraints(ca=True, path_length=3), critical=True)
    csr = wish.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    issued = room.step(issue(auth_id, Chip(b"greedy", Key(key)), csr=csr)).issued

    assert not errors_of(lint_chain(room.world.paa_der, room.pai.pai_cert_der, issued.dac_der))


def test_a_csr_of_the_openssl_command_is_as_good(room, auth_id, tmp_path):
    made = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    made += ["-keyout", str(tmp_path / "key.pem"), "-subj", "/CN=x", "-outform", "DER"]
    csr = subprocess.run(made, check=True, capture_output=True).stdout

    assert room.step(issue(auth_id, chip(1), csr=csr)).issued.dac_der


def bad_csrs():
    good = chip(1).key.csr()
    p384 = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    p384 = p384.sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA256())
    return {
        "truncated": (good[:-7], "CSR_MALFORMED"),
        "trailing": (good + b"\0", "CSR_MALFORMED"),
        "oversized": (good + bytes(1100), "CSR_MALFORMED"),
        "rubbish": (b"not a request at all", "CSR_MALFORMED"),
        "wrong curve": (p384.public_bytes(Encoding.DER), "CSR_CURVE_UNSUPPORTED"),
        "self-signature": (good[:-1] + bytes([good[-1] ^ 1]), "CSR_SIGNATURE_INVALID"),
    }


@pytest.mark.parametrize("kind", list(bad_csrs()))
def test_a_bad_csr_has_a_typed_error_no_count_no_certificate_and_no_leaf(room, auth_id, kind):
    csr, word = bad_csrs()[kind]
    size = room.status.log_size

    assert reason(room.step(issue(auth_id, chip(1), csr=csr))) == word
    assert room.status.log_size == size
    assert used(room) == 0


@pytest.mark.parametrize(
    "step",
    [
        DeviceStep(auth_id=b"short", device=chip(1).id, issue=IssueStep(csr_der=b"x")),
        DeviceStep(auth_id=bytes(16), issue=IssueStep(csr_der=b"x")),
        DeviceStep(auth_id=bytes(16), device=Chip(b"uid").id, issue=IssueStep(csr_der=b"x")),
        DeviceStep(auth_id=bytes(16), device=Chip(b"uid-", soc="Not A Soc").id, issue=IssueStep(csr_der=b"x")),
        DeviceStep(auth_id=bytes(16), device=chip(1).id),
    ],
    ids=["auth id", "no device", "uid", "soc", "no step"],
)
def test_a_step_that_breaks_its_documented_form_is_malformed_and_leaves_no_leaf(room, step):
    size = room.status.log_size

    assert reason(room.step(step)) == "MALFORMED"
    assert room.status.log_size == size


def test_what_a_station_adds_to_a_device_reaches_no_leaf(room, auth_id):
    """`obis verify` refuses a leaf with an unknown field: one such step would spoil the log for ever."""
    size = len(room.page().leaves)
    step = issue(auth_id, chip(1))
    step.device.MergeFromString(b"\x9a\x06\x03abc")
    assert reason(room.step(step)) == "UNKNOWN_FIELD"

    assert len(room.page().leaves) == size
    assert room.step(issue(auth_id, chip(1))).issued.dac_der


def test_an_oversized_step_is_refused_alone(room, auth_id):
    huge = issue(auth_id, chip(1), csr=bytes(5000))
    refused, issued = room.steps(huge, issue(auth_id, chip(2), 2))

    assert reason(refused) == "TOO_LARGE"
    assert issued.issued.dac_der


def test_a_flood_of_refusals_is_rate_capped_and_counted(room, auth_id):
    stranger = p256("stranger")
    for number in range(50):
        assert reason(room.step(issue(auth_id, chip(number)), station=stranger)) == "STATION_NOT_ENROLLED"
    first = len(room.leaves("refused"))
    room.later(60)
    room.step(issue(auth_id, chip(1)), station=stranger)

    assert first == 10
    assert room.leaves("refused")[-1].suppressed == 40


def test_firmware_is_authorized_for_devices_made_here_and_the_granted_image(room, auth_id):
    made = chip(1)
    issued, allowed = room.steps(issue(auth_id, made), firmware(auth_id, made))

    assert allowed.firmware.log_index == issued.issued.log_index + 1
    assert reason(room.step(firmware(auth_id, made, b"x" * 32))) == "FIRMWARE_NOT_GRANTED"
    assert reason(room.step(firmware(auth_id, chip(2)))) == "DEVICE_UNKNOWN"


def test_firmware_asked_again_before_the_outcome_is_counted_once_across_a_restart(room, auth_id):
    made = chip(1)
    first = room.steps(issue(auth_id, made), firmware(auth_id, made))[1].firmware.log_index
    room.restart()

    assert room.step(firmware(auth_id, made)).firmware.log_index == first
    assert len(room.leaves("firmware_authorized")) == 1
