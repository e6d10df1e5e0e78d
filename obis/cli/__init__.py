"""The `obis` command: keys of people, governance, tracing, proof. A client of the RPCs; it imports no room.

`app` is what the console script calls. Nothing heavy is imported before a command is chosen.
"""

from __future__ import annotations


def app() -> None:
    """Run the command line; ends the process with one of `obis.cli.exits.Exit`."""
    from obis.cli.command_line import run

    run()
