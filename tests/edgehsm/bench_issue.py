"""`make bench-issue`: how fast the boundary issues, against raw P-256 verify and sign on one core in the same run.

Ratio = raw us / our us. Raw is one P-256 verify and one sign through `cryptography`, nothing else. Ours is the boundary's own
time per device: CSR verified, gate, template, lint, signature, ledger and log committed with fsync, reply encoded; by
CPU time (user and system of the boundary process) and by wall clock of its turns. Rounds alternate, so that a busy machine slows both.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from obis.v1.boundary_pb2 import BoundaryReply, BoundaryRequest, StationStep, StepBatch
from tests.edgehsm.processes import enrolled
from tests.edgehsm.room import STATION, digest_of, issue
from tests.edgehsm.world import Chip

ROUNDS, DEVICES = 5, 2048
SIZES = (1, 8, 32, 128)


def raw_us(pairs: int = 1500) -> float:
    """Microseconds of CPU for one verify and one sign."""
    key, algorithm, message = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(hashes.SHA256()), b"m" * 120
    public, signature = key.public_key(), key.sign(message, algorithm)
    begin = time.process_time()
    for _ in range(pairs):
        public.verify(signature, message, algorithm)
        key.sign(message, algorithm)
    return (time.process_time() - begin) / pairs * 1e6


def batches(auth_id: bytes, size: int, first: int) -> list[bytes]:
    """Encoded requests for fresh devices; stations make keys and CSRs, so that is not the boundary's time."""
    station = digest_of(STATION)
    found = []
    for start in range(first, first + DEVICES, size):
        steps = [
            StationStep(station_key_digest=station, step=issue(auth_id, Chip(b"bench-%09d" % number), number))
            for number in range(start, start + size)
        ]
        found.append(BoundaryRequest(request_id=start + 1, steps=StepBatch(steps=steps)))
    return found


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def issue_us(boundary, requests) -> tuple[float, float]:
    """Microseconds a device: CPU of the boundary, and wall clock with one batch waiting while one is worked on."""
    cpu, begin = cpu_of(boundary.process.pid), time.perf_counter()
    boundary.send(requests[0])
    for request in [*requests[1:], None]:
        if request is not None:
            boundary.send(request)
        require_issued(boundary.receive())
    return (cpu_of(boundary.process.pid) - cpu) / DEVICES * 1e6, (time.perf_counter() - begin) / DEVICES * 1e6


def require_issued(reply: BoundaryReply) -> None:
    assert all(each.issued.dac_der for each in reply.steps.replies), reply


def measure() -> dict[int, tuple[float, float, float]]:
    """Of each batch size: medians of raw, CPU and wall microseconds."""
    with tempfile.TemporaryDirectory() as folder:
        boundary = enrolled(Path(folder))
        auth_id, first, found = boundary.admit(quantity=900_000), 0, {}
        for size in SIZES:
            rounds = []
            for _ in range(ROUNDS):
                requests = batches(auth_id, size, first)
                first += DEVICES
                raw = raw_us()
                rounds.append((raw, *issue_us(boundary, requests)))
            found[size] = tuple(statistics.median(column) for column in zip(*rounds, strict=True))
        boundary.kill()
        return found


def main() -> None:
    sys.stdout.write("batch   raw us   cpu us  wall us   ratio cpu   ratio wall\n")
    for size, (raw, cpu, wall) in measure().items():
        sys.stdout.write(f"{size:5} {raw:8.1f} {cpu:8.1f} {wall:8.1f} {raw / cpu:11.2f} {raw / wall:12.2f}\n")


if __name__ == "__main__":
    main()
