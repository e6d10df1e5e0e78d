"""The tree of commands, and the one place where a failure becomes a sentence and an exit status.

Only typer is imported before a command is chosen; each command imports what it needs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from obis.cli import (
    command_batch,
    command_grant,
    command_keys,
    command_people,
    command_product,
    command_site,
    command_trace,
)
from obis.cli.desk import Desk
from obis.cli.exits import Exit, Usage, report
from obis.cli.passphrase import Passphrases, passphrases_from
from obis.cli.profile import Profile
from obis.refusal import Refused

EPILOG = "Exit status: 0 done, 1 refused, 2 usage, 3 unconfirmed, 4 unreachable."

main = typer.Typer(
    name="obis",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
    epilog=EPILOG,
)


@main.callback()
def lay_out(
    context: typer.Context,
    home: Annotated[Path | None, typer.Option(help="Folder of the profile; else $OBIS_HOME or ~/.config/obis.")] = None,
    secrets_fd: Annotated[int | None, typer.Option(help="Descriptor with a JSON object of passphrases.")] = None,
) -> None:
    """Govern a mesh, trace what it made, prove it."""
    profile = Profile(home) if home else Profile.default()
    context.obj = Desk(profile, passphrases_from(secrets_fd) if secrets_fd is not None else Passphrases())


for each in (
    *(command_keys, command_people, command_product, command_grant, command_batch, command_site, command_trace),
):
    each.mount(main)


def run() -> None:
    """Run the command line and end the process."""
    as_json = "--json" in sys.argv
    try:
        # standalone: click would print its own usage errors and end with 2, which is ours too
        main(prog_name="obis")
    except (Refused, Usage) as failure:
        sys.exit(report(failure, as_json=as_json))
    except KeyboardInterrupt:
        sys.exit(Exit.USAGE)
