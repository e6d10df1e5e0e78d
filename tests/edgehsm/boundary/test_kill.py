"""N7: kill -9 of the boundary at random moments spends nothing twice, loses no answer and changes none.

A real process over its real socket, 300 kills: half of them at a random moment of a batch, half the moment its reply is
there. Stations retry what got no answer and, one time in five, what did. A control that answers before it commits must
fail under the same kills, else the zeros below would mean nothing.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from obis.trust.checkpoint import verify_note
from obis.trust.merkle import Tree, verify_consistency
from obis.v1.boundary_pb2 import BoundaryRequest, StationStep, StepBatch
from obis.v1.leaf_pb2 import LogLeaf
from tests.edgehsm.processes import BoundaryProcess, enrolled
from tests.edgehsm.room import STATION, digest_of, issue
from tests.edgehsm.world import chip

KILLS, QUANTITY, BATCH = 300, 2500, 16
SEED = 20261122


@dataclass
class Stations:
    """What all stations know: devices to make, and every answer they ever got."""

    auth_id: bytes
    chance: random.Random
    waiting: list[int] = field(default_factory=list)
    answers: dict[int, tuple[bytes, bytes, int]] = field(default_factory=dict)
    refusals: Counter[int] = field(default_factory=Counter)
    changed: int = 0
    next_device: int = 0

    def batch(self) -> list[int]:
        """Devices to ask for: what got no answer, new ones, and some that were answered already."""
        asked, self.waiting = self.waiting[:BATCH], self.waiting[BATCH:]
        while len(asked) < BATCH:
            if self.answers and self.chance.random() < 0.2:
                asked.append(self.chance.choice(list(self.answers)))
            else:
                asked.append(self.next_device)
                self.next_device += 1
        return asked

    def hear(self, asked: list[int], replies) -> None:
        for device, reply in zip(asked, replies, strict=True):
            if reply.HasField("refused"):
                self.refusals[reply.refused.reason] += 1
                continue
            answer = (reply.issued.dac_der, reply.issued.boundary_nonce, reply.issued.log_index)
            self.changed += self.answers.setdefault(device, answer) != answer


class Killed(BoundaryProcess):
    """Started by the launcher: a fork instead of a second of imports."""

    launcher: subprocess.Popen

    def start(self) -> str:
        self.launcher.stdin.write(f"{self.config}\n")
        self.launcher.stdin.flush()
        lines = [self.launcher.stdout.readline() for _ in range(2)]
        self.pid = next(int(line.split()[1]) for line in lines if line.startswith("pid"))
        assert any("ready" in line for line in lines), lines
        self.connect()
        return ""

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.connection.close()
        while Path(f"/proc/{self.pid}").exists():
            time.sleep(0.0005)


@pytest.fixture
def campaign(tmp_path):
    """`campaign(*arguments)` is an enrolled boundary under the launcher, and its stations."""
    started = []

    def begin(*arguments: str) -> tuple[Killed, Stations]:
        made = enrolled(tmp_path / "b")
        auth_id = made.admit(quantity=QUANTITY)
        made.kill()
        command = [sys.executable, "-m", "tests.edgehsm.launcher", *arguments]
        launcher = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        killed = Killed(made.folder, made.world)
        started.append(killed)
        killed.launcher = launcher
        killed.start()
        return killed, Stations(auth_id, random.Random(SEED))

    (tmp_path / "b").mkdir()
    yield begin
    for killed in started:
        killed.kill()
        killed.launcher.stdin.close()
        killed.launcher.wait(10)
        killed.launcher.stdout.close()


def ask(boundary: Killed, stations: Stations, asked: list[int]) -> None:
    steps = [
        StationStep(station_key_digest=digest_of(STATION), step=issue(stations.auth_id, chips(device), place))
        for place, device in enumerate(asked)
    ]
    boundary.send(BoundaryRequest(request_id=1, steps=StepBatch(steps=steps)))


def chips(number: int, made={}):  # noqa: B006 (a device keeps its key)
    return made.setdefault(number, chip(number))


def run(boundary: Killed, stations: Stations, kills: int) -> None:
    for number in range(kills):
        for _ in range(stations.chance.randrange(3)):
            asked = stations.batch()
            ask(boundary, stations, asked)
            stations.hear(asked, boundary.receive().steps.replies)
        asked = stations.batch()
        ask(boundary, stations, asked)
        if number % 2:
            stations.hear(asked, boundary.receive().steps.replies)
        else:
            time.sleep(stations.chance.random() * 0.006)
            stations.waiting += asked
        boundary.kill()
        boundary.start()


def lost_or_changed(boundary: Killed, stations: Stations) -> int:
    """Answers a station holds that the boundary no longer gives in the same bytes."""
    before, wrong = stations.changed, 0
    for start in range(0, len(stations.answers), BATCH):
        asked = list(stations.answers)[start : start + BATCH]
        ask(boundary, stations, asked)
        replies = boundary.receive().steps.replies
        wrong += sum(not reply.issued.repeated_answer for reply in replies)
        stations.hear(asked, replies)
    return wrong + stations.changed - before


def leaves_of(boundary: Killed) -> list[bytes]:
    leaves: list[bytes] = []
    while page := boundary.page(len(leaves)).leaves:
        leaves += page
    return leaves


@pytest.mark.ci
@pytest.mark.timeout(400)
def test_300_kills_issue_nothing_twice_and_lose_or_change_no_answer(campaign):
    boundary, stations = campaign()
    first = boundary.page(0)
    run(boundary, stations, KILLS)

    assert lost_or_changed(boundary, stations) == 0
    leaves = leaves_of(boundary)
    made = [leaf.issued for each in leaves if (leaf := LogLeaf.FromString(each)).HasField("issued")]
    devices = {leaf.device.uid for leaf in made}
    (account,) = boundary.status.authorizations
    assert len(made) == len(devices) == account.used <= QUANTITY
    assert [leaf.count for leaf in made] == list(range(1, len(made) + 1))
    for dac_der, _, index in stations.answers.values():
        assert LogLeaf.FromString(leaves[index]).issued.dac_der == dac_der
    assert sum(LogLeaf.FromString(each).HasField("incarnation") for each in leaves) >= KILLS
    assert stations.changed == 0
    assert len(made) > KILLS * BATCH / 4 or account.used == QUANTITY  # the kills did not stop the line
    require_grown(boundary, first, leaves)


def require_grown(boundary: Killed, first, leaves: list[bytes]) -> None:
    """The log seen before the kills is the beginning of the log after them."""
    last = boundary.page(len(leaves))
    checkpoints = [
        verify_note(page.checkpoint, f"obis/{page.edgehsm_id}/{page.epoch}", log_key(boundary))
        for page in (first, last)
    ]
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf)
    assert (checkpoints[1].size, checkpoints[1].root) == (len(leaves), tree.root())
    proof = tree.consistency_proof(checkpoints[0].size)
    verify_consistency(checkpoints[0].size, checkpoints[1].size, proof, checkpoints[0].root, checkpoints[1].root)


def log_key(boundary: Killed) -> bytes:
    return boundary.world.keys.log_spki_der


@pytest.mark.ci
@pytest.mark.timeout(200)
def test_the_control_that_answers_before_it_commits_loses_answers(campaign):
    boundary, stations = campaign("control")
    run(boundary, stations, 60)

    assert stations.changed + lost_or_changed(boundary, stations) > 0
