"""The operator's screen: what is on each socket, PASS or FAIL and why, and the counts; readable at 80 columns.

A label is shown beside its unit until the next one, because somebody sticks it on; it is kept nowhere, unless the
operator asked for files.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from station.config import Config
from station.events import Event
from station.label import Label
from station.line import Batch
from station.run import ending, line

_COLOURS = {"PASS": "bold green", "FAIL": "bold red", "REFUSED": "bold yellow", "HELD": "bold blue"}


@dataclass
class Screen:
    """What the operator sees, built from events and labels."""

    station: str
    product: str = ""
    label: str = ""
    links: dict[str, bool] = field(default_factory=dict)
    rows: dict[str, Event] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def hear(self, event: Event) -> None:
        """One event more."""
        if event["event"] == "device":
            self.rows[event["socket"]] = event
            self.counts[event["result"]] = self.counts.get(event["result"], 0) + 1
        elif event["event"] == "order":
            self.product = event["product"]
        elif event["event"] == "link":
            self.links[event["peer"]] = event["up"]

    def show_label(self, label: Label) -> None:
        """The label to stick on."""
        self.label = label.render()

    def __rich__(self) -> Group:
        return Group(self._head(), self._table(), Text(self._counters()), Text(self.label, style="reverse"))

    def _head(self) -> Text:
        links = "  ".join(f"{peer} {'up' if up else 'DOWN'}" for peer, up in sorted(self.links.items()))
        return Text(f"{self.station}  {self.product}  {links}", style="bold")

    def _table(self) -> Table:
        table = Table(width=80)
        for name, width in (("socket", 10), ("unit", 16), ("result", 7), ("ms", 5), ("why", 26)):
            table.add_column(name, width=width, no_wrap=name != "why")
        for name, event in sorted(self.rows.items()):
            verdict = Text(event["result"], style=_COLOURS[event["result"]])
            why = f"{event['reason']}: {event['what']}" if event["reason"] else ""
            table.add_row(name, event["uid"][:16], verdict, str(event["duration_ms"]), why)
        return table

    def _counters(self) -> str:
        return "   ".join(f"{name} {self.counts.get(name, 0)}" for name in _COLOURS)


def label_files(folder: Path | None) -> Callable[[Label], None]:
    """Where labels go without a screen: files of their own for their owner alone, if somebody asked; else nowhere."""
    if folder is None:
        return lambda _: None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(label: Label) -> None:
        path = folder / f"{label.serial_number}.txt"
        path.touch(mode=0o600)
        path.write_text(label.render())

    return write


async def run(config: Config, passphrase: bytes, auth_id: bytes, count: int, folder: Path | None) -> int:
    """Provisions with a screen; the counts as JSON on stdout at the end. 0 if every unit passed."""
    screen, keep = Screen(config.station_id), label_files(folder)

    def label_out(label: Label) -> None:
        screen.show_label(label)
        keep(label)

    with Live(screen, console=Console(stderr=True), refresh_per_second=4):
        async with line(config, passphrase, screen.hear, label_out) as running:
            await running.provision(Batch(auth_id, count), screen.hear)
            end = ending(running)
    print(json.dumps(end))  # noqa: T201  # the counts are this command's answer
    return 0 if end["counts"] == {"PASS": count} else 1
