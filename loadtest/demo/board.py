"""What a person sees while it runs: steps as they are done, incidents as they happen, one line a factory.

On a terminal the factory lines stay at the bottom and are redrawn; elsewhere they are printed every few seconds. All of
it fits 80 columns.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import IO, Final

WIDTH: Final = 80
BAR: Final = 24
PRINT_EVERY_SECONDS: Final = 5.0
REDRAW_EVERY_SECONDS: Final = 0.2


@dataclass
class FactoryLine:
    """How far one factory is."""

    name: str
    wanted: int = 0
    made: int = 0
    in_cloud: int = 0
    link: str = "up"
    note: str = ""

    def text(self) -> str:
        """80 columns at most."""
        share = self.made / self.wanted if self.wanted else 0.0
        bar = "#" * int(BAR * share)
        told = f"  {self.name:<6} [{bar:<{BAR}}] {self.made:>4}/{self.wanted:<4} in cloud {self.in_cloud:>4}"
        return f"{told}  link {self.link:<4} {self.note}"[:WIDTH].rstrip()


class Board:
    """The output."""

    def __init__(self, out: IO[str] | None = None) -> None:
        self._out = out or sys.stdout
        self._live = self._out.isatty()
        self._began = time.monotonic()
        self._lines: dict[str, FactoryLine] = {}
        self._drawn = 0
        self._last = 0.0

    def step(self, text: str) -> None:
        """A step of the story begins."""
        self._say(f"\n{text}"[: WIDTH + 1])

    def say(self, text: str) -> None:
        """Something happened."""
        seconds = time.monotonic() - self._began
        first, *rest = _wrapped(text, WIDTH - 10)
        self._say("\n".join([f"  {seconds:5.1f} s {first}", *(f"{'':10}{each}" for each in rest)]))

    def factory(self, factory_id: str) -> FactoryLine:
        """A factory's line, to be changed in place; `refresh` shows it."""
        return self._lines.setdefault(factory_id, FactoryLine(factory_id))

    def refresh(self, *, now: bool = False) -> None:
        """Show the factory lines again, if it is time."""
        pause = REDRAW_EVERY_SECONDS if self._live else PRINT_EVERY_SECONDS
        if not self._lines or (not now and time.monotonic() - self._last < pause):
            return
        self._last = time.monotonic()
        self._wipe()
        self._write_lines()

    def rest(self) -> None:
        """The factory lines stay as they are; what follows is printed below."""
        if self._lines:
            self._wipe()
            self._write_lines()
        self._drawn = 0
        self._lines = {}

    def _say(self, text: str) -> None:
        self._wipe()
        self._out.write(f"{text}\n")
        if self._live:
            self._write_lines()
        self._out.flush()

    def _write_lines(self) -> None:
        lines = [each.text() for each in self._lines.values() if each.wanted]
        self._out.writelines(f"{line}\n" for line in lines)
        self._out.flush()
        self._drawn = len(lines) if self._live else 0

    def _wipe(self) -> None:
        if self._drawn:
            self._out.write(f"\x1b[{self._drawn}F\x1b[J")
            self._drawn = 0


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width) or [""]
