"""Step 5, on the line: each station makes its factory's batches, all of them at once.

One unit of every product is a chip in a process of its own; the others come from the site's pool. What stations report is
kept as it came: it is what the records in the cloud are compared with.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from loadtest.demo.goods import Goods
from loadtest.demo.plan import Factory, Product
from loadtest.demo.stage import Stage
from loadtest.demo.station_client import Event, StationClient


@dataclass
class Floor:
    """One factory's line while it runs, and what it made."""

    factory: Factory
    goods: list[Goods]
    station: StationClient | None = None
    devices: list[Event] = field(default_factory=list)
    orders: dict[str, asyncio.Event] = field(default_factory=dict)
    marks: dict[int, asyncio.Event] = field(default_factory=dict)

    @property
    def made(self) -> list[Event]:
        """Units with a DAC, whatever became of them."""
        return [each for each in self.devices if each.get("log_index") is not None]

    @property
    def talker(self) -> StationClient:
        """The station, once it runs."""
        if self.station is None:
            raise RuntimeError("the station has not been started")
        return self.station

    def reached(self, quantity: int) -> asyncio.Event:
        """Set once so many devices have been made."""
        mark = self.marks.setdefault(quantity, asyncio.Event())
        if len(self.made) >= quantity:
            mark.set()
        return mark

    def hear(self, event: Event) -> None:
        """One device more."""
        self.devices.append(event)
        for quantity, mark in self.marks.items():
            if len(self.made) >= quantity:
                mark.set()

    def order(self, auth_id: str) -> asyncio.Event:
        """Set once the station holds this work order, verified, its firmware at hand."""
        return self.orders.setdefault(auth_id, asyncio.Event())


def listener(stage: Stage, floor: Floor) -> Callable[[Event], None]:
    """What hears a station's events."""
    line = stage.board.factory(floor.factory.id)

    def hear(event: Event) -> None:
        if event["event"] == "order":
            floor.order(event["auth_id"]).set()
        if event["event"] == "device":
            floor.hear(event)
            line.made = len(floor.made)
            stage.board.refresh()

    return hear


def solo_name(product: Product) -> str:
    """The socket whose chip runs in a process of its own."""
    return f"solo-{product.slug}"[:32]


def pool_names(stage: Stage, factory: Factory, soc: str) -> list[str]:
    """The sockets the pool of a chip family fills."""
    socs = stage.plan.socs_of(factory.id)
    share = factory.sockets // len(socs)
    return [f"{soc}-{number}" for number in range(share)]


async def run_line(stage: Stage, floor: Floor, kept_back: dict[str, int]) -> None:
    """Make all batches of a factory, side by side. `kept_back`: units by auth_id that an incident will make."""
    await asyncio.gather(*(_run_batch(stage, floor, each, kept_back.get(each.auth_id, 0)) for each in floor.goods))


async def _run_batch(stage: Stage, floor: Floor, goods: Goods, kept_back: int) -> None:
    pooled = stage.plan.devices_per_product - 1 - kept_back
    sockets = pool_names(stage, floor.factory, goods.product.soc)
    await asyncio.gather(
        floor.talker.do("provision", auth_id=goods.auth_id, count=1, sockets=[solo_name(goods.product)]),
        floor.talker.do("provision", auth_id=goods.auth_id, count=pooled, sockets=sockets),
    )


@dataclass(frozen=True)
class Made:
    """What the stations of all factories report, in numbers."""

    issued: int
    results: Counter[str]
    seconds: float

    @property
    def per_second(self) -> float:
        """Devices a second over the whole run of the lines, failures and all."""
        return self.issued / self.seconds if self.seconds else 0.0


def count(floors: Iterable[Floor], began: float) -> Made:
    """Count what was made since `began` (monotonic seconds)."""
    events = [event for floor in floors for event in floor.made]
    return Made(len(events), Counter(event["result"] for event in events), time.monotonic() - began)


def interleavings(floor: Floor) -> int:
    """How often the log of this factory's EdgeHSM went from one Authorization to another between two devices."""
    ordered = sorted(floor.made, key=lambda event: event["log_index"])
    return sum(before["auth_id"] != after["auth_id"] for before, after in pairwise(ordered))
