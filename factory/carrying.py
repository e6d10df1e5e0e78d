"""How the Factory Service goes on: work side by side, ended by its first failure, and tried again for ever.

A carrier never gives up and is never right to: whatever a peer answers, the bytes are kept and the next try may be
answered otherwise. The wait before it is drawn evenly from zero to a bound that doubles ("full jitter"), and starts
anew after a session that worked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import grpc
import structlog
from tenacity import RetryCallState
from tenacity.retry import retry_if_exception_type

from obis.mesh.backoff import Backoff
from obis.refusal import Refused

# Everything a session may end with that is not a fault of this program.
FAILURES: Final = (Refused, grpc.RpcError, TimeoutError, OSError)
SILENCE_SECONDS: Final = 5.0
HEARTBEAT_SECONDS: Final = 2.0

_log = structlog.get_logger("factory")


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Run all until the first ends; then end the others, and raise what that one raised."""
    tasks = [asyncio.ensure_future(each) for each in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def for_ever(what: str, session: Callable[[], Awaitable[None]], backoff: Backoff) -> None:
    """Run `session` again and again. It returns after it worked for a while, and raises if it never came that far."""
    told = ""

    def tell(state: RetryCallState) -> None:
        nonlocal told
        why = str(state.outcome.exception()) if state.outcome else ""
        if why != told:  # the same again is said once, however long it lasts
            _log.warning("will try again", what=what, why=why)
            told = why

    while True:
        trying = backoff.retrying(before_sleep=tell).copy(retry=retry_if_exception_type(FAILURES))
        async for attempt in trying:
            with attempt:
                await session()
        told = ""
        await asyncio.sleep(0.5)  # a peer that answers and hangs up at once is no busy loop
