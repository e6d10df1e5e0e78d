"""`python -m edgehsm.boundary {init|serve} --config boundary.toml --secrets-fd N`: the EdgeHSM's place with keys.

init makes an empty ledger and element folder, once. serve answers the front; it prints one line when it is ready and
refuses to start on a ledger that is missing, damaged, rolled back or not the configured EdgeHSM's. Secret: `element`,
the text under which keys are encrypted at rest (at least 32 bytes of randomness).
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from edgehsm.boundary.config import BoundaryConfig, ConfigInvalid, read_config
from edgehsm.boundary.element import ElementError
from edgehsm.boundary.element.software import SoftwareElement
from edgehsm.boundary.hardening import HardeningFailed, harden
from edgehsm.boundary.machine import Machine
from edgehsm.boundary.server import BoundaryServer
from edgehsm.boundary.service import Boundary
from edgehsm.boundary.store import Store, StoreUnusable
from obis.mesh.journal import configure_log
from obis.mesh.secret import SecretUnavailable, read_secrets


def init(config: BoundaryConfig) -> None:
    """An empty ledger and element, where there are none."""
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    config.element.mkdir(mode=0o700, exist_ok=True)
    Store.create(config.ledger)
    print(f"boundary of {config.place.edgehsm_id}: made an empty ledger in {config.data}")


def serve(
    config: BoundaryConfig, secret: bytes, server: Callable[[Boundary, Path, int], BoundaryServer] = BoundaryServer
) -> None:
    """Answer the front until a signal comes."""
    missing = harden()
    store = Store(config.ledger)
    element = SoftwareElement(config.element, secret)
    boundary = Boundary(config.place, element, store, config.cosigned, Machine())
    door = server(boundary, config.socket, config.front_uid)
    without = f", without {', '.join(missing)}" if missing else ""
    state = f"epoch {boundary.epoch}, {boundary.log_size} leaves" if boundary.epoch else "not enrolled"
    print(f"boundary of {config.place.edgehsm_id} ready: {state}{without}", flush=True)
    door.serve()


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 after a signal, 1 where it does not start."""
    parser = argparse.ArgumentParser(prog="edgehsm.boundary", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("verb", choices=("init", "serve"))
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--secrets-fd", type=int)
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        config = read_config(chosen.config)
        if chosen.verb == "init":
            init(config)
        else:
            configure_log(f"boundary {config.place.edgehsm_id}")
            serve(config, read_secrets(["element"], chosen.secrets_fd)["element"])
    except (ConfigInvalid, StoreUnusable, ElementError, SecretUnavailable, HardeningFailed) as error:
        print(f"edgehsm.boundary: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
