"""`python -m edgehsm {enrol|serve} --config front.toml`: the EdgeHSM's front. The boundary runs beside it.

enrol --ticket FILE carries a signed EnrolTicket through; serve answers stations and the Factory Service.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from edgehsm.config import ConfigUnusable, FrontConfig, read_config
from obis.refusal import Refused


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0, or 1 with a sentence."""
    told = _arguments(arguments)
    try:
        config = read_config(told.config)
        _run(told, config)
    except (ConfigUnusable, Refused, OSError) as failure:
        print(f"edgehsm: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _run(told: argparse.Namespace, config: FrontConfig) -> None:
    import uvloop

    from obis.mesh.journal import configure_log

    configure_log(f"edgehsm {config.edgehsm_id}", told.log)
    if told.verb == "enrol":
        from edgehsm.enrol import enrol

        finished = asyncio.run(enrol(config, told.ticket.read_bytes()))
        print(f"{finished.edgehsm_id}: enrolled at {finished.factory_id}, epoch {finished.epoch}")
    else:
        from edgehsm.front import Front

        uvloop.run(Front(config).serve())


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m edgehsm", description=(__doc__ or "").partition("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("enrol", "serve"):
        each = verbs.add_parser(verb)
        each.add_argument("--config", type=Path, required=True)
        each.add_argument("--log", default="info", choices=["debug", "info", "warning", "error"])
        if verb == "enrol":
            each.add_argument("--ticket", type=Path, required=True)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
