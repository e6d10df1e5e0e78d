"""Starts boundary processes quickly: imports once, then forks one process a start. Run as `python -m …launcher [control]`.

Reads lines `CONFIG` on its input; each makes a child that runs the boundary's own main with `serve`, and prints
its pid. The child is an ordinary process: own socket, own ledger, killed with -9. With `control`, the child runs a server that
answers before it commits: the mistake the kill test must be able to see. The product has no such switch.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

from edgehsm.boundary import __main__ as boundary
from edgehsm.boundary.config import read_config
from edgehsm.boundary.server import BoundaryServer
from tests.edgehsm.room import SECRET


class AnswersFirst(BoundaryServer):
    """Count after the answer: what nobody must do."""

    def _complete(self, front, request):
        self._send(front, self._boundary.decide(request))
        self._boundary.commit()


def child(config: str) -> None:
    read, write = os.pipe()
    os.write(write, json.dumps({"element": SECRET.decode()}).encode())
    os.close(write)
    if sys.argv[1:] == ["control"]:
        boundary.serve = partial(boundary.serve, server=AnswersFirst)
    os._exit(boundary.main(["serve", "--config", config, "--secrets-fd", str(read)]))


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps them
    for line in sys.stdin:
        config = line.strip()
        read_config(Path(config))
        pid = os.fork()
        if not pid:
            child(config)
        sys.stdout.write(f"pid {pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
