"""`python -m factory {enrol|serve} --config factory.toml [--secrets-fd N]`.

`enrol --ticket FILE` makes the key and asks the cloud for a certificate; `serve` carries until it is told to stop. The
start secret `factory` comes as JSON on an inherited descriptor, or from $CREDENTIALS_DIRECTORY.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from factory.config import Config, ConfigUnusable
from obis.mesh.secret import SecretUnavailable, read_secrets
from obis.mesh.transport import TransportKeyUnusable
from obis.refusal import Refused

SECRET = "factory"  # noqa: S105 (the secret's name)


def main() -> int:
    """The exit status: 0, or 1 with a sentence."""
    told = _arguments()
    try:
        config = Config.read(told.config)
        config.data.mkdir(parents=True, exist_ok=True)
        passphrase = read_secrets([SECRET], told.secrets_fd)[SECRET]
        _run(told, config, passphrase)
    except FileNotFoundError as missing:
        print(f"factory: {missing.filename} is missing: run `python -m factory enrol` first", file=sys.stderr)
        return 1
    except (ConfigUnusable, SecretUnavailable, TransportKeyUnusable, Refused) as failure:
        print(f"factory: {failure}", file=sys.stderr)
        return 1
    return 0


def _run(told: argparse.Namespace, config: Config, passphrase: bytes) -> None:
    from obis.mesh.journal import configure_log

    configure_log(f"factory {config.factory_id}", told.log)
    if told.verb == "enrol":
        from factory.enrol import enrol

        asyncio.run(enrol(config, told.ticket, passphrase))
        print(f"factory {config.factory_id}: enrolled")
    else:
        import uvloop

        uvloop.run(_serve(config, passphrase))


async def _serve(config: Config, passphrase: bytes) -> None:
    from factory.service import FactoryService

    await FactoryService(config, passphrase).serve()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m factory", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("enrol", "serve"):
        each = verbs.add_parser(verb)
        each.add_argument("--config", type=Path, required=True)
        each.add_argument("--secrets-fd", type=int)
        each.add_argument("--log", default="info", choices=["debug", "info", "warning", "error"])
        if verb == "enrol":
            each.add_argument("--ticket", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
