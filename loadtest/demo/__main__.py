"""`python -m loadtest.demo [--keep] [--devices N]`: exit status 0 only if every invariant held."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

from loadtest.demo.board import Board
from loadtest.demo.failure import DemoFailed
from loadtest.demo.keeping import keep
from loadtest.demo.plan import read_plan
from loadtest.demo.proof import summary_text
from loadtest.demo.stage import ROOT, Stage
from loadtest.demo.story import Story
from obis.cli.exits import Usage, sentence
from obis.refusal import Refused


def main() -> int:
    """Play; whatever happens, no process is left behind."""
    told = _arguments()
    plan = read_plan()
    if told.devices:
        plan = plan.shortened(told.devices)
    try:
        stage = Stage.empty(plan, Board(), told.folder)
    except DemoFailed as failure:
        print(f"the demo failed: {failure}", file=sys.stderr)
        return 1
    try:
        return asyncio.run(_play(stage, keeping=told.keep))
    except (DemoFailed, Refused, Usage, ExceptionGroup) as failure:
        for each in _first_causes(failure):
            print(f"\nthe demo failed: {_told(each)}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 1
    finally:
        stage.processes.stop_all()


async def _play(stage: Stage, *, keeping: bool) -> int:
    async with AsyncExitStack() as stack:
        performance = asyncio.ensure_future(Story(stage, stack).play())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, performance.cancel)
        summary = await performance
        summary.write(stage.folder / "summary.json")
        print(f"\nSummary\n{summary_text(summary)}")
        for each in summary.failures:
            print(f"  BROKEN: {each}")
        if keeping:
            await keep(stage)
        return 1 if summary.failures else 0


def _first_causes(failure: Exception) -> Iterator[Exception]:
    """What went wrong in each of the things that were done side by side. Raises what is no failure of the demo."""
    if isinstance(failure, ExceptionGroup):
        for each in failure.exceptions:
            yield from _first_causes(each)
    elif isinstance(failure, DemoFailed | Refused | Usage):
        yield failure
    else:
        raise failure


def _told(failure: Exception) -> str:
    return sentence(failure) if isinstance(failure, Refused | Usage) else str(failure)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtest.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the mesh running until Ctrl-C")
    parser.add_argument("--devices", type=int, default=0, help="devices of each product; at least 3")
    parser.add_argument("--folder", type=Path, default=ROOT, help="where everything is kept; wiped at the start")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
