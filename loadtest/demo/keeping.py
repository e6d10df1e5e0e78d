"""`make demo KEEP=1`: the mesh goes on, and this says how to reach it, as whom, and what to try."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from loadtest.demo.stage import Stage


async def keep(stage: Stage) -> None:
    """Say how to reach the mesh, then wait for Ctrl-C."""
    print(how_to_reach(stage))
    stopping = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stopping.set)
    await stopping.wait()
    print("\nending the mesh")


def how_to_reach(stage: Stage) -> str:
    """Ports, profiles, passphrases of these throw-away people, and commands to try."""
    folder = _relative(stage.folder)
    proposer = stage.plan.proposer.id
    people = [each.id for each in stage.plan.people] + [each.odm.person for each in stage.plan.factories]
    passphrases = [f"    {name:<10} {stage.passphrase(name)}" for name in people]
    return "\n".join(
        [
            "",
            f"The mesh is running ({stage.processes.count} processes). Ctrl-C ends it.",
            f"  ports      {folder}/ports.json",
            f"  logs       {folder}/logs",
            f"  profiles   {folder}/people/<person>, with these passphrases:",
            *passphrases,
            "  try",
            f"    export OBIS_HOME={folder}/people/{proposer}",
            "    .venv/bin/obis factory list",
            "    .venv/bin/obis product list",
            "    .venv/bin/obis summary",
            "    .venv/bin/obis records --json | head -1",
            f"    .venv/bin/obis verify {folder}/export",
        ]
    )


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
