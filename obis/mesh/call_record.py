"""The end of a call: whatever was raised becomes a status, a count and a line in the log, and none of them its content.

OK and cancelled calls    debug
errors with a reason      info: the caller was told what to do
anything else             error, with the trace; the caller learns INTERNAL and no more
"""

from __future__ import annotations

import asyncio
import time
import traceback
from types import TracebackType
from typing import Any, Self

import grpc
import structlog

from obis.mesh.identity import Peer
from obis.mesh.metrics import CallMetrics
from obis.mesh.status import DETAILS_KEY, details, status_code, understand
from obis.refusal import Kind, Refused
from obis.v1 import reason_pb2

_log = structlog.get_logger("obis.mesh")


class CallRecord:
    """Around one call, from before its caller is known until its status is."""

    def __init__(self, method: str, metrics: CallMetrics) -> None:
        self.peer: Peer | None = None
        self._method = method
        self._metrics = metrics
        self._code = grpc.StatusCode.OK.name
        self._reason = ""

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        self._metrics.open.labels(self._method).inc()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(raised, asyncio.CancelledError | GeneratorExit):
            self._code = grpc.StatusCode.CANCELLED.name
        seconds = time.perf_counter() - self._began
        self._metrics.open.labels(self._method).dec()
        self._metrics.end(self._method, self.peer.role if self.peer else "unknown", self._code, self._reason, seconds)
        if not self._reason:
            _log.debug("call", **self._fields(), ms=round(seconds * 1000, 1))

    async def abort(self, failure: Exception, context: Any) -> None:
        """End the call with the status of what was raised; does not return."""
        if isinstance(failure, grpc.aio.AbortError):
            raise failure  # a library's servicer (health) chose its own status
        meant = _meaning(failure)
        self._code, self._reason = status_code(meant).name, meant.word
        if meant.kind is Kind.INTERNAL:
            # As text: renderers like to show the local variables of each frame, and those hold messages.
            _log.error("call failed", **self._fields(), trace="".join(traceback.format_exception(failure)))
        else:
            _log.info("call refused", **self._fields(), what=meant.what, where=meant.where)
        await context.abort(status_code(meant), meant.what, ((DETAILS_KEY, details(meant)),))

    def _fields(self) -> dict[str, str]:
        caller = self.peer.name if self.peer else "unknown"
        return {"method": self._method, "caller": caller, "code": self._code, "reason": self._reason}


def _meaning(failure: Exception) -> Refused:
    """The error to answer with. One that a peer of ours answered with goes on to the caller as it is."""
    if isinstance(failure, Refused):
        return failure
    if isinstance(failure, grpc.RpcError):
        return understand(failure)
    if isinstance(failure, TimeoutError):
        return Refused(reason_pb2.REASON_DEADLINE_EXCEEDED, "the server's own time limit ended the call")
    return Refused(reason_pb2.REASON_INTERNAL, "a fault of the server; its log has the trace")
