"""The Provision stream: steps of all sockets go in together, replies come back to whoever asked.

1. A message carries what waits, 1 to 256 steps and at most 512 KiB; nothing is held back to fill one.
2. A stream that ends is opened again with backoff, and everything unanswered is asked again with the same content.
   The boundary answers the same device and key with the same DAC, so this costs nothing and counts nothing.
3. A refusal that only says "not now" (unreachable, no room) is asked again; any other is an answer.
4. Whoever waits longer than its patience gets Refused UNREACHABLE, and its unit stays where it is.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from obis.mesh.status import understood
from obis.refusal import Kind, Refused
from obis.v1.provisioning_pb2 import DeviceStep, ProvisionRequest, ProvisionResponse, StepReply
from obis.v1.reason_pb2 import Reason
from station.steps import refusal

MAX_STEPS: Final = 256
MAX_BYTES: Final = 512 << 10
AGAIN: Final = (Kind.UNREACHABLE, Kind.EXHAUSTED)
FIRST_WAIT_SECONDS: Final = 0.1
LONGEST_WAIT_SECONDS: Final = 2.0


class Opens(Protocol):
    """`ProvisioningStub.Provision`, or anything that speaks like it."""

    def __call__(self, requests: AsyncIterator[ProvisionRequest], /) -> AsyncIterable[ProvisionResponse]:
        """A new stream."""


@dataclass
class Waiting:
    """A step on its way."""

    step: DeviceStep
    reply: asyncio.Future[StepReply]


@dataclass
class Counters:
    """What went out, for the two-round-trips rule and the batch size."""

    messages: int = 0
    steps: int = 0
    streams: int = 0


@dataclass
class ProvisionStream:
    """One stream for the whole station. `run` keeps it open; `link` hears when it goes down or comes back."""

    opens: Opens
    link: Callable[[bool], None] = lambda _: None
    counters: Counters = field(default_factory=Counters)
    _outbox: list[Waiting] = field(default_factory=list)
    _pending: dict[int, Waiting] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _next_id: int = 0
    _up: bool | None = None

    async def ask(self, steps: list[DeviceStep], patience_seconds: float) -> list[StepReply]:
        """The replies, in the order of the steps; raises Refused UNREACHABLE. Rules 3 and 4."""
        waits, again = FIRST_WAIT_SECONDS, Refused(Reason.REASON_UNREACHABLE, "EdgeHSM gave no answer", "Provision")
        try:
            async with asyncio.timeout(patience_seconds):
                while True:
                    replies = await self._once(steps)
                    if not (busy := [each for each in replies if _not_now(each)]):
                        return replies
                    again = refusal(busy[0].refused)
                    await asyncio.sleep(random.uniform(waits / 2, waits))  # noqa: S311  # jitter, no secret
                    waits = min(2 * waits, LONGEST_WAIT_SECONDS)
        except TimeoutError:
            raise again from None

    async def _once(self, steps: list[DeviceStep]) -> list[StepReply]:
        waiting = [self._put(step) for step in steps]
        try:
            return list(await asyncio.gather(*(each.reply for each in waiting)))
        finally:
            for each in waiting:
                self._pending.pop(each.step.step_id, None)
                each.reply.cancel()

    def _put(self, step: DeviceStep) -> Waiting:
        self._next_id += 1
        numbered = DeviceStep()
        numbered.CopyFrom(step)
        numbered.step_id = self._next_id
        waiting = Waiting(numbered, asyncio.get_running_loop().create_future())
        self._pending[numbered.step_id] = waiting
        self._outbox.append(waiting)
        self._wake.set()
        return waiting

    async def run(self) -> None:
        """Keeps a stream open until cancelled. Rule 2."""
        waits = FIRST_WAIT_SECONDS
        while True:
            try:
                with understood("edgehsm"):
                    async for response in self.opens(self._requests()):
                        waits = FIRST_WAIT_SECONDS
                        self._say(up=True)
                        self._take(response)
            except Refused as refused:
                if refused.kind not in (*AGAIN, Kind.INTERNAL):
                    self._give_up(refused)
            self._say(up=False)
            await asyncio.sleep(random.uniform(waits / 2, waits))  # noqa: S311  # jitter, no secret
            waits = min(2 * waits, LONGEST_WAIT_SECONDS)

    async def _requests(self) -> AsyncIterator[ProvisionRequest]:
        """Everything unanswered first, then what comes. Rule 1. Ends when a newer stream has taken over."""
        self.counters.streams += 1
        mine = self.counters.streams
        self._outbox = list(self._pending.values())
        self._wake.set()
        while True:
            while not self._outbox and mine == self.counters.streams:
                self._wake.clear()
                await self._wake.wait()
            if mine != self.counters.streams:
                return
            if steps := self._batch():
                self.counters.messages += 1
                self.counters.steps += len(steps)
                yield ProvisionRequest(steps=steps)

    def _batch(self) -> list[DeviceStep]:
        taken: list[DeviceStep] = []
        size = 0
        while self._outbox and len(taken) < MAX_STEPS and size < MAX_BYTES:
            waiting = self._outbox.pop(0)
            if not waiting.reply.done():
                taken.append(waiting.step)
                size += waiting.step.ByteSize()
        return taken

    def _take(self, response: ProvisionResponse) -> None:
        for reply in response.replies:
            waiting = self._pending.pop(reply.step_id, None)
            if waiting and not waiting.reply.done():
                waiting.reply.set_result(reply)

    def _give_up(self, refused: Refused) -> None:
        """The stream itself was refused: everybody who waits hears why."""
        for waiting in list(self._pending.values()):
            if not waiting.reply.done():
                waiting.reply.set_exception(refused)

    def _say(self, *, up: bool) -> None:
        if up != self._up:
            self._up = up
            self.link(up)


def _not_now(reply: StepReply) -> bool:
    return reply.WhichOneof("reply") == "refused" and refusal(reply.refused).kind in AGAIN
