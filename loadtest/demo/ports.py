"""Free ports of the loopback, written down in ports.json.

They lie below the range the kernel gives to outgoing connections (Linux: from 32768), so that no client of the demo can
take one between its choice and its use.
"""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

RANGE: Final = range(15000, 32000)


def choose_ports(names: Sequence[str], path: Path) -> dict[str, str]:
    """host:port for each name. All are held at once while choosing, so no two are the same. Raises OSError."""
    with ExitStack() as held:
        addresses = {name: f"127.0.0.1:{_bound(held).getsockname()[1]}" for name in names}
    path.write_text(json.dumps(addresses, indent=1) + "\n")
    return addresses


def _bound(held: ExitStack) -> socket.socket:
    for port in random.sample(RANGE, 200):
        listener = held.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            continue
        return listener
    raise OSError(f"no free port of {RANGE}")
