"""When to try again: only what did not arrive, later each time, and not all at once.

Only Unreachable and TimedOut are tried again; every other answer is an answer. A call that timed out may have been
done, so what is retried must carry a request id or be idempotent by its content. The wait is drawn evenly from zero to
a bound that doubles from 1 s to 5 min ("full jitter"): a hundred stations that lost one link do not come back in step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import grpc
from tenacity import AsyncRetrying, RetryCallState
from tenacity.retry import retry_if_exception
from tenacity.stop import stop_after_attempt, stop_after_delay, stop_any, stop_never
from tenacity.wait import wait_random_exponential

from obis.refusal import Kind, Refused

_TRANSIENT = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


@dataclass(frozen=True)
class Backoff:
    """How patiently somebody tries. The defaults are the uplink's, which never gives up."""

    first_seconds: float = 1
    longest_seconds: float = 300
    attempts: int | None = None
    give_up_after_seconds: float | None = None

    def retrying(
        self,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        before_sleep: Callable[[RetryCallState], None] | None = None,
    ) -> AsyncRetrying:
        """`async for attempt in backoff.retrying(): with attempt: ...`; the last error comes out as it is."""
        ends = [
            stop_after_attempt(self.attempts) if self.attempts else stop_never,
            stop_after_delay(self.give_up_after_seconds) if self.give_up_after_seconds else stop_never,
        ]
        return AsyncRetrying(
            sleep=sleep,
            wait=wait_random_exponential(multiplier=self.first_seconds, max=self.longest_seconds),
            stop=stop_any(*ends),
            retry=retry_if_exception(did_not_arrive),
            before_sleep=before_sleep,
            reraise=True,
        )


UPLINK = Backoff()
AT_THE_BENCH = Backoff(first_seconds=0.2, longest_seconds=5, give_up_after_seconds=60)


def did_not_arrive(failure: BaseException) -> bool:
    """Is it worth another try: did the request, or its answer, get lost on the way?"""
    if isinstance(failure, grpc.RpcError):
        return hasattr(failure, "code") and failure.code() in _TRANSIENT
    return isinstance(failure, Refused) and failure.kind in {Kind.UNREACHABLE, Kind.TIMED_OUT}
