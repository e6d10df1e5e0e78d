"""Says at once that something was committed, to whoever waits for it in this process.

A topic is a word: `edgehsm:<id>` (a delivery is queued), `pai` (a PAI waits for the vault), `batch:<hex>` (a batch
changed). Waking is a courtesy: who waits also looks by itself every few seconds, because another replica's commits and
a crash between commit and wake are heard of no other way.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlmodel import Session

_WAKES = "obis_wakes"


class Listener:
    """One waiter; lives on the event loop it was made on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    async def wait(self, timeout_seconds: float) -> bool:
        """Until something happened since the last wait, or the time is over; says whether it did."""
        try:
            await asyncio.wait_for(self._event.wait(), timeout_seconds)
        except TimeoutError:
            return False
        self._event.clear()
        return True

    def wake(self) -> None:
        """From any thread; a loop that is gone is passed over."""
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:  # the loop closed between the commit and here: nobody waits any more
            return


class Notifier:
    """Who waits for which topic."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, set[Listener]] = {}

    @contextmanager
    def listening(self, *topics: str) -> Iterator[Listener]:
        """Hear of these topics until the block ends. Look once after entering: what came before is not told."""
        listener = Listener()
        with self._lock:
            for topic in topics:
                self._waiting.setdefault(topic, set()).add(listener)
        try:
            yield listener
        finally:
            with self._lock:
                for topic in topics:
                    self._forget(topic, listener)

    def wake(self, topics: set[str]) -> None:
        """Wake all who wait for any of these."""
        with self._lock:
            listeners = {each for topic in topics for each in self._waiting.get(topic, ())}
        for listener in listeners:
            listener.wake()

    def _forget(self, topic: str, listener: Listener) -> None:
        remaining = self._waiting[topic]
        remaining.discard(listener)
        if not remaining:
            del self._waiting[topic]


def wake_after_commit(session: Session, topic: str) -> None:
    """Wake the topic once this session's transaction is durable; not at all if it is not."""
    session.info.setdefault(_WAKES, set()).add(topic)


def wakes_of(session: Session) -> set[str]:
    """The topics this session asked for."""
    topics: set[str] = session.info.get(_WAKES, set())
    return topics
