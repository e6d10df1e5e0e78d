"""The front's side of the unix socket: ask, and have the answer although the boundary may be killed and come back.

1. Every request is answered once: by the boundary, or by BOUNDARY_UNAVAILABLE after its deadline; at once where the
   boundary has been away for longer than that.
2. What was in flight when the boundary went is sent again when it is back. The boundary answers what it had committed
   from its records, so nothing is done twice (docs/issuance.md).
3. A request is sent at most three times: one that kills the boundary must not do so for ever. Opening a debug port is
   sent once: a second time its challenge would be a used one.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from google.protobuf.message import DecodeError

from edgehsm.config import DEADLINE_SECONDS
from edgehsm.frame import LENGTH, FrameTooLarge, framed, length_of
from obis.refusal import Refused
from obis.v1.boundary_pb2 import BoundaryReply, BoundaryRequest
from obis.v1.reason_pb2 import Reason

RECONNECT_SECONDS: Final = 0.1
MOST_SENDS: Final = 3

_log = structlog.get_logger("edgehsm")


@dataclass(slots=True)
class _Waiting:
    """One request without an answer."""

    frame: bytes
    answer: asyncio.Future[BoundaryReply]
    sends_left: int


class BoundaryLink:
    """One connection to the boundary, kept up by `run`."""

    def __init__(self, path: Path, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self._path = path
        self._deadline_seconds = deadline_seconds
        self._ids = itertools.count(1)
        self._waiting: dict[int, _Waiting] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._away_since = time.monotonic()

    @property
    def connected(self) -> bool:
        """Whether the boundary is there now."""
        return self._writer is not None

    async def ask(self, request: BoundaryRequest) -> BoundaryReply:
        """The boundary's answer; a refusal of the whole request is raised as Refused."""
        if not self.connected and time.monotonic() - self._away_since > self._deadline_seconds:
            raise _unavailable()
        request.request_id = next(self._ids)
        answer: asyncio.Future[BoundaryReply] = asyncio.get_running_loop().create_future()
        sends = 1 if request.HasField("open_debug") else MOST_SENDS
        waiting = _Waiting(framed(request.SerializeToString()), answer, sends)
        self._waiting[request.request_id] = waiting
        self._send(waiting)
        try:
            async with asyncio.timeout(self._deadline_seconds):
                reply = await answer
        except TimeoutError:
            raise _unavailable() from None
        finally:
            self._waiting.pop(request.request_id, None)
        return _granted(reply)

    async def run(self) -> None:
        """Keep the connection, until cancelled."""
        while True:
            try:
                reader, self._writer = await asyncio.open_unix_connection(str(self._path))
                _log.info("the boundary is there", in_flight=len(self._waiting))
                for waiting in list(self._waiting.values()):
                    self._send(waiting)
                await self._read(reader)
            except (OSError, EOFError, DecodeError, FrameTooLarge) as failure:
                _log.debug("no boundary", why=type(failure).__name__)
            finally:
                self._lost()
            await asyncio.sleep(RECONNECT_SECONDS)

    def _send(self, waiting: _Waiting) -> None:
        if self._writer is None:
            return
        if not waiting.sends_left:
            if not waiting.answer.done():
                waiting.answer.set_exception(_unavailable())
            return
        waiting.sends_left -= 1
        self._writer.write(waiting.frame)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            length = length_of(await reader.readexactly(LENGTH.size))
            reply = BoundaryReply.FromString(await reader.readexactly(length))
            waiting = self._waiting.get(reply.request_id)
            if waiting is not None and not waiting.answer.done():
                waiting.answer.set_result(reply)

    def _lost(self) -> None:
        if self._writer is not None:
            _log.warning("the boundary has gone", in_flight=len(self._waiting))
            self._writer.close()
            self._writer, self._away_since = None, time.monotonic()


def _granted(reply: BoundaryReply) -> BoundaryReply:
    if reply.HasField("refused"):
        said = reply.refused
        raise Refused(said.reason or Reason.REASON_INTERNAL, said.what, said.where, said.next_step)
    return reply


def _unavailable() -> Refused:
    return Refused(Reason.REASON_BOUNDARY_UNAVAILABLE, "the boundary does not answer", "front")
