"""A bad link between two rooms: a TCP proxy on the loopback that delays, cuts or swallows what passes.

    restore    everything passes, after `latency_seconds`
    cut        connections are reset, new ones too: the peer is told
    blackhole  nothing passes and nobody is told: bytes are read and dropped, connections stay open

It knows nothing of TLS or gRPC, so what it does to the mesh is what a cable does.
"""

from __future__ import annotations

import asyncio
import contextlib
from enum import Enum
from typing import Final, Self

_CHUNK: Final = 1 << 16


class Link(Enum):
    """What the proxy does with bytes."""

    UP = "up"
    CUT = "cut"
    BLACKHOLE = "blackhole"


class FaultyLink:
    """Listens on a free port (`address`) and connects on to `target` (host:port)."""

    def __init__(self, target: str, *, latency_seconds: float = 0) -> None:
        self.latency_seconds = latency_seconds
        self.state = Link.UP
        self.address = ""
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *raised: object) -> None:
        self._server.close()
        self._reset()  # which ends every pump
        await asyncio.gather(*self._connections)

    def cut(self) -> None:
        """Reset what is open and refuse what comes."""
        self.state = Link.CUT
        self._reset()

    def blackhole(self) -> None:
        """Swallow everything from now on, both ways."""
        self.state = Link.BLACKHOLE

    def restore(self) -> None:
        """Work again. A connection that lost bytes in a blackhole is reset: TCP would have given it up."""
        if self.state is Link.BLACKHOLE:
            self._reset()
        self.state = Link.UP

    def _reset(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (asyncio runs this in a task)
        self._connections.add(task)
        self._writers.add(writer)
        try:
            await self._join(reader, writer)
        finally:
            self._writers.discard(writer)
            self._connections.discard(task)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.state is Link.CUT:
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            return
        self._writers.add(far_writer)
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self._writers.discard(far_writer)
            far_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one direction until it ends; a reset on either side ends both."""
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(_CHUNK):
                if self.latency_seconds:
                    await asyncio.sleep(self.latency_seconds)
                if self.state is Link.UP:
                    writer.write(chunk)
                    await writer.drain()
        writer.transport.abort()
