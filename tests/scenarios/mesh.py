"""A small real mesh for the scenarios: the demo's own machinery with two factories, two products and one more to come.

Every room is a process with an identity of its own. What a scenario does goes through public ports, with a certificate
that the mesh itself gave out; `identities.py` has the others.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from io import StringIO
from pathlib import Path

import grpc
from cryptography import x509

from loadtest.demo import goods as g
from loadtest.demo.board import Board
from loadtest.demo.courier import Courier
from loadtest.demo.keys import Keys
from loadtest.demo.line import Floor, pool_names
from loadtest.demo.people import Crew
from loadtest.demo.plan import Incidents, Plan, read_plan
from loadtest.demo.processes import python
from loadtest.demo.stage import Stage
from loadtest.demo.station_client import Event
from loadtest.demo.story import Story
from loadtest.faults import FaultyLink
from obis.cli.profile import Mesh as MeshFacts
from obis.cli.station_ticket import make_station_ticket
from obis.mesh.authorities import Authorities
from obis.mesh.channel import open_channel
from obis.mesh.credentials import Credentials
from obis.mesh.identity import CLOUD_HOST, Identity, Role
from obis.mesh.status import understood
from obis.mesh.transport import OwnCertificate, TransportKey
from obis.v1.batches_pb2 import ProductionBatch
from obis.v1.custody_pb2 import CustodyStatusRequest, CustodyStatusResponse, FollowLogRequest
from obis.v1.custody_pb2_grpc import CustodyStub
from obis.v1.keys_pb2 import ListCertificatesRequest
from obis.v1.leaf_pb2 import LogLeaf
from obis.v1.package_pb2 import VersionManifest
from obis.v1.provisioning_pb2 import DeviceStep, ProvisionRequest, ReopenDebugRequest, ReopenDebugResponse, StepReply
from obis.v1.provisioning_pb2_grpc import ProvisioningStub
from obis.v1.supervisor_pb2 import EnrolStationRequest
from obis.v1.supervisor_pb2_grpc import SupervisorStub
from obis.v1.trace_pb2 import ProductionRecord, StreamRecordsRequest, SummarizeRequest
from obis.v1.versions_pb2 import GetVersionRequest

HOME, AWAY = "th-01", "th-02"  # th-01 reaches the cloud over a link that scenarios may cut
DEVICES = 40  # of each product, to begin with; a Grant allows some more
PATIENCE = 30.0
BULB, PLUG, LATE = "Bulb E27", "Plug Mini", "Light Strip"


def small_plan() -> Plan:
    """Two sites, two products; the third is set up by a scenario while everything runs."""
    whole = read_plan()
    incidents = Incidents(HOME, AWAY, HOME, AWAY, AWAY, AWAY)
    return replace(
        whole,
        factories=tuple(replace(each, sockets=3) for each in whole.factories if each.id in (HOME, AWAY)),
        products=tuple(each for each in whole.products if each.name in (BULB, PLUG)),
        incidents=incidents,
        devices_per_product=DEVICES,
    )


@dataclass
class RunningMesh:
    """What scenarios ask of it."""

    stage: Stage
    story: Story
    facts: MeshFacts
    keys: Keys
    crew: Crew
    link: FaultyLink
    couriers: dict[str, Courier]
    _stations: dict[str, OwnCertificate] = field(default_factory=dict)

    @property
    def bulb(self) -> g.Goods:
        return self._goods(HOME)

    @property
    def plug(self) -> g.Goods:
        return self._goods(AWAY)

    def floor(self, factory_id: str) -> Floor:
        return self.story.floors[factory_id]

    def front_of(self, factory_id: str) -> Identity:
        return Identity(Role.FRONT, self.stage.plan.factory(factory_id).edgehsm, factory_id)

    def address(self, name: str) -> str:
        return self.stage.ports[name]

    # ---- batches and devices

    async def batch(self, goods: g.Goods, quantity: int, seconds: int = g.DAY) -> ProductionBatch:
        """Created by the ODM, admitted by its EdgeHSM."""
        batch = await g.create_batch(self.stage, self.crew, goods, quantity, seconds)
        await self.admitted(batch)
        return batch

    async def admitted(self, batch: ProductionBatch) -> None:
        await eventually(lambda: self._holds(batch.factory_id, batch.auth_id), f"{batch.factory_id} admits the batch")

    async def manifest(self, goods: g.Goods) -> VersionManifest:
        """The approved version, as it was signed for."""
        asked = GetVersionRequest(version_id=goods.version_id)
        answer = await self.crew.oem.versions.GetVersion(asked, timeout=PATIENCE)
        return VersionManifest.FromString(answer.version.manifest)

    async def provision(self, batch: ProductionBatch, count: int, **more: object) -> list[Event]:
        """Devices made by the site's station with virtual chips; the events, device by device."""
        floor = self.floor(batch.factory_id)
        soc = floor.goods[0].product.soc
        sockets = pool_names(self.stage, floor.factory, soc)
        told = {"auth_id": batch.auth_id.hex(), "count": count, "sockets": sockets} | more
        async with asyncio.timeout(60):
            events = await floor.talker.do("provision", **told)
        return [each for each in events if each["event"] == "device"]

    async def steps(self, factory_id: str, *steps: DeviceStep, own: OwnCertificate | None = None) -> list[StepReply]:
        """Steps in one message, as a station of the site sends them; raises Refused where the message is refused."""
        async with self.at_front(factory_id, own or await self.station(factory_id)) as channel:
            call = ProvisioningStub(channel).Provision(_once(ProvisionRequest(steps=steps)), timeout=PATIENCE)
            with understood("front"):
                answer = await call.read()
                assert answer is not grpc.aio.EOF, await call.details()
            return list(answer.replies)

    async def debug(self, factory_id: str, request: ReopenDebugRequest) -> ReopenDebugResponse:
        """One debug request, as a station of the site sends it."""
        async with self.at_front(factory_id, await self.station(factory_id)) as channel:
            call = ProvisioningStub(channel).ReopenDebug(_once(request), timeout=PATIENCE)
            with understood("front"):
                return await call.read()

    async def step(self, factory_id: str, step: DeviceStep, own: OwnCertificate | None = None) -> StepReply:
        (reply,) = await self.steps(factory_id, step, own=own)
        return reply

    # ---- identities that the mesh gave out

    async def station(self, factory_id: str, station_id: str = "bench") -> OwnCertificate:
        """A station of a test's own, let in by the site's supervisor."""
        name = f"{factory_id}/{station_id}"
        if name not in self._stations:
            key, ticket = self.station_ticket(factory_id, station_id)
            self._stations[name] = key.certified(await self.enrol_station(factory_id, key, ticket))
        return self._stations[name]

    def station_ticket(self, factory_id: str, station_id: str, **more):
        key = TransportKey.generate()
        ticket = make_station_ticket(
            self.keys.sites[factory_id],
            factory_id=factory_id,
            station_id=station_id,
            line_id="line-1",
            spki_digest=sha256(key.public_der).digest(),
            now=int(time.time()),
            **more,
        )
        return key, ticket

    async def enrol_station(self, factory_id: str, key: TransportKey, ticket) -> list[bytes]:
        """The chain, leaf first. Raises Refused."""
        nobody = Credentials(self.cloud_authorities)
        request = EnrolStationRequest(ticket=ticket, csr_der=key.request(Identity(Role.STATION, "x", factory_id)))
        async with open_channel(
            self.address(f"{factory_id}-enrolment"), Identity(Role.FACTORY, factory_id), nobody
        ) as ch:
            with understood("factory"):
                return list((await SupervisorStub(ch).EnrolStation(request, timeout=PATIENCE)).certificate_chain_der)

    @property
    def cloud_authorities(self) -> Authorities:
        return Authorities({CLOUD_HOST: [self._cloud_ca]})

    @property
    def _cloud_ca(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.facts.transport_ca_pem.encode())

    def site_authorities(self, factory_id: str) -> Authorities:
        ca = self.couriers[factory_id].site_ca
        return Authorities({f"{factory_id}.site.obis": [ca], CLOUD_HOST: [self._cloud_ca]})

    @asynccontextmanager
    async def at_front(self, factory_id: str, own: OwnCertificate) -> AsyncIterator[grpc.aio.Channel]:
        believed = Credentials(self.site_authorities(factory_id), own)
        async with open_channel(self.address(f"{factory_id}-front"), self.front_of(factory_id), believed) as channel:
            yield channel

    @asynccontextmanager
    async def at_cloud(self, own: OwnCertificate) -> AsyncIterator[grpc.aio.Channel]:
        cloud = Identity(Role.CLOUD, "main")
        async with open_channel(self.facts.cloud, cloud, Credentials(self.cloud_authorities, own)) as channel:
            yield channel

    @contextmanager
    def frozen(self, process: str) -> Iterator[None]:
        """A process that stands still meanwhile: somebody else acts in its place."""
        child = self.stage.processes._children[process].process
        child.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            child.send_signal(signal.SIGCONT)

    # ---- what the mesh holds

    async def status(self, factory_id: str) -> CustodyStatusResponse:
        """The EdgeHSM's own counts."""
        async with self.couriers[factory_id].at_the_front(self.address(f"{factory_id}-front")) as channel:
            return await CustodyStub(channel).Status(CustodyStatusRequest(), timeout=PATIENCE)

    async def leaves(self, factory_id: str, from_index: int = 0) -> list[LogLeaf]:
        """The EdgeHSM's log from an index on."""
        size, found = (await self.status(factory_id)).log_size, []
        async with self.couriers[factory_id].at_the_front(self.address(f"{factory_id}-front")) as channel:
            call = CustodyStub(channel).FollowLog(FollowLogRequest(from_index=from_index))
            while from_index + len(found) < size:
                found += (await call.read()).page.leaves
            call.cancel()
        return [LogLeaf.FromString(each) for each in found]

    async def records(self, batch: ProductionBatch) -> list[ProductionRecord]:
        """The cloud's records of a batch, as they stand."""
        request = StreamRecordsRequest(batch_id=batch.batch_id)
        found, call = {}, self.crew.oem.trace.StreamRecords(request, timeout=PATIENCE)
        try:
            while True:
                record = (await asyncio.wait_for(call.read(), 0.7)).record
                found[record.device.soc, record.device.uid] = record
        except TimeoutError:
            call.cancel()
        return list(found.values())

    async def cloud_issued(self, factory_id: str) -> int:
        answer = await self.crew.oem.trace.Summarize(SummarizeRequest(), timeout=PATIENCE)
        return sum(each.issued for each in answer.counts if each.factory_id == factory_id)

    async def in_cloud(self, factory_id: str, events: list[Event]) -> None:
        """Returns once the EdgeHSM holds the witness's word for every one of these devices."""
        wanted = max(each["outcome_index"] or each["log_index"] for each in events) + 1
        await eventually(lambda: self._cosigned(factory_id, wanted), f"leaf {wanted - 1} of {factory_id} in the cloud")

    # ---- the obis command

    async def obis(self, *arguments: str, person: str = "") -> tuple[int, str]:
        """`obis …` as a person of the mesh, or as nobody; exit status and stdout."""
        name = f"obis-{'-'.join(arguments[:1])}-{os.urandom(4).hex()}"
        secret = {person: self.stage.passphrase(person)} if person else {}
        home = str(self.stage.profile(person).home) if person else str(self.stage.folder / "nobody")
        return await self.stage.processes.run_any(python(name, "obis.cli", *arguments, secrets=secret, OBIS_HOME=home))

    async def export(self, name: str) -> Path:
        """A fresh signed export."""
        folder = self.stage.folder / "exports" / name
        folder.parent.mkdir(exist_ok=True)
        status, said = await self.obis("export", str(folder), person=self.stage.plan.proposer.id)
        assert status == 0, said
        return folder

    def _goods(self, factory_id: str) -> g.Goods:
        return self.floor(factory_id).goods[0]

    async def _has_pais(self) -> bool:
        asked = [ListCertificatesRequest(product_id=each.product_id) for each in (self.bulb, self.plug)]
        answers = [await self.crew.oem.keys.ListCertificates(each, timeout=PATIENCE) for each in asked]
        return all(each.pais for each in answers)

    async def _holds(self, factory_id: str, auth_id: bytes) -> bool:
        return any(each.auth_id == auth_id for each in (await self.status(factory_id)).authorizations)

    async def _cosigned(self, factory_id: str, size: int) -> bool:
        return (await self.status(factory_id)).cosigned_size >= size


async def eventually(holds, what: str, seconds: float = PATIENCE) -> None:
    """Ask again until it holds; fails with `what` where it does not."""
    until = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < until, f"after {seconds:.0f} s it is not so: {what}"
        await asyncio.sleep(0.2)


@asynccontextmanager
async def running_mesh(folder: Path) -> AsyncIterator[RunningMesh]:
    """Begun, opened, running; ended however the scenarios end."""
    stage = Stage.empty(small_plan(), Board(StringIO()), folder)
    try:
        async with AsyncExitStack() as stack:
            story = Story(stage, stack)
            opened = await story.open()
            running = RunningMesh(stage, story, opened.mesh, opened.keys, opened.crew, opened.link, opened.couriers)
            await eventually(running._has_pais, "every product's PAI is certified", 60)
            yield running
            await _dismiss(story)
    finally:
        stage.processes.stop_all()


async def _dismiss(story: Story) -> None:
    """End the stations and close their pipes."""
    for floor in story.floors.values():
        await asyncio.wait_for(floor.talker.quit(), 10)


async def _once(message):
    yield message
