"""The story, in the order of docs/architecture.md, from nothing to the proof."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from loadtest.demo import goods as g
from loadtest.demo import incidents, proof, sites
from loadtest.demo.begin import begin
from loadtest.demo.courier import Courier
from loadtest.demo.failure import DemoFailed
from loadtest.demo.incidents import Happened
from loadtest.demo.keys import Keys
from loadtest.demo.line import Floor, Made, count, interleavings, run_line
from loadtest.demo.people import Crew, people_come_in, sitting
from loadtest.demo.stage import Stage
from loadtest.faults import FaultyLink
from obis.cli.profile import Mesh
from obis.v1.batches_pb2 import ProductionBatch

POLL_SECONDS: Final = 2.0  # between two questions to the cloud for the factory lines


@dataclass(frozen=True)
class Opened:
    """What an open mesh is talked to with."""

    mesh: Mesh
    keys: Keys
    crew: Crew
    link: FaultyLink
    couriers: dict[str, Courier]


class Story:
    """One performance. `play` returns its summary; connections and the link that was cut stay open until `stack` ends."""

    def __init__(self, stage: Stage, stack: AsyncExitStack) -> None:
        self.stage, self._stack = stage, stack
        self.began = time.monotonic()
        self.happened = Happened()
        self.floors: dict[str, Floor] = {}

    async def play(self) -> proof.Summary:
        """From an empty folder to the proof."""
        opened = await self.open()
        mesh, crew, link, couriers = opened.mesh, opened.crew, opened.link, opened.couriers
        made, closed_auth = await self._produce(crew, link)
        await incidents.carry_hostile(self.stage, self.floors, couriers, closed_auth, self.happened)
        return await self._prove(mesh, crew, made)

    async def open(self) -> Opened:
        """The mesh begun, people and sites in, versions approved: everything but batches. Scenarios begin here too."""
        board = self.stage.board
        board.step("The mesh begins")
        lines = asyncio.gather(*(sites.prepare_line(self.stage, each) for each in self.stage.plan.factories))
        mesh, keys = await begin(self.stage)
        crew = await self._stack.enter_async_context(people_come_in(self.stage, mesh, keys))
        link = await self._stack.enter_async_context(FaultyLink(self.stage.ports["cloud"]))
        couriers = await self._set_up(mesh, keys, crew, link, lines)
        return Opened(mesh, keys, crew, link, couriers)

    async def _set_up(
        self, mesh: Mesh, keys: Keys, crew: Crew, link: FaultyLink, lines: Awaitable[object]
    ) -> dict[str, Courier]:
        """Steps 1 to 3: sites and products come in, versions are approved."""
        stage, plan = self.stage, self.stage.plan
        stage.board.step("1  The OEM sets up products; factories come in")
        tickets, goods = await asyncio.gather(
            asyncio.gather(*(sites.propose_tickets(crew, each) for each in plan.factories)),
            g.create_products(stage, crew, keys),
        )
        await sitting(stage, "tickets and product rules")
        self.floors = {
            each.id: Floor(each, [x for x in goods if x.product.factory == each.id]) for each in plan.factories
        }
        stage.board.step("2  ODMs prepare versions; EdgeHSMs show their keys")
        preparing = asyncio.create_task(g.prepare_versions(stage, crew, keys, goods))
        await asyncio.gather(
            *(
                sites.show_keys(stage, crew, self._mesh_file(mesh, each.id, link), each, ticket)
                for each, ticket in zip(plan.factories, tickets, strict=True)
            )
        )
        await preparing
        stage.board.step("3  The OEM approves EdgeHSMs, then versions")
        hostile = await self._courier_tickets(crew)
        await sitting(stage, "keys of five EdgeHSMs")
        await lines
        opening = asyncio.create_task(self._open_sites(keys))
        await g.propose_grants(stage, crew, goods)
        await sitting(stage, "grants of 21 versions")
        await opening
        return {
            name: await Courier.enrolled(mesh, plan.factory(name), await sites.signed(crew, proposal))
            for name, proposal in hostile.items()
        }

    async def _open_sites(self, keys: Keys) -> None:
        await asyncio.gather(*(sites.open_site(self.stage, keys, floor) for floor in self.floors.values()))
        self.stage.board.say(f"{len(self.floors)} sites open; {self.stage.processes.count} processes run")

    async def _courier_tickets(self, crew: Crew) -> dict[str, bytes]:
        plan = self.stage.plan
        names = {plan.incidents.closed_window, plan.incidents.wrong_factory}
        return {name: await sites.propose_ticket(crew, plan.factory(name)) for name in sorted(names)}

    def _mesh_file(self, mesh: Mesh, factory_id: str, link: FaultyLink) -> Path:
        """A factory's own mesh.json; one of them reaches the cloud over a link that will be cut."""
        path = self.stage.site(factory_id) / "mesh.json"
        is_cut = factory_id == self.stage.plan.incidents.link_cut
        (replace(mesh, cloud=link.address) if is_cut else mesh).write(path)
        return path

    async def _produce(self, crew: Crew, link: FaultyLink) -> tuple[Made, bytes]:
        """Steps 4 to 7: batches, devices, failures, records, rework."""
        stage, plan, happened = self.stage, self.stage.plan, self.happened
        stage.board.step("4  ODMs create batches")
        goods = [each for floor in self.floors.values() for each in floor.goods]
        for each, batch in zip(
            goods,
            await asyncio.gather(*(g.create_batch(stage, crew, each, plan.devices_per_product) for each in goods)),
            strict=True,
        ):
            each.batch = batch
        stage.board.say(f"{len(goods)} batches of {plan.devices_per_product} devices")
        await incidents.pass_the_quota(stage, crew, goods[0], happened)
        closing = self.floors[plan.incidents.closed_window]
        short = await incidents.open_short_window(stage, crew, closing, closing.goods[0])
        stage.board.say(f"{closing.factory.edgehsm}: one more batch, open for {incidents.WINDOW_SECONDS} seconds")
        stage.board.step("5  On the line")
        began = time.monotonic()
        await self._run_floors(crew, link, short)
        made = count(self.floors.values(), began)
        stage.board.rest()
        stage.board.step("6  Records flow back")
        seconds = await incidents.drained(crew, list(self.floors.values()))
        stage.board.say(f"all {made.issued} devices are in the cloud {seconds:.1f} s after the last one")
        stage.board.step("7  Rework, and hostile couriers")
        await self._after_the_line()
        return made, short.auth_id

    async def _run_floors(self, crew: Crew, link: FaultyLink, short: ProductionBatch) -> None:
        """All lines, and the incidents while they run."""
        stage, where = self.stage, self.stage.plan.incidents
        done = {name: asyncio.Event() for name in self.floors}
        polling = asyncio.create_task(self._poll(crew))
        closing = self.floors[where.closed_window]
        async with asyncio.TaskGroup() as group:
            for name, floor in self.floors.items():
                stage.board.factory(name).wanted = len(floor.goods) * stage.plan.devices_per_product
                group.create_task(self._run_floor(floor, done[name]))
            cut = self.floors[where.link_cut]
            group.create_task(incidents.cut_the_link(stage, crew, cut, link, done[where.link_cut], self.happened))
            group.create_task(incidents.kill_the_boundary(stage, self.floors[where.boundary_killed]))
            group.create_task(incidents.see_it_closed(stage, closing, short, self.happened))
        polling.cancel()

    async def _run_floor(self, floor: Floor, done: asyncio.Event) -> None:
        where, again = self.stage.plan.incidents, floor.goods[0]
        is_asked_again = floor.factory.id == where.other_key
        try:
            await run_line(self.stage, floor, {again.auth_id: 1} if is_asked_again else {})
            if is_asked_again:
                await incidents.ask_again(self.stage, floor, again, self.happened)
                await incidents.come_with_another_key(self.stage, floor, again, self.happened)
        finally:
            done.set()

    async def _after_the_line(self) -> None:
        floor = self.floors[self.stage.plan.incidents.rework]
        await incidents.rework(self.stage, floor, floor.goods[0], self.happened)

    async def _poll(self, crew: Crew) -> None:
        """The factory lines: what the cloud has."""
        while True:
            for name, number in (await incidents.in_cloud(crew)).items():
                self.stage.board.factory(name).in_cloud = number
            self.stage.processes.require_alive()
            self.stage.board.refresh()
            await asyncio.sleep(POLL_SECONDS)

    async def _prove(self, mesh: Mesh, crew: Crew, made: Made) -> proof.Summary:
        stage, floors = self.stage, list(self.floors.values())
        stage.board.step("The proof")
        await proof.settle()
        cloud = await proof.ask_cloud(crew, stage.plan.incidents.link_cut)
        verified, said = await proof.export_and_verify(stage, mesh.fingerprint.hex())
        stage.board.say(f"obis verify: {said.strip().partition(chr(10))[0] or 'said nothing'}")
        if not floors[0].made:
            raise DemoFailed("nothing was made")
        device = floors[0].made[0]
        stage.board.say("obis trace, for one device:")
        print(await proof.trace_one(stage, f"{device['soc']}:{device['uid']}"))
        return proof.Summary(
            fingerprint=mesh.fingerprint.hex(),
            products=len(stage.plan.products),
            factories=len(floors),
            devices_requested=len(stage.plan.products) * stage.plan.devices_per_product,
            devices_issued=made.issued,
            records_in_cloud=cloud.records,
            lost=proof.lost(floors, cloud),
            duplicated=cloud.duplicated,
            over_issued=cloud.over_issued,
            refusals=dict(self.happened.refusals),
            outage_seconds=round(self.happened.outage_seconds, 2),
            drain_seconds=round(self.happened.drain_seconds, 2),
            record_lag_p99_seconds=cloud.lag_p99_seconds,
            record_lag_p99_all_seconds=cloud.lag_p99_all_seconds,
            kills=len(stage.processes.kills),
            devices_per_second=round(made.per_second, 1),
            verified=verified,
            results=dict(made.results),
            made_in_outage=self.happened.made_in_outage,
            same_dac=self.happened.same_dac,
            reworked=self.happened.reworked,
            interleavings={each.factory.id: interleavings(each) for each in floors},
            seconds=round(time.monotonic() - self.began, 1),
            export=str(stage.folder / "export"),
            failures=proof.failures(stage, made, cloud, self.happened, floors, verified=verified),
        )
