"""One station process, driven by JSON lines as a test system would: commands on its stdin, events on its stdout.

A command gets an id; the events that carry it are gathered until `done` or `error` comes. Device events are also handed
to a listener at once, for the progress lines.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from loadtest.demo.failure import DemoFailed

Event: TypeAlias = dict[str, Any]


@dataclass
class _Waiting:
    events: list[Event] = field(default_factory=list)
    ended: asyncio.Future[Event] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class StationClient:
    """Speaks to a started `python -m station run --json`."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], listener: Callable[[Event], None]) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the station was not started to talk")
        self._name = name
        self._stdin, self._stdout = process.stdin, process.stdout
        self._listener = listener
        self._waiting: dict[str, _Waiting] = {}
        self._count = 0
        self.ready: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.ensure_future(self._read())

    async def do(self, what: str, **more: object) -> list[Event]:
        """Run one command to its end; the events it caused, `done` last. Raises DemoFailed for `error`."""
        self._count += 1
        name = f"{what}-{self._count}"
        waiting = self._waiting[name] = _Waiting()
        self._stdin.write(json.dumps({"do": what, "id": name, **more}).encode() + b"\n")
        self._stdin.flush()
        ended = await waiting.ended
        if ended["event"] == "error":
            raise DemoFailed(
                f"{self._name}: {what}: {ended.get('reason')}: {ended.get('what')}", f"logs/{self._name}.log"
            )
        return [*waiting.events, ended]

    async def quit(self) -> None:
        """Let it end what runs."""
        self._stdin.close()
        await self._reading

    async def _read(self) -> None:
        reader = asyncio.StreamReader(limit=1 << 20)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), self._stdout)
        try:
            while line := await reader.readline():
                self._hear(json.loads(line))
        finally:
            transport.close()
        gone = DemoFailed(f"{self._name} has ended", f"logs/{self._name}.log")
        for future in (self.ready, *(each.ended for each in self._waiting.values())):
            if not future.done():
                future.set_exception(gone)

    def _hear(self, event: Event) -> None:
        self._listener(event)
        if event["event"] == "ready" and not self.ready.done():
            self.ready.set_result(event)
        waiting = self._waiting.get(str(event.get("id", "")))
        if waiting is None:
            return
        if event["event"] in {"done", "error"}:
            if not waiting.ended.done():
                waiting.ended.set_result(event)
        else:
            waiting.events.append(event)
