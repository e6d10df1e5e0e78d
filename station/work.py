"""Work orders as they come: judged, made ready (firmware here and signed as it must be), kept, and dropped when ended.

The Factory Service is only a courier: what it sends is verified here, and what was verified before goes on without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from obis.mesh.status import understood
from obis.refusal import Kind, Refused
from obis.v1.factory_link_pb2 import WorkOrder
from obis.v1.line_pb2 import LineFetchArtifactRequest, WatchWorkRequest
from obis.v1.reason_pb2 import Reason
from station.bench import Materials
from station.order import Order
from station.preflight import require_able, require_image
from station.silicon.registry import family
from station.store import Store
from station.workorder import Pinned, verify_work_order

if TYPE_CHECKING:
    from obis.v1.line_pb2_grpc import LineAsyncStub

RECONNECT_SECONDS: Final = 1.0
FETCH_SECONDS: Final = 120.0
_COMES_LATER: Final = (Kind.UNREACHABLE, Kind.EXHAUSTED, Kind.NOT_YET, Kind.NOT_FOUND, Kind.INTERNAL)


@dataclass
class Ready:
    """An order with everything it needs. `ended`: the Factory Service says that it is over."""

    order: Order
    materials: Materials
    ended: bool = False


@dataclass(frozen=True)
class Listener:
    """Who hears of orders."""

    ready: Callable[[Order], None]
    refused: Callable[[bytes, Refused], None]
    ended: Callable[[bytes], None]
    link: Callable[[bool], None]


class Work:
    """All orders this station knows."""

    def __init__(self, stub: LineAsyncStub, store: Store, pinned: Pinned, say: Listener) -> None:
        self._stub, self._store, self._say = stub, store, say
        self._pinned = pinned
        self._orders: dict[bytes, Ready] = {}
        self._changed = asyncio.Condition()
        self._up: bool | None = None

    @property
    def orders(self) -> list[Ready]:
        """Those that are ready."""
        return list(self._orders.values())

    async def wait_for(self, auth_id: bytes, seconds: float) -> Ready:
        """The order, when it is ready; raises Refused DEPENDENCY_MISSING."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: auth_id in self._orders)
                return self._orders[auth_id]
        except TimeoutError:
            raise Refused(Reason.REASON_DEPENDENCY_MISSING, "no such work order has come", auth_id.hex()) from None

    async def run(self) -> None:
        """Until cancelled: kept orders first, then what the Factory Service says, again after every break."""
        for work in self._store.orders():
            await self._take_or_wait(work)
        while True:
            try:
                await self._watch()
            except Refused:
                self._link(up=False)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _watch(self) -> None:
        with understood("factory"):
            async for said in self._stub.WatchWork(WatchWorkRequest()):
                self._link(up=True)
                if not said.HasField("work_order"):
                    continue
                await self._take(said.work_order)
                if said.ended:
                    self._end(said.work_order.auth_id)

    async def _take(self, work: WorkOrder) -> None:
        """Judges an order; one that began and ended unseen too, so that a question under it is answered by EdgeHSM."""
        if work.auth_id in self._orders or not work.HasField("authorization"):
            return
        try:
            pinned = replace(self._pinned, root_version=self._store.root_version)
            order, root_version = verify_work_order(work, pinned)
            require_able(order, family(order.soc).capabilities)
            materials = await self._materials(order)
            require_image(order, materials.image)
        except Refused as refused:
            if refused.kind in _COMES_LATER:
                raise  # the stream is opened again, and the order comes again
            self._say.refused(work.auth_id, refused)
            return
        self._store.saw_root_version(root_version)
        self._store.keep_order(work)
        async with self._changed:
            self._orders[order.auth_id] = Ready(order, materials)
            self._changed.notify_all()
        self._say.ready(order)

    async def _take_or_wait(self, work: WorkOrder) -> None:
        with suppress(Refused):  # what it needs is fetched when the Factory Service sends it again
            await self._take(work)

    def _end(self, auth_id: bytes) -> None:
        self._store.drop_order(auth_id)
        if (known := self._orders.get(auth_id)) and not known.ended:
            known.ended = True
            self._say.ended(auth_id)

    async def _materials(self, order: Order) -> Materials:
        image = await self._artifact(order.firmware.digest)
        return Materials(image, await self._artifact(order.agent_digest) if order.agent_digest else b"")

    async def _artifact(self, digest: bytes) -> bytes:
        """From the store, or fetched from where an earlier try broke off; raises Refused."""
        if (held := self._store.artifact(digest)) is not None:
            return held
        octets = bytearray(self._store.partial(digest))
        try:
            with understood("factory"):
                asked = LineFetchArtifactRequest(digest=digest, offset=len(octets))
                async for part in self._stub.FetchArtifact(asked, timeout=FETCH_SECONDS):
                    octets[part.offset :] = part.chunk
        except Refused:
            self._store.keep_partial(digest, bytes(octets))
            raise
        if not self._store.keep_artifact(digest, bytes(octets)):
            raise Refused(Reason.REASON_DIGEST_MISMATCH, "the Factory Service sent another artifact", digest.hex())
        return bytes(octets)

    def _link(self, *, up: bool) -> None:
        if up != self._up:
            self._up = up
            self._say.link(up)
