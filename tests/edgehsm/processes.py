"""The real boundary as a process over its real socket, and a blocking client that speaks as the front does."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from obis.v1.boundary_pb2 import BoundaryReply, BoundaryRequest
from tests.edgehsm.room import SECRET, Room
from tests.edgehsm.world import EDGE, FACTORY, World

ROOT = Path(__file__).parents[2]
BOUNDARY = ("-m", "edgehsm.boundary")


@dataclass
class BoundaryProcess(Room):
    """A Room whose boundary is another process. `entry` is what Python is told to run."""

    folder: Path
    world: World
    entry: tuple[str, ...] = BOUNDARY
    front_uid: int = field(default_factory=os.getuid)

    def __post_init__(self) -> None:
        self.config = self.folder / "boundary.toml"
        self.socket_path = self.folder / "b.sock"
        self.process = self.connection = None
        self.grant = self.pai = None
        self.write_config()

    def write_config(self) -> None:
        self.config.write_text(
            f'data = "{self.folder}"\nsocket = "{self.socket_path}"\nfingerprint = "{self.world.fingerprint.hex()}"\n'
            f'factory_id = "{FACTORY}"\nedgehsm_id = "{EDGE}"\nfront_uid = {self.front_uid}\n'
        )

    def run(self, verb: str, secrets: dict[str, str] | None = None) -> subprocess.Popen:
        read, write = os.pipe()
        os.write(write, json.dumps(secrets or {"element": SECRET.decode()}).encode())
        os.close(write)
        command = [sys.executable, *self.entry, verb, "--config", str(self.config), "--secrets-fd", str(read)]
        try:
            return subprocess.Popen(
                command, cwd=ROOT, pass_fds=(read,), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        finally:
            os.close(read)

    def start(self) -> str:
        """Started and connected; the ready line."""
        line = self.start_alone()
        self.connect()
        return line

    def start_alone(self) -> str:
        """Started, for another front than this one."""
        self.process = self.run("serve")
        line = self.process.stdout.readline()
        assert "ready" in line, self.process.stderr.read()
        return line.strip()

    def connect(self) -> None:
        if self.connection:
            self.connection.close()
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(str(self.socket_path))

    def kill(self) -> None:
        """kill -9, and whatever was in flight is lost."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        if self.connection:
            self.connection.close()

    def send(self, request: BoundaryRequest) -> None:
        message = request.SerializeToString()
        self.connection.sendall(struct.pack(">I", len(message)) + message)

    def receive(self) -> BoundaryReply:
        (length,) = struct.unpack(">I", self._exactly(4))
        return BoundaryReply.FromString(self._exactly(length))

    def ask(self, **intent) -> BoundaryReply:
        self.send(BoundaryRequest(request_id=7, **intent))
        return self.receive()

    def _exactly(self, length: int) -> bytes:
        got = b""
        while len(got) < length:
            piece = self.connection.recv(length - len(got))
            if not piece:
                raise ConnectionError("the boundary has gone")
            got += piece
        return got

    def restart(self) -> str:
        self.kill()
        return self.start()


def enrolled(folder: Path, entry: tuple[str, ...] = BOUNDARY, now: int | None = None) -> BoundaryProcess:
    """Made by `init`, enrolled and prepared over the socket, running."""
    boundary = BoundaryProcess(folder, World(now or int(time.time())), entry)
    made = boundary.run("init")
    assert made.wait(30) == 0, made.stderr.read()
    made.stdout.close()
    made.stderr.close()
    boundary.start()
    boundary.enrol()
    boundary.prepare()
    return boundary
