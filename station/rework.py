"""Rework of one locked unit: its debug port is opened under the authority of its batch, closed, and attested again.

    chip's challenge -> EdgeHSM (counts, records, signs) -> chip opens -> ... -> chip locks -> its signed word -> EdgeHSM

The station holds no debug key and sees none: it carries a challenge one way and a signed response the other. However
the work in between ends, the port is closed and the close is told.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from obis.mesh.status import understood
from obis.refusal import Refused
from obis.v1.device_objects_pb2 import DebugState
from obis.v1.provisioning_pb2 import CloseDebug, DebugOpened, OpenDebug, ReopenDebugRequest, ReopenDebugResponse
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import DeviceId
from station.silicon.adapter import SocAdapter
from station.steps import refusal

CALL_SECONDS: Final = 20.0


class Opens(Protocol):
    """`ProvisioningStub.ReopenDebug`, or anything that speaks like it."""

    def __call__(
        self, requests: AsyncIterator[ReopenDebugRequest], /, *, timeout: float
    ) -> AsyncIterable[ReopenDebugResponse]:
        """A new stream."""


@dataclass(frozen=True)
class Order:
    """Who asks for which unit, and why: both go into the record."""

    auth_id: bytes
    reason: str
    operator: str


@dataclass(frozen=True)
class Reworked:
    """A unit that was open and is closed again: the session (16 bytes) and the indexes of its two leaves."""

    session_id: bytes
    opened_index: int
    closed_index: int


async def rework(
    opens: Opens, chip: SocAdapter, order: Order, work: Callable[[SocAdapter], Awaitable[None]]
) -> Reworked:
    """Opens, has `work` done on the open chip, closes. Raises Refused of gate or chip."""
    identity = await chip.identify()
    challenge = await chip.debug_challenge()
    asked = OpenDebug(auth_id=order.auth_id, challenge=challenge, rework_reason=order.reason, operator=order.operator)
    opened = _opened(await _ask(opens, ReopenDebugRequest(open=asked)))
    try:
        await _unlock(chip, opened)
        await work(chip)
    finally:
        await _shut(chip)
        report = await chip.report(order.auth_id, opened.session_id)
        close = CloseDebug(
            session_id=opened.session_id, device=DeviceId(soc=identity.soc, uid=identity.uid), report=report
        )
        answer = await _ask(opens, ReopenDebugRequest(close=close))
    if answer.WhichOneof("response") != "closed":
        raise _unexpected(answer)
    return Reworked(opened.session_id, opened.log_index, answer.closed.log_index)


async def _unlock(chip: SocAdapter, opened: DebugOpened) -> None:
    if await chip.debug_unlock(opened.response) != DebugState.DEBUG_STATE_REOPENED:
        raise Refused(Reason.REASON_CHIP_REFUSED, "the chip did not open its debug port", "debug response")


async def _shut(chip: SocAdapter) -> None:
    """Closed, also where it never opened or the time-box closed it."""
    if (await chip.identify()).debug == DebugState.DEBUG_STATE_REOPENED:
        await chip.debug_close()


async def _ask(opens: Opens, request: ReopenDebugRequest) -> ReopenDebugResponse:
    async def requests() -> AsyncIterator[ReopenDebugRequest]:
        yield request

    with understood("edgehsm"):
        async for response in opens(requests(), timeout=CALL_SECONDS):
            return response
    raise Refused(Reason.REASON_UNREACHABLE, "the stream ended without an answer", "ReopenDebug")


def _opened(answer: ReopenDebugResponse) -> DebugOpened:
    if answer.WhichOneof("response") != "opened":
        raise _unexpected(answer)
    return answer.opened


def _unexpected(answer: ReopenDebugResponse) -> Refused:
    if answer.WhichOneof("response") == "refused":
        return refusal(answer.refused)
    return Refused(Reason.REASON_MALFORMED, "EdgeHSM gave another answer", "ReopenDebugResponse")
