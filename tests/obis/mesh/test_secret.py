import os

import pytest

from obis.mesh.secret import LONGEST_SECRET, SecretUnavailable, read_secret, read_secrets


def pipe_with(content):
    ours, theirs = os.pipe()
    os.write(theirs, content)
    os.close(theirs)
    return ours


def test_a_secret_comes_through_a_pipe_once():
    descriptor = pipe_with(b"correct horse\n")

    assert read_secret("passphrase", descriptor) == b"correct horse"
    with pytest.raises(SecretUnavailable, match="cannot be read"):
        read_secret("passphrase", descriptor)


def test_a_secret_comes_from_the_credentials_directory(tmp_path, monkeypatch):
    (tmp_path / "passphrase").write_bytes(b"correct horse\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    assert read_secret("passphrase") == b"correct horse"
    with pytest.raises(SecretUnavailable, match="No such file"):
        read_secret("another")


def test_a_memory_file_is_no_plain_file():
    descriptor = os.memfd_create("passphrase")
    os.write(descriptor, b"correct horse")
    os.lseek(descriptor, 0, os.SEEK_SET)

    assert read_secret("passphrase", descriptor) == b"correct horse"


def test_a_plain_file_is_refused(tmp_path):
    (tmp_path / "passphrase").write_bytes(b"correct horse")
    descriptor = os.open(tmp_path / "passphrase", os.O_RDONLY)

    with pytest.raises(SecretUnavailable, match="plain file"):
        read_secret("passphrase", descriptor)


def test_nothing_handed_over_says_what_to_do(monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)

    with pytest.raises(SecretUnavailable, match="give a descriptor"):
        read_secret("passphrase")


@pytest.mark.parametrize("name", ["../etc/passwd", "a/b", "", ".hidden"])
def test_a_name_is_no_path(tmp_path, monkeypatch, name):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    with pytest.raises(SecretUnavailable, match="not the name"):
        read_secret(name)


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * (LONGEST_SECRET + 1)])
def test_an_empty_or_endless_secret_is_refused(content):
    with pytest.raises(SecretUnavailable, match="1 to 4096"):
        read_secret("passphrase", pipe_with(content))


def test_the_message_never_holds_the_secret():
    with pytest.raises(SecretUnavailable) as refusal:
        read_secret("passphrase", pipe_with(b"hunter2" * 1000))

    assert "hunter2" not in str(refusal.value)


def test_one_descriptor_hands_over_several_secrets():
    descriptor = pipe_with(b'{"element": "correct horse", "other": "x"}')

    assert read_secrets(["element"], descriptor) == {"element": b"correct horse"}


@pytest.mark.parametrize("content", [b"correct horse", b"{}", b"[]", b'{"element": ""}'])
def test_a_descriptor_without_the_secret_is_refused(content):
    with pytest.raises(SecretUnavailable, match="element"):
        read_secrets(["element"], pipe_with(content))
