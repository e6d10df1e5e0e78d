"""What goes wrong on the way, on purpose, and what each must lead to.

Every incident asserts its own ending: a refusal that does not come, or comes with another word, fails the demo.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from loadtest.demo.courier import Courier, deliver, readdressed, tampered
from loadtest.demo.failure import CALL_SECONDS, DemoFailed
from loadtest.demo.goods import Goods, create_batch
from loadtest.demo.line import Floor
from loadtest.demo.people import Crew
from loadtest.demo.sites import boundary_name
from loadtest.demo.stage import Stage
from loadtest.demo.station_client import Event
from loadtest.faults import FaultyLink
from obis.refusal import Refused, word
from obis.v1.batches_pb2 import ProductionBatch
from obis.v1.delivery_pb2 import DeliveryResult
from obis.v1.trace_pb2 import SummarizeRequest

CUT_AT: Final = 0.25  # of a factory's devices
KILL_AT: Final = 0.35
LONGEST_DRAIN_SECONDS: Final = 90.0
WINDOW_SECONDS: Final = 5
SHORT_WINDOWS: Final = 6  # tries
LEAST_OUTAGE_SECONDS: Final = 6.0


@dataclass
class Happened:
    """What the incidents came to."""

    refusals: Counter[str] = field(default_factory=Counter)
    outage_seconds: float = 0.0
    drain_seconds: float = 0.0
    made_in_outage: int = 0
    same_dac: bool = False
    reworked: bool = False

    def refuse(self, wanted: str, came: str, what: str) -> None:
        """Count a refusal; raises DemoFailed where another word, or none, came."""
        if came != wanted:
            raise DemoFailed(f"{what}: {wanted} was to come, {came or 'no refusal'} came")
        self.refusals[came] += 1


async def cut_the_link(
    stage: Stage, crew: Crew, floor: Floor, link: FaultyLink, done: asyncio.Event, happened: Happened
) -> None:
    """The link goes away in mid-batch; the line goes on; it comes back; everything drains."""
    wanted = stage.board.factory(floor.factory.id).wanted
    await asyncio.gather(*(floor.order(each.auth_id).wait() for each in floor.goods))
    await floor.reached(int(wanted * CUT_AT)).wait()
    link.cut()
    began, made = time.monotonic(), len(floor.made)
    stage.board.factory(floor.factory.id).link = "CUT"
    stage.board.say(f"{floor.factory.id}: link to the cloud cut after {made} devices; the line goes on")
    await done.wait()
    await asyncio.sleep(max(0.0, LEAST_OUTAGE_SECONDS - (time.monotonic() - began)))
    happened.made_in_outage = len(floor.made) - made
    happened.outage_seconds = time.monotonic() - began
    if happened.made_in_outage <= 0:
        raise DemoFailed(f"{floor.factory.id} made nothing while its link was cut")
    link.restore()
    stage.board.factory(floor.factory.id).link = "up"
    stage.board.say(
        f"{floor.factory.id}: link back after {happened.outage_seconds:.0f} s, "
        f"{happened.made_in_outage} devices were made meanwhile"
    )
    happened.drain_seconds = await drained(crew, [floor])
    stage.board.say(f"{floor.factory.id}: drained in {happened.drain_seconds:.1f} s")


async def kill_the_boundary(stage: Stage, floor: Floor) -> None:
    """End it with -9 while devices are being issued, and a start of the same ledger."""
    wanted = stage.board.factory(floor.factory.id).wanted
    await floor.reached(int(wanted * KILL_AT)).wait()
    name, made = boundary_name(floor.factory), len(floor.made)
    stage.processes.kill(name)
    stage.board.say(f"{floor.factory.edgehsm}: boundary killed with -9 after {made} devices, some in mid-issue")
    began = time.monotonic()
    stage.processes.restart(name)
    await stage.processes.said(name, "ready", times=2)
    await floor.reached(len(floor.made) + floor.factory.sockets + 1).wait()
    stage.board.say(
        f"{floor.factory.edgehsm}: started again; devices came again after {time.monotonic() - began:.1f} s"
    )


async def open_short_window(stage: Stage, crew: Crew, floor: Floor, goods: Goods) -> ProductionBatch:
    """A batch of five seconds that EdgeHSM and station hold. On a busy machine five seconds may pass on the way: then
    another one is created.
    """
    await asyncio.gather(*(floor.order(each.auth_id).wait() for each in floor.goods))
    for _ in range(SHORT_WINDOWS):
        batch = await create_batch(stage, crew, goods, 2, WINDOW_SECONDS)
        if await _arrived(floor, batch):
            return batch
    raise DemoFailed(f"no batch of {WINDOW_SECONDS} s reached {floor.factory.id} in time", "logs/cloud.log")


async def _arrived(floor: Floor, batch: ProductionBatch) -> bool:
    try:
        async with asyncio.timeout(max(0.0, batch.window.ends_at + 1.0 - time.time())):
            return await floor.order(batch.auth_id.hex()).wait()
    except TimeoutError:
        return False


async def see_it_closed(stage: Stage, floor: Floor, batch: ProductionBatch, happened: Happened) -> None:
    """What a station asks for after the window is refused."""
    await asyncio.sleep(max(0.0, batch.window.ends_at + 1.0 - time.time()))
    event = _device(await floor.talker.do("provision", auth_id=batch.auth_id.hex(), count=1, force=True))
    happened.refuse("WINDOW_CLOSED", event["reason"], "a device after the window")
    stage.board.say(f"{floor.factory.edgehsm}: WINDOW_CLOSED after a batch of five seconds ended")


async def pass_the_quota(stage: Stage, crew: Crew, goods: Goods, happened: Happened) -> None:
    """A batch for more than is left of the product."""
    try:
        await create_batch(stage, crew, goods, stage.plan.lifetime_quantity + 1)
    except Refused as refusal:
        happened.refuse("QUOTA_EXCEEDED", word(refusal.reason), "a batch over the quota")
        stage.board.say(f"cloud: QUOTA_EXCEEDED: {refusal.what}")
        return
    raise DemoFailed("the cloud created a batch over the quota")


async def ask_again(stage: Stage, floor: Floor, goods: Goods, happened: Happened) -> None:
    """The same device and key again: the same DAC, no second count."""
    event = _device(await floor.talker.do("retry_same", auth_id=goods.auth_id))
    happened.same_dac = bool(event["repeated"]) and event["result"] == "PASS" and event.get("same_dac", True)
    if not happened.same_dac:
        raise DemoFailed(f"the device that asked again did not get its DAC: {event}")
    stage.board.say(f"{floor.factory.edgehsm}: a device whose answer was lost asked again and got the same DAC")


async def come_with_another_key(stage: Stage, floor: Floor, goods: Goods, happened: Happened) -> None:
    """A device that has a DAC comes back with another key."""
    event = _device(await floor.talker.do("other_key", auth_id=goods.auth_id))
    happened.refuse("DEVICE_KEY_CHANGED", event["reason"], "a device with another key")
    stage.board.say(f"{floor.factory.edgehsm}: DEVICE_KEY_CHANGED for a device that came back with another key")


async def rework(stage: Stage, floor: Floor, goods: Goods, happened: Happened) -> Event:
    """Secure Debug of one unit, opened under the authorization, closed, attested again."""
    events = await floor.talker.do("rework", auth_id=goods.auth_id, reason="radio calibration", operator="badge-0417")
    event = next(each for each in events if each["event"] == "rework")
    happened.reworked = event["result"] == "PASS"
    if not happened.reworked:
        raise DemoFailed(f"the rework ended with {event['result']} {event['reason']}: {event['what']}")
    stage.board.say(f"{floor.factory.edgehsm}: Secure Debug of {event['uid']} opened, closed and attested again")
    return event


async def carry_hostile(
    stage: Stage, floors: dict[str, Floor], couriers: dict[str, Courier], closed_auth: bytes, happened: Happened
) -> None:
    """Couriers with real identities hand over what they must not: wrong factory, tampered, replayed."""
    home, other = (
        floors[each].factory for each in (stage.plan.incidents.closed_window, stage.plan.incidents.wrong_factory)
    )
    package = await couriers[home.id].packages(closed_auth)
    async with couriers[other.id].at_the_front(stage.ports[f"{other.id}-front"]) as channel:
        _refused(happened, "WRONG_FACTORY", await deliver(channel, readdressed(package, other)))
    stage.board.say(f"{other.edgehsm}: WRONG_FACTORY for a package of {home.id} that a courier brought")
    async with couriers[home.id].at_the_front(stage.ports[f"{home.id}-front"]) as channel:
        _refused(happened, "SIGNATURE_INVALID", await deliver(channel, tampered(package)))
        stage.board.say(f"{home.edgehsm}: SIGNATURE_INVALID for the same with ten times the quantity")
        _refused(happened, "REPLAYED", await deliver(channel, package))
        stage.board.say(f"{home.edgehsm}: REPLAYED for the same, untouched, a second time")


async def drained(crew: Crew, floors: list[Floor], longest: float = LONGEST_DRAIN_SECONDS) -> float:
    """Seconds until the cloud has every device of these floors. Raises DemoFailed."""
    began = time.monotonic()
    wanted = {floor.factory.id: len({each["uid"] for each in floor.made}) for floor in floors}
    have: dict[str, int] = {}
    while time.monotonic() - began < longest:
        have = await in_cloud(crew)
        if all(have.get(name, 0) >= quantity for name, quantity in wanted.items()):
            return time.monotonic() - began
        await asyncio.sleep(0.2)
    raise DemoFailed(f"after {longest:.0f} s the cloud has {have} of {wanted}", "logs")


async def in_cloud(crew: Crew) -> dict[str, int]:
    """Devices the cloud has, by factory."""
    answer = await crew.oem.trace.Summarize(SummarizeRequest(), timeout=CALL_SECONDS)
    have: Counter[str] = Counter()
    for each in answer.counts:
        have[each.factory_id] += each.issued
    return dict(have)


def _device(events: list[Event]) -> Event:
    return next(each for each in events if each["event"] == "device")


def _refused(happened: Happened, wanted: str, result: DeliveryResult) -> None:
    happened.refuse(wanted, "" if result.accepted else result.reason, "a courier's delivery")
