"""python -m station.virtual --listen unix:PATH|tcp:HOST:PORT --soc NAME [--slots N] [--pool] [--faults] [--state DIR].

Serves virtual chips until it is told to stop; prints one JSON line when it listens. With --state the units outlast the
process, sealed under the secret `chips` (--secrets-fd, or the service manager's credentials).
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import resource
import signal
from pathlib import Path

import uvloop

from station.silicon.registry import family
from station.virtual.sealed import SealedShelf, Shelf
from station.virtual.socket import Sockets

_PR_SET_DUMPABLE = 4  # prctl(2)


def main() -> None:
    """Parse, harden, serve."""
    parser = argparse.ArgumentParser(prog="python -m station.virtual", description="Virtual chips.")
    parser.add_argument("--listen", required=True, help="unix:PATH or tcp:HOST:PORT")
    parser.add_argument("--soc", required=True, help="chip family, for example generic-wifi")
    parser.add_argument("--slots", type=int, default=1, help="units that may be there at once")
    parser.add_argument("--pool", action="store_true", help="take new units one after another")
    parser.add_argument("--faults", action="store_true", help="take orders for faults and clones")
    parser.add_argument("--state", type=Path, help="folder for sealed units")
    parser.add_argument("--secrets-fd", type=int, help="descriptor of the JSON object with the secret `chips`")
    chosen = parser.parse_args()
    _close_to_others()
    shelf = _shelf(chosen.state, chosen.secrets_fd)
    uid_bytes = family(chosen.soc).capabilities.uid_bytes
    sockets = Sockets(chosen.soc, uid_bytes, chosen.slots, shelf, pool=chosen.pool, faults=chosen.faults)
    uvloop.run(_serve(chosen.listen, sockets))


def _close_to_others() -> None:
    """No core file, and no other process of this user reads our memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl") and libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "this process stays dumpable")


def _shelf(folder: Path | None, descriptor: int | None) -> Shelf:
    if folder is None:
        return Shelf()
    from obis.mesh.secret import read_secrets

    return SealedShelf(folder, read_secrets(["chips"], descriptor)["chips"])


async def _serve(listen: str, sockets: Sockets) -> None:
    kind, _, place = listen.partition(":")
    if kind == "unix":
        server = await asyncio.start_unix_server(sockets.serve, place)
    else:
        host, _, port = place.rpartition(":")
        server = await asyncio.start_server(sockets.serve, host, int(port))
    gc.freeze()
    print(json.dumps({"event": "listening", "at": listen}), flush=True)
    stopping = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopping.set)
    await stopping.wait()
    server.close()


if __name__ == "__main__":
    main()
