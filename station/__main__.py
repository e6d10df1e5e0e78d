"""python -m station {keygen|enrol|run|rework|show} --config station.toml [--secrets-fd N].

keygen                       make the transport key; prints the digest that a StationTicket names
enrol --ticket FILE          hand ticket and request in; keep the certificate
run --json                   obey commands on stdin, say events on stdout (station/remote.py)
run --auth HEX [--count N]   provision, with an operator's screen; labels are shown, and kept nowhere
rework --auth HEX [--uid HEX] [--reason TEXT] [--operator TEXT]
show                         what this station knows: its name, its orders, its units
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from pathlib import Path
from typing import Any

import uvloop

from obis.mesh.journal import configure_log
from obis.mesh.secret import SecretUnavailable, read_secrets
from obis.mesh.transport import TransportKeyUnusable
from obis.refusal import Refused
from station.config import Config

SECRET = "transport"  # noqa: S105  # the secret's name


def main() -> int:
    """0 done; 1 refused or units that did not pass; 2 used wrongly."""
    told = _arguments()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold passcodes
    configure_log("station", "warning")
    try:
        config = Config.read(told.config)
        return int(uvloop.run(_VERBS[told.verb](config, told)))
    except Refused as refused:
        print(f"{refused}. {refused.next_step}", file=sys.stderr)
        return 1
    except (OSError, KeyError, ValueError, SecretUnavailable, TransportKeyUnusable) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m station", description=__doc__.splitlines()[0] if __doc__ else "")
    verbs = parser.add_subparsers(dest="verb", required=True)
    each = {name: verbs.add_parser(name) for name in _VERBS}
    for one in each.values():
        one.add_argument("--config", type=Path, required=True)
        one.add_argument("--secrets-fd", type=int)
    each["enrol"].add_argument("--ticket", type=Path, required=True)
    what = each["run"].add_mutually_exclusive_group(required=True)
    what.add_argument("--json", action="store_true", help="commands on stdin, events on stdout")
    what.add_argument("--auth", type=bytes.fromhex, help="the Authorization's id, hex")
    each["run"].add_argument("--count", type=int, default=1)
    each["run"].add_argument("--labels-to", type=Path, help="folder for label files; they hold passcodes")
    each["rework"].add_argument("--auth", type=bytes.fromhex, required=True)
    each["rework"].add_argument("--uid", type=bytes.fromhex, default=b"", help="hex; else the last unit that passed")
    each["rework"].add_argument("--reason", default="rework")
    each["rework"].add_argument("--operator", default="line")
    return parser.parse_args()


def _passphrase(told: argparse.Namespace) -> bytes:
    return read_secrets([SECRET], told.secrets_fd)[SECRET]


async def _keygen(config: Config, told: argparse.Namespace) -> int:
    from station.enrol import keygen

    print(json.dumps({"station": config.station_id, "spki_digest": keygen(config, _passphrase(told)).hex()}))
    return 0


async def _enrol(config: Config, told: argparse.Namespace) -> int:
    from station.enrol import enrol

    until = await enrol(config, _passphrase(told), told.ticket.read_bytes())
    print(json.dumps({"station": config.identity.uri, "valid_until": int(until.timestamp())}))
    return 0


async def _run(config: Config, told: argparse.Namespace) -> int:
    from station import operator, remote
    from station.run import ending, line, opening

    if not told.json:
        return await operator.run(config, _passphrase(told), told.auth, told.count, told.labels_to)
    remote.say(opening(config))
    async with line(config, _passphrase(told), remote.say, operator.label_files(told.labels_to)) as running:
        await remote.obey(running, await remote.stdin())
        remote.say(ending(running))
    return 0


async def _rework(config: Config, told: argparse.Namespace) -> int:
    from station import operator, remote
    from station.rework import Order
    from station.run import line

    order = Order(told.auth, told.reason, told.operator)
    async with line(config, _passphrase(told), lambda _: None, operator.label_files(None)) as running:
        await running.work.wait_for(order.auth_id, 20)
        counts = await running.rework(order, told.uid, remote.say)
    return 0 if counts == {"PASS": 1} else 1


async def _show(config: Config, told: argparse.Namespace) -> int:
    from station.journal import Journal
    from station.store import Store

    del told
    units: dict[str, Any] = {}
    for entry in Journal(config.data / "journal").entries():
        units[entry.uid.hex()] = {"auth_id": entry.auth_id.hex(), "mark": entry.mark.name, "result": entry.result}
    orders = [work.auth_id.hex() for work in Store(config.data).orders()]
    print(json.dumps({"station": config.identity.uri, "orders": orders, "units": units}, indent=1))
    return 0


_VERBS = {"keygen": _keygen, "enrol": _enrol, "run": _run, "rework": _rework, "show": _show}

if __name__ == "__main__":
    sys.exit(main())
