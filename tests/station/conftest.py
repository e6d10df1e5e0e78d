"""Virtual chips in processes of their own, one a family, started when a test first asks."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from station.silicon.link import Place
from station.sockets import Socket, SocketPlan
from tests.tree import ROOT


class ChipProcess:
    """`python -m station.virtual`, listening."""

    def __init__(self, folder: Path, soc: str, *options: str, secret: bytes = b"") -> None:
        self.sockets = []
        self.address, self.soc = f"unix:{folder / (soc + '.sock')}", soc
        command = [sys.executable, "-m", "station.virtual", "--listen", self.address, "--soc", soc, *options]
        descriptors = ()
        if secret:
            reading, writing = os.pipe()
            os.write(writing, json.dumps({"chips": secret.decode()}).encode())
            os.close(writing)
            command += ["--secrets-fd", str(reading)]
            descriptors = (reading,)
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, pass_fds=descriptors)
        for each in descriptors:
            os.close(each)
        assert json.loads(self.process.stdout.readline())["event"] == "listening"

    def socket(self, slot: int = 0, *, pool: bool = True, patience: float = 2.0) -> Socket:
        plan = SocketPlan(f"{self.soc}-{slot}", self.soc, Place(self.address, slot), pool)
        self.sockets.append(Socket(plan, patience))
        return self.sockets[-1]

    def hang_up(self) -> None:
        while self.sockets:
            self.sockets.pop().close()

    def stop(self) -> None:
        self.hang_up()
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="session")
def chip_pools(tmp_path_factory):
    """The pooled process of a family, with faults; `chips(soc)`."""
    folder, running = tmp_path_factory.mktemp("chips"), {}

    def of(soc: str) -> ChipProcess:
        if soc not in running:
            running[soc] = ChipProcess(folder, soc, "--slots", "8", "--pool", "--faults")
        return running[soc]

    yield of, running
    for each in running.values():
        each.stop()


@pytest.fixture
async def chips(chip_pools):
    """As `chip_pools`; hangs up after the test."""
    of, running = chip_pools
    yield of
    for each in running.values():
        each.hang_up()
    await asyncio.sleep(0)


@pytest.fixture
def chip_process(tmp_path):
    """A process with chosen options; `chip_process(soc, *options)`."""
    running = []

    def start(soc: str, *options: str, secret: bytes = b"") -> ChipProcess:
        running.append(ChipProcess(tmp_path, soc, *options, secret=secret))
        return running[-1]

    yield start
    for each in running:
        each.stop()
