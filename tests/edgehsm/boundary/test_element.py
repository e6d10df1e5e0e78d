"""The contract of an element; every implementation runs it. A new one is done when it passes here."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

from edgehsm.boundary.element import Element, ElementError, KeyHandle, KeyKind
from edgehsm.boundary.element.software import SoftwareElement
from obis.trust.package import SUITE, hpke_info
from obis.v1.scope_pb2 import Assurance

SECRET = b"0123456789abcdef" * 4
ONE, TWO = KeyHandle("one"), KeyHandle("two")
ES256 = ec.ECDSA(hashes.SHA256())


def software(folder: Path, secret: bytes = SECRET) -> Element:
    folder.mkdir(mode=0o700, exist_ok=True)
    return SoftwareElement(folder, secret)


IMPLEMENTATIONS = {"software": (software, Assurance.ASSURANCE_SOFTWARE)}


@pytest.fixture(params=list(IMPLEMENTATIONS))
def make(request, tmp_path):
    """Opens the same element again and again."""
    opener, _ = IMPLEMENTATIONS[request.param]
    return lambda secret=SECRET: opener(tmp_path / "element", secret)


def test_it_says_how_well_it_protects(make, request):
    assert make().assurance == IMPLEMENTATIONS[request.node.callspec.params["make"]][1]


@pytest.mark.parametrize("kind", list(KeyKind))
def test_1_and_2_a_key_is_made_once_and_is_the_same_after_a_restart(make, kind):
    spki = make().ensure(ONE, kind)

    assert make().ensure(ONE, kind) == make().public(ONE) == spki
    assert load_der_public_key(spki)


def test_1_another_secret_opens_nothing(make):
    make().ensure(ONE, KeyKind.SIGN_P256)

    with pytest.raises(ElementError, match="does not open"):
        make(b"f" * 64).public(ONE)


def test_1_nothing_on_the_disk_is_a_key_in_clear(make, tmp_path):
    spki = make().ensure(ONE, KeyKind.SIGN_P256)
    (path,) = (tmp_path / "element").glob("one*")

    assert spki not in path.read_bytes()
    with pytest.raises((ValueError, TypeError)):
        load_der_private_key(path.read_bytes().partition(b"\n")[2], None)


@pytest.mark.parametrize("kind", [KeyKind.SIGN_ED25519, KeyKind.OPEN_HPKE, KeyKind.UNWRAP_RSA])
def test_3_a_handle_has_one_kind_for_ever(make, kind):
    make().ensure(ONE, KeyKind.SIGN_P256)

    with pytest.raises(ElementError):
        make().ensure(ONE, kind)


def test_a_p256_signature_verifies_and_another_message_does_not(make):
    element = make()
    key = load_der_public_key(element.ensure(ONE, KeyKind.SIGN_P256))
    key.verify(element.sign(ONE, b"message"), b"message", ES256)

    with pytest.raises(InvalidSignature):
        key.verify(element.sign(ONE, b"message"), b"another", ES256)


def test_an_ed25519_signature_has_64_bytes_and_verifies(make):
    element = make()
    key = load_der_public_key(element.ensure(ONE, KeyKind.SIGN_ED25519))
    signature = element.sign(ONE, b"message")

    key.verify(signature, b"message")
    assert len(signature) == 64


def test_a_package_opens_with_its_key_and_context_alone(make):
    element = make()
    key = load_der_public_key(element.ensure(ONE, KeyKind.OPEN_HPKE))
    element.ensure(TWO, KeyKind.OPEN_HPKE)
    info = hpke_info("edge-th", b"a" * 16)
    sealed = SUITE.encrypt(b"inside", key, info=info)

    assert element.open_sealed(ONE, sealed, info) == b"inside"
    for handle, box, context in [
        (ONE, sealed, hpke_info("edge-vn", b"a" * 16)),
        (TWO, sealed, info),
        (ONE, sealed[:-1] + bytes([sealed[-1] ^ 1]), info),
        (ONE, sealed[:40], info),
    ]:
        with pytest.raises(ValueError, match="sealed to another"):
            element.open_sealed(handle, box, context)


@pytest.mark.parametrize("kind", [KeyKind.OPEN_HPKE, KeyKind.UNWRAP_RSA])
def test_4_a_key_does_nothing_but_its_own_work(make, kind):
    element = make()
    element.ensure(ONE, kind)
    element.ensure(TWO, KeyKind.SIGN_P256)

    with pytest.raises(ElementError):
        element.sign(ONE, b"message")
    with pytest.raises(ElementError):
        element.open_sealed(TWO, bytes(100), b"")


@pytest.mark.parametrize("handle", ["missing", "../escape", "", "UPPER"])
def test_4_a_key_that_is_not_there_is_said(make, handle):
    with pytest.raises(ElementError):
        make().sign(KeyHandle(handle), b"message")


def test_a_folder_open_to_others_or_a_short_secret_is_refused(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(ElementError, match="open to others"):
        SoftwareElement(tmp_path / "open", SECRET)
    with pytest.raises(ElementError, match="32 bytes"):
        software(tmp_path / "closed", b"1234")
