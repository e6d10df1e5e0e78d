"""One list for the steps of all stations: what waits goes to the boundary together, and nothing waits for company.

A round trip and a commit are paid once a batch, so the boundary is fastest when it takes what came while it was busy. Up to
two batches are under way, that it need not wait for the front either. A station has a bounded place in the list.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final

from edgehsm.boundary_link import BoundaryLink
from obis.refusal import Refused
from obis.v1.boundary_pb2 import BoundaryRequest, StationStep, StepBatch
from obis.v1.provisioning_pb2 import StepRefusal, StepReply

MOST_TOGETHER: Final = 256
UNDER_WAY: Final = 2


class Drain:
    """Steps in, replies out, in batches."""

    def __init__(self, link: BoundaryLink) -> None:
        self._link = link
        self._steps: deque[tuple[StationStep, asyncio.Future[StepReply]]] = deque()
        self._came = asyncio.Event()
        self._next_change = asyncio.Event()

    def submit(self, steps: Iterable[StationStep]) -> list[asyncio.Future[StepReply]]:
        """One future a step; each is answered, if only by a refusal."""
        loop = asyncio.get_running_loop()
        waiting = [(step, loop.create_future()) for step in steps]
        self._steps.extend(waiting)
        self._came.set()
        return [reply for _, reply in waiting]

    @property
    def next_change(self) -> asyncio.Event:
        """Set when the log may have grown. Take it before reading the log: a change after that is not missed."""
        return self._next_change

    def note_change(self) -> None:
        """Something was answered that may have written to the log."""
        came, self._next_change = self._next_change, asyncio.Event()
        came.set()

    async def run(self) -> None:
        """Take what waits, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(UNDER_WAY):
                group.create_task(self._carry())

    async def _carry(self) -> None:
        while True:
            await self._came.wait()
            batch = [self._steps.popleft() for _ in range(min(MOST_TOGETHER, len(self._steps)))]
            if not self._steps:
                self._came.clear()
            if batch:
                await self._answer(batch)
                self.note_change()

    async def _answer(self, batch: list[tuple[StationStep, asyncio.Future[StepReply]]]) -> None:
        request = BoundaryRequest(steps=StepBatch(steps=[step for step, _ in batch]))
        try:
            replies = list((await self._link.ask(request)).steps.replies)
        except Refused as refused:
            replies = [refusal(step.step.step_id, refused) for step, _ in batch]
        for (_, waiting), reply in zip(batch, replies, strict=True):
            if not waiting.done():
                waiting.set_result(reply)


def refusal(step_id: int, refused: Refused) -> StepReply:
    """A step's no, as the station gets it."""
    said = StepRefusal(reason=refused.reason, what=refused.what, where=refused.where, next_step=refused.next_step)
    return StepReply(step_id=step_id, refused=said)
