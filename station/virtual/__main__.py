"""python -m station.virtual --listen unix:PATH|tcp:HOST:PORT --soc NAME [--slots N] [--pool] [--faults] [--state DIR].

Serves virtual chips until it is told to stop; prints one JSON line when it listens. --listen may be given several times:
then each address has a process of its own, forked before any chip exists, which is the cheap way to have many devices
that share nothing. With --state the units outlast the process, sealed under the secret `chips` (--secrets-fd, or the
service manager's credentials).
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import os
import resource
import signal
from collections.abc import Iterable
from pathlib import Path

import uvloop

from station.silicon.registry import family
from station.virtual.sealed import SealedShelf, Shelf
from station.virtual.socket import Sockets

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4  # prctl(2)


def main() -> None:
    """Parse, harden, fork, serve."""
    chosen = _arguments()
    _close_to_others()
    shelf = _shelf(chosen.state, chosen.secrets_fd)
    gc.freeze()
    if len(chosen.listen) == 1:
        _serve(chosen, chosen.listen[0], shelf)
    else:
        _wait_for([_forked(chosen, each, shelf) for each in chosen.listen])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m station.virtual", description="Virtual chips.")
    parser.add_argument("--listen", required=True, action="append", help="unix:PATH or tcp:HOST:PORT")
    parser.add_argument("--soc", required=True, help="chip family, for example generic-wifi")
    parser.add_argument("--slots", type=int, default=1, help="units that may be there at once")
    parser.add_argument("--pool", action="store_true", help="take new units one after another")
    parser.add_argument("--faults", action="store_true", help="take orders for faults and clones")
    parser.add_argument("--state", type=Path, help="folder for sealed units")
    parser.add_argument("--secrets-fd", type=int, help="descriptor of the JSON object with the secret `chips`")
    chosen = parser.parse_args()
    if chosen.state and len(chosen.listen) > 1:
        parser.error("--state goes with one --listen")
    return chosen


def _close_to_others() -> None:
    """No core file, and no other process of this user reads our memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl") and libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl {option} was refused")


def _shelf(folder: Path | None, descriptor: int | None) -> Shelf:
    if folder is None:
        return Shelf()
    from obis.mesh.secret import read_secrets

    return SealedShelf(folder, read_secrets(["chips"], descriptor)["chips"])


def _forked(chosen: argparse.Namespace, listen: str, shelf: Shelf) -> int:
    """The process id of a child that serves this address, and ends with its parent."""
    pid = os.fork()
    if pid == 0:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        _serve(chosen, listen, shelf)
        os._exit(0)
    return pid


def _wait_for(children: Iterable[int]) -> None:
    """Until all have ended; a signal to stop is passed on."""

    def pass_on(number: int, _: object) -> None:
        for each in children:
            os.kill(each, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    for each in children:
        os.waitpid(each, 0)


def _serve(chosen: argparse.Namespace, listen: str, shelf: Shelf) -> None:
    uid_bytes = family(chosen.soc).capabilities.uid_bytes
    sockets = Sockets(chosen.soc, uid_bytes, chosen.slots, shelf, pool=chosen.pool, faults=chosen.faults)
    uvloop.run(_listen(listen, sockets))


async def _listen(listen: str, sockets: Sockets) -> None:
    kind, _, place = listen.partition(":")
    if kind == "unix":
        server = await asyncio.start_unix_server(sockets.serve, place)
    else:
        host, _, port = place.rpartition(":")
        server = await asyncio.start_server(sockets.serve, host, int(port))
    os.write(1, json.dumps({"event": "listening", "at": listen}).encode() + b"\n")  # whole, beside those of siblings
    stopping = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopping.set)
    await stopping.wait()
    server.close()


if __name__ == "__main__":
    main()
