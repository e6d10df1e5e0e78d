"""The demo's processes: started with their secrets, watched, killed where the story says so, and always ended.

1. Secrets go by an inherited pipe as one JSON object; a process gets its own and no other's.
2. What a process says goes to logs/<name>.log.
3. Each has a process group of its own and, where `setpriv` is there (Debian has it), dies with the runner however
the runner ends.
4. `stop_all` ends everything: SIGTERM, three seconds, SIGKILL.

Nothing runs between fork and exec, so that Python uses vfork: a fork would copy gRPC's threads half.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from loadtest.demo.failure import DemoFailed

GRACE_SECONDS: Final = 3.0
PATIENCE_SECONDS: Final = 120.0  # for a process to be ready, even on a busy machine
LOOK_EVERY: Final = 0.05
TAIL_LINES: Final = 8
_SETPRIV = shutil.which("setpriv")
_DIES_WITH_US: Final = (_SETPRIV, "--pdeathsig", "KILL") if _SETPRIV else ()
KEPT_ENVIRONMENT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Command:
    """How to start a process: `python -m` arguments, the secrets it may have, and more of its environment."""

    name: str
    arguments: tuple[str, ...]
    secrets: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass
class Child:
    """A running process."""

    command: Command
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def is_running(self) -> bool:
        """Still there?"""
        return self.process.poll() is None


class Processes:
    """All of them."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: dict[str, Child] = {}
        self.kills: list[str] = []
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, command: Command, *, talks: bool = False) -> Child:
        """Start it in the background; with `talks` its stdin and stdout are pipes. The log is appended to."""
        log = self._logs / f"{command.name}.log"
        pipe = subprocess.PIPE if talks else None
        with log.open("ab") as out:
            process = _spawn(command, stdin=pipe or subprocess.DEVNULL, stdout=pipe or out, stderr=out)
        child = Child(command, process, log)
        self._children[command.name] = child
        return child

    async def run(self, command: Command) -> str:
        """Run it to its end; its stdout. Raises DemoFailed unless it ends with status 0."""
        status, said = await self.run_any(command)
        if status:
            raise DemoFailed(
                f"{command.name} ended with status {status}: {self._tail(command.name)}", self._log(command.name)
            )
        return said

    async def run_any(self, command: Command) -> tuple[int, str]:
        """Run it to its end; exit status and stdout."""
        with (self._logs / f"{command.name}.log").open("ab") as log:
            process = _spawn(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
            self._children[command.name] = Child(command, process, Path(log.name))
            said, _ = await asyncio.to_thread(process.communicate)
            log.write(said)
        return process.returncode, said.decode()

    def kill(self, name: str) -> None:
        """SIGKILL, as the story wants it."""
        child = self._children[name]
        child.process.kill()
        child.process.wait()
        self.kills.append(name)

    def restart(self, name: str) -> Child:
        """Start it again as it was started."""
        return self.start(self._children[name].command)

    async def listening(self, name: str, address: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until a process accepts at host:port or unix:PATH. Raises DemoFailed if it ends or takes too long."""
        until = time.monotonic() + seconds
        while not await _accepts(address):
            if not self._children[name].is_running:
                raise DemoFailed(f"{name} ended: {self._tail(name)}", self._log(name))
            if time.monotonic() > until:
                raise DemoFailed(f"{name} does not listen at {address} after {seconds:.0f} s", self._log(name))
            await asyncio.sleep(LOOK_EVERY)

    async def said(self, name: str, word: str, *, times: int = 1, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until its log holds a word so many times. Raises DemoFailed if it ends or takes too long."""
        until, child = time.monotonic() + seconds, self._children[name]
        while child.log.read_text(errors="replace").count(word) < times:
            if not child.is_running or time.monotonic() > until:
                raise DemoFailed(f"{name} does not say {word!r}: {self._tail(name)}", self._log(name))
            await asyncio.sleep(LOOK_EVERY)

    async def ended(self, name: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for a background process that ends by itself. Raises DemoFailed unless it does, with status 0."""
        until, child = time.monotonic() + seconds, self._children[name]
        while child.is_running:
            if time.monotonic() > until:
                raise DemoFailed(f"{name} is not done after {seconds:.0f} s", self._log(name))
            await asyncio.sleep(LOOK_EVERY)
        if child.process.returncode:
            raise DemoFailed(
                f"{name} ended with status {child.process.returncode}: {self._tail(name)}", self._log(name)
            )

    def require_alive(self) -> None:
        """Raises DemoFailed where a background process has ended by itself."""
        for name, child in self._children.items():
            if child.process.poll() not in {None, 0} and name not in self.kills:
                raise DemoFailed(f"{name} ended: {self._tail(name)}", self._log(name))

    def stop_all(self) -> None:
        """End everything; nothing is left behind."""
        running = [child for child in self._children.values() if child.is_running]
        for child in running:
            child.process.terminate()
        until = time.monotonic() + GRACE_SECONDS
        for child in running:
            try:
                child.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(child.process.pid, signal.SIGKILL)
                child.process.wait()

    @property
    def count(self) -> int:
        """How many run now."""
        return sum(child.is_running for child in self._children.values())

    def _tail(self, name: str) -> str:
        lines = self._logs.joinpath(f"{name}.log").read_text(errors="replace").splitlines()
        return "\n    ".join(["", *lines[-TAIL_LINES:]])

    def _log(self, name: str) -> str:
        return str(self._logs / f"{name}.log")


def python(name: str, *arguments: str, secrets: dict[str, str] | None = None, **environment: str) -> Command:
    """`python -m …` as a Command."""
    return Command(name, ("-m", *arguments), secrets or {}, environment)


def _spawn(command: Command, *, stdin: int, stdout: int | IO[bytes], stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    read, write = os.pipe()
    try:
        os.write(write, json.dumps(command.secrets).encode())
        secrets = _placed(command.arguments, ("--secrets-fd", str(read))) if command.secrets else command.arguments
        return subprocess.Popen(
            [*_DIES_WITH_US, sys.executable, *secrets],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=_environment(command),
            pass_fds=(read,) if command.secrets else (),
            process_group=0,
        )
    finally:
        os.close(read)
        os.close(write)


def _placed(arguments: Sequence[str], option: tuple[str, str]) -> tuple[str, ...]:
    """`obis` takes the option before its command, the rooms after their verb."""
    at = 2 if arguments[1] == "obis.cli" else len(arguments)
    return (*arguments[:at], *option, *arguments[at:])


def _environment(command: Command) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    return kept | {"PYTHONUNBUFFERED": "1"} | command.environment


async def _accepts(address: str) -> bool:
    try:
        if address.startswith("unix:"):
            _, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
        else:
            host, _, port = address.rpartition(":")
            _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    return True
