"""What every command has at hand: the profile, the passphrases of this sitting, and a way to print.

`with_cloud` and `with_nobody` run one piece of work on one event loop; failures leave as `Refused` or `Usage` and are
told by `command_line.run`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import typer

from obis.cli.passphrase import Passphrases
from obis.cli.profile import Profile

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from obis.cli.connection import Cloud

T = TypeVar("T")


@dataclass(frozen=True)
class Desk:
    """One sitting at the command line."""

    profile: Profile
    passphrases: Passphrases


def desk_of(context: typer.Context) -> Desk:
    """The desk the main command laid out."""
    found = context.obj
    if not isinstance(found, Desk):
        raise TypeError("the main command lays out the desk")
    return found


def with_cloud(context: typer.Context, work: Callable[[Cloud], Awaitable[T]]) -> T:
    """Run `work` on a connection to the cloud, as the profile's person."""
    from obis.cli.connection import connect

    desk = desk_of(context)
    passphrase = desk.passphrases.of(desk.profile.person().person_id)

    async def run() -> T:
        async with connect(desk.profile, passphrase) as cloud:
            return await work(cloud)

    return asyncio.run(run())


def show(message: Message, *, as_json: bool, lines: Iterable[str] = ()) -> None:
    """The answer: as JSON, or as the lines made for people, or field by field."""
    from obis.cli import plain

    if as_json:
        print(json.dumps(plain.to_plain(message), indent=1))
        return
    made = list(lines)
    for line in made or [f"{path}  {text}" for path, text in plain.lines(message)]:
        print(line)


def columns(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Rows of text under one another, two spaces between."""
    listed = list(rows)
    widths = [max(len(row[at]) for row in listed) for at in range(len(listed[0]))] if listed else []
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in listed)
    return [line.rstrip() for line in padded]
