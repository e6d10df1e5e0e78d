"""Tells whoever waits that something new is kept, without saying what: each looks for itself.

Look first, then wait, with no `await` in between: a ring in that time is never missed, because all of it is one step
of the event loop.
"""

from __future__ import annotations

import asyncio


class Bell:
    """Rung by whoever keeps something; heard by all who wait at that moment."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def ring(self) -> None:
        """Wake all who wait."""
        rung, self._next = self._next, asyncio.Event()
        rung.set()

    async def heard(self, seconds: float) -> bool:
        """Wait for the next ring; False if `seconds` went by without one."""
        try:
            async with asyncio.timeout(seconds):
                await self._next.wait()
        except TimeoutError:
            return False
        return True
