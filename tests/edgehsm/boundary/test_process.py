"""The boundary as a process: its door, what it denies itself, and what it refuses to start on."""

from __future__ import annotations

import os
import resource
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from obis.v1.boundary_pb2 import BoundaryRequest
from obis.v1.custody_pb2 import CustodyStatusRequest
from obis.v1.scope_pb2 import Window
from tests.edgehsm.processes import BoundaryProcess, enrolled
from tests.edgehsm.room import issue, reason
from tests.edgehsm.world import World, chip


@pytest.fixture(scope="module")
def boundary(tmp_path_factory):
    started = enrolled(tmp_path_factory.mktemp("process"))
    yield started
    started.kill()


@pytest.fixture
def connected(boundary):
    """With a connection that works, whatever the test before did to it."""
    boundary.connect()
    return boundary


def ended(connection: socket.socket) -> bool:
    connection.settimeout(5)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_no_network_library_is_in_the_place_with_keys():
    program = "import edgehsm.boundary.__main__, sys; print([m for m in sys.modules if m.split('.')[0] == 'grpc'])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def test_it_dumps_no_core_and_hides_its_memory(connected):
    pid = connected.process.pid

    assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
    assert Path(f"/proc/{pid}/mem").stat().st_uid == 0  # not dumpable: /proc belongs to root, whoever runs it


def test_it_has_no_network_socket(connected):
    inodes = {
        str(path.readlink()).removeprefix("socket:[").removesuffix("]")
        for path in Path(f"/proc/{connected.process.pid}/fd").iterdir()
        if str(path.readlink()).startswith("socket:[")
    }
    internet = "".join(Path(f"/proc/{connected.process.pid}/net/{each}").read_text() for each in ("tcp", "tcp6", "udp"))

    assert inodes
    assert not [inode for inode in inodes if f" {inode} " in internet]


def test_the_ready_line_says_epoch_and_size(boundary):
    line = boundary.restart()

    assert line.startswith("boundary of edge-th ready: epoch 1, ")


def test_a_front_may_go_and_come_back(connected):
    auth_id = connected.admit()
    made = issue(auth_id, chip(1))
    first = connected.step(made).issued
    connected.connect()

    assert connected.step(made).issued.dac_der == first.dac_der


def test_one_front_at_a_time(connected):
    """A second one is answered when the first has gone."""
    second = BoundaryProcess(connected.folder, connected.world)
    second.connect()
    second.send(BoundaryRequest(request_id=9, status=CustodyStatusRequest()))
    second.connection.settimeout(0.3)
    with pytest.raises(TimeoutError):
        second.receive()
    connected.connection.close()
    second.connection.settimeout(5)

    assert second.receive().request_id == 9
    second.connection.close()


@pytest.mark.parametrize(
    "sent",
    [struct.pack(">I", (2 << 20) + 1), struct.pack(">I", 3) + b"\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n"],
    ids=["too long", "no message", "another protocol"],
)
def test_what_is_no_request_ends_the_connection_and_not_the_boundary(connected, sent):
    connected.connection.sendall(sent)
    assert ended(connected.connection)

    connected.connect()
    assert connected.status.epoch == 1


def test_a_truncated_message_ends_with_its_connection(connected):
    connected.connection.sendall(struct.pack(">I", 1000) + b"half of it")
    connected.connection.close()
    connected.connect()

    assert connected.status.epoch == 1


def test_a_request_without_intent_is_malformed(connected):
    assert reason(connected.ask()) == "MALFORMED"


@pytest.mark.parametrize("secret", ["another secret of more than 32 bytes", "short"])
def test_it_does_not_start_with_another_secret(tmp_path_factory, boundary, secret):
    boundary.kill()
    process = boundary.run("serve", {"element": secret})
    error = process.communicate(timeout=30)[1]
    boundary.start()

    assert process.returncode == 1
    assert "secret" in error


def test_it_does_not_start_without_a_ledger_and_init_replaces_none(tmp_path, boundary):
    bare = BoundaryProcess(tmp_path, World(int(time.time())))
    process = bare.run("serve")
    assert "missing" in process.communicate(timeout=30)[1]
    assert process.returncode == 1
    again = boundary.run("init")
    assert "exists already" in again.communicate(timeout=30)[1]
    assert again.returncode == 1


def test_another_user_is_disconnected_unread(tmp_path, boundary):
    """The configuration names the front's uid; here it is somebody else's."""
    boundary.kill()
    stranger = BoundaryProcess(boundary.folder, boundary.world, front_uid=os.getuid() + 1)
    stranger.start()
    try:
        assert ended(stranger.connection)
    finally:
        stranger.kill()
        boundary.write_config()
        boundary.start()


def test_a_window_ends_while_nobody_asks(boundary):
    """The tick closes it, so the leaf is there before the next question."""
    boundary.connect()
    now = int(time.time())
    sequence = len(boundary.status.authorizations) + 1
    short = Window(starts_at=now - 60, ends_at=now + 2)
    boundary.admit(sequence=sequence, auth_id=b"short batch id !", serial_prefix=b"\x23abc", window=short)
    before = len(boundary.leaves("authorization_closed"))
    time.sleep(3.2)

    closed = boundary.leaves("authorization_closed")
    assert len(closed) == before + 1
    assert closed[-1].auth_id == b"short batch id !"
