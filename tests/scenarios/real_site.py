"""One factory of real processes under a real cloud and vault: enrolled by tickets, approved by people's keys.

Cloud and vault run in this process behind real ports (tests/cloud/small_mesh.py); boundary, front and Factory Service are
processes; the wire between factory and cloud can be cut. Nothing is written into a database by hand.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from secrets import token_bytes

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from loadtest.faults import FaultyLink
from obis.mesh.authorities import Authorities
from obis.mesh.channel import open_channel
from obis.mesh.credentials import Credentials
from obis.mesh.identity import CLOUD_HOST, Identity, Role
from obis.mesh.transport import TransportKey
from obis.trust import payload
from obis.trust.envelope import make_envelope
from obis.v1.batches_pb2 import GetBatchRequest
from obis.v1.device_objects_pb2 import DebugState, DeviceReport, Lifecycle
from obis.v1.enrolment_objects_pb2 import SiteRole, StationTicket, TicketSubject
from obis.v1.enrolment_pb2 import GetEdgeHsmEnrolmentRequest
from obis.v1.factories_pb2 import ProposeApprovalRequest
from obis.v1.provisioning_pb2 import DeviceStep, FirmwareStep, IssueStep, OutcomeStep, ProvisionRequest
from obis.v1.provisioning_pb2_grpc import ProvisioningStub
from obis.v1.scope_pb2 import DeviceId
from obis.v1.supervisor_pb2 import EnrolStationRequest
from obis.v1.supervisor_pb2_grpc import SupervisorStub
from obis.v1.trust_root_pb2 import RootKey, RootPerson, RootRole, RootRoleRule, RootSite
from tests.cloud.small_mesh import Key, SmallMesh, whole
from tests.faults.site_room import free_port
from tests.tree import ROOT

FACTORY, EDGE, STATION = "th-01", "th-01-a", "st-1"
IMAGE = b"firmware" * 1000
SECRETS = {"factory": "a passphrase", "element": "0123456789abcdef" * 4}


class MeshWithSupervisor(SmallMesh):
    """A mesh whose trust root names a supervisor at the site."""

    def signed_root(self, cloud_public, vault_public, signers=("ann", "bob"), **changes):
        made = super().signed_root(cloud_public, vault_public, signers, **changes)
        root = payload.parse_closed(payload.TRUST_ROOT, made.payload)
        self.supervisor = Key()
        entry = RootKey(key_id=self.supervisor.key_id, spki_der=self.supervisor.spki, person_id="sup")
        entry.scheme = self.supervisor.scheme
        root.keys.append(entry)
        root.persons.append(RootPerson(person_id="sup", name="Supervisor"))
        root.roles.append(RootRoleRule(role=RootRole.ROOT_ROLE_SITE, key_ids=[self.supervisor.key_id], threshold=1))
        del root.sites[:]
        root.sites.append(
            RootSite(factory_id=FACTORY, country="TH", name="Thailand", site_key_ids=[self.supervisor.key_id])
        )
        return make_envelope(payload.TRUST_ROOT, whole(root), [self.people[name] for name in signers])


@dataclass
class Processes:
    """The site's processes by name; the same name starts the same one again."""

    folder: Path
    running: dict[str, subprocess.Popen] = field(default_factory=dict)

    def start(self, name: str, *arguments: str, secret: str = "") -> None:
        told, pipes = [sys.executable, "-m", *arguments], []
        if secret:
            reading, writing = os.pipe()
            os.write(writing, json.dumps({secret: SECRETS[secret]}).encode())
            os.close(writing)
            told, pipes = [*told, "--secrets-fd", str(reading)], [reading]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(told, cwd=ROOT, pass_fds=pipes, stdout=log, stderr=log)
        for each in pipes:
            os.close(each)

    async def finish(self, name: str, *arguments: str, secret: str = "") -> None:
        self.start(name, *arguments, secret=secret)
        assert await asyncio.to_thread(self.running[name].wait, 60) == 0, self.log(name)

    async def said(self, name: str, pattern: str, seconds: float = 30) -> str:
        """What the process's log says after `pattern`'s group."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.log(name))):
            assert time.monotonic() < deadline, self.log(name)
            await asyncio.sleep(0.05)
        return found[1]

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def kill(self, name: str) -> None:
        self.running[name].kill()
        self.running[name].wait()


class RealSite:
    """The factory, and the mesh above it."""

    def __init__(self, mesh: MeshWithSupervisor, folder: Path) -> None:
        self.mesh, self.folder = mesh, folder
        self.processes = Processes(folder)
        self.line, self.door, self.front = (f"127.0.0.1:{free_port()}" for _ in range(3))

    # ---- coming in

    async def begin(self, wire: FaultyLink) -> None:
        self.wire = wire
        self._write_configs()
        ticket = await self.mesh.ticket(TicketSubject.TICKET_SUBJECT_FACTORY, FACTORY)
        (self.folder / "service.ticket").write_bytes(whole(ticket))
        told = ("--config", str(self.folder / "factory.toml"))
        await self.processes.finish(
            "enrol", "factory", "enrol", *told, "--ticket", str(self.folder / "service.ticket"), secret="factory"
        )
        self.start_service()
        await self._enrol_edgehsm()
        self.start_front()

    def start_service(self) -> None:
        self.processes.start(
            "service", "factory", "serve", "--config", str(self.folder / "factory.toml"), secret="factory"
        )

    def start_boundary(self) -> None:
        told = ("--config", str(self.folder / "boundary.toml"))
        self.processes.start("boundary", "edgehsm.boundary", "serve", *told, secret="element")

    def start_front(self) -> None:
        self.processes.start("front", "edgehsm", "serve", "--config", str(self.folder / "front.toml"))

    async def _enrol_edgehsm(self) -> None:
        ticket = await self.mesh.ticket(TicketSubject.TICKET_SUBJECT_EDGEHSM, FACTORY, EDGE)
        (self.folder / "edge.ticket").write_bytes(whole(ticket))
        config = ("--config", str(self.folder / "boundary.toml"))
        await self.processes.finish("init", "edgehsm.boundary", "init", *config, secret="element")
        self.start_boundary()
        await self.processes.said("boundary", "(ready)")
        front = ("--config", str(self.folder / "front.toml"), "--ticket", str(self.folder / "edge.ticket"))
        self.processes.start("front-enrol", "edgehsm", "enrol", *front)
        shown = await self.processes.said("front-enrol", "key fingerprint ([0-9a-f]{64})")
        asked = ProposeApprovalRequest(
            edgehsm_id=EDGE, epoch=1, key_fingerprint=bytes.fromhex(shown), outage_budget_seconds=14 * 86400
        )
        proposed = await self._noted(asked)
        await self.mesh.sign(proposed.proposal, "bob", "cat")
        assert await asyncio.to_thread(self.processes.running["front-enrol"].wait, 60) == 0

    async def _noted(self, asked: ProposeApprovalRequest):
        """The proposal, once the cloud has the keys the appliance shows."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return await self.mesh.callers["ann"].factories.ProposeApproval(asked)
            except grpc.aio.AioRpcError as refused:
                if refused.code() is not grpc.StatusCode.NOT_FOUND or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.1)

    def _write_configs(self) -> None:
        authority = self.mesh.authority.public_bytes(Encoding.PEM).decode()
        mesh = {"fingerprint": self.mesh.fingerprint.hex(), "cloud": self.wire.address, "transport_ca_pem": authority}
        mesh |= {"enrolment": f"127.0.0.1:{self.mesh.cloud.enrolment.port}"}
        (self.folder / "mesh.json").write_text(json.dumps(mesh))
        (self.folder / "factory.toml").write_text(
            f'data = "factory"\nmesh = "mesh.json"\nfactory_id = "{FACTORY}"\nline = "{self.line}"\n'
            f'enrolment = "{self.door}"\nlongest_backoff_seconds = 1\n[[edgehsm]]\nid = "{EDGE}"\n'
            f'address = "{self.front}"\n'
        )
        (self.folder / "boundary.toml").write_text(
            f'data = "boundary"\nsocket = "b.sock"\nfingerprint = "{self.mesh.fingerprint.hex()}"\n'
            f'factory_id = "{FACTORY}"\nedgehsm_id = "{EDGE}"\nfront_uid = {os.getuid()}\n'
        )
        (self.folder / "front.toml").write_text(
            f'mesh = "mesh.json"\nsocket = "b.sock"\nlisten = "{self.front}"\nfactory_id = "{FACTORY}"\n'
            f'edgehsm_id = "{EDGE}"\n'
        )

    # ---- a batch

    async def batch(self, quantity: int):
        """A batch that EdgeHSM holds; its ProductionBatch."""
        product_id = await self.mesh.product()
        version = await self.mesh.version(product_id, image=IMAGE)
        await self.mesh.grant(version.version_id, [(FACTORY, EDGE, 1, 500)])
        edge = type("Edge", (), {"id": EDGE})
        request = self.mesh.batch_request(version.version_id, edge, FACTORY, quantity)
        odm = self.mesh.callers["oda"].batches
        created = await self.mesh.until(lambda: odm.CreateBatch(request), seconds=30)
        return created.batch

    async def batch_now(self, batch):
        answer = await self.mesh.callers["oda"].batches.GetBatch(GetBatchRequest(batch_id=batch.batch_id))
        return answer.batch

    # ---- the line

    async def station(self) -> Station:
        """Enrolled through the Factory Service's open door, by a supervisor's ticket."""
        key = TransportKey.generate()
        ticket = StationTicket(
            ticket_id=token_bytes(16),
            factory_id=FACTORY,
            role=SiteRole.SITE_ROLE_STATION,
            station_id=STATION,
            line_id="line-1",
            spki_digest=sha256(key.public_der).digest(),
            expires_at=int(time.time()) + 3600,
        )
        signed = make_envelope(payload.STATION_TICKET, whole(ticket), [self.mesh.supervisor])
        request = EnrolStationRequest(ticket=signed, csr_der=key.request(Identity(Role.STATION, STATION, FACTORY)))
        believed = Credentials(Authorities({CLOUD_HOST: [self.mesh.authority]}))
        async with open_channel(self.door, Identity(Role.FACTORY, FACTORY), believed) as channel:
            answer = await SupervisorStub(channel).EnrolStation(request, timeout=20)
        chain = list(answer.certificate_chain_der)
        pinned = {f"{FACTORY}.site.obis": [x509.load_der_x509_certificate(chain[1])], CLOUD_HOST: [self.mesh.authority]}
        return Station(self, Credentials(Authorities(pinned), key.certified(chain)))

    async def site_ca_known(self) -> None:
        asked = GetEdgeHsmEnrolmentRequest(edgehsm_id=EDGE, epoch=1)
        await self.mesh.until(lambda: self.mesh.enrolment.GetEdgeHsmEnrolment(asked))

    def close(self) -> None:
        for process in self.processes.running.values():
            process.kill()
            process.wait()


@dataclass
class Station:
    """A station's identity; makes devices by the public RPC, with keys of its own making in the chips' place."""

    site: RealSite
    credentials: Credentials

    def front(self):
        return open_channel(self.site.front, Identity(Role.FRONT, EDGE, FACTORY), self.credentials)

    def line(self):
        return open_channel(self.site.line, Identity(Role.FACTORY, FACTORY), self.credentials)

    async def make(self, auth_id: bytes, *numbers: int) -> None:
        """Two round trips for all: issue and firmware, then outcomes with chip-signed reports."""
        keys = {number: Key() for number in numbers}
        async with self.front() as channel:
            call = ProvisioningStub(channel).Provision()
            await call.write(ProvisionRequest(steps=[each for n in numbers for each in _first(auth_id, n, keys[n])]))
            replies = {each.step_id: each for each in (await call.read()).replies}
            assert not [each for each in replies.values() if each.HasField("refused")], replies
            outcomes = [_outcome(auth_id, n, keys[n], replies[2 * n].issued.boundary_nonce) for n in numbers]
            await call.write(ProvisionRequest(steps=outcomes))
            ended = (await call.read()).replies
            assert not [each for each in ended if each.HasField("refused")], ended
            await call.done_writing()


def device(number: int) -> DeviceId:
    return DeviceId(soc="generic-wifi", uid=number.to_bytes(8))


def _first(auth_id: bytes, number: int, key: Key) -> list[DeviceStep]:
    who = {"auth_id": auth_id, "device": device(number)}
    firmware = FirmwareStep(firmware_digest=sha256(IMAGE).digest())
    return [
        DeviceStep(step_id=2 * number, issue=IssueStep(csr_der=key.csr()), **who),
        DeviceStep(step_id=2 * number + 1, firmware=firmware, **who),
    ]


def _outcome(auth_id: bytes, number: int, key: Key, nonce: bytes) -> DeviceStep:
    report = DeviceReport(
        auth_id=auth_id,
        device=device(number),
        boundary_nonce=nonce,
        firmware_digest=sha256(IMAGE).digest(),
        lifecycle=Lifecycle.LIFECYCLE_LOCKED,
        debug_state=DebugState.DEBUG_STATE_LOCKED,
    )
    signed = make_envelope(payload.DEVICE_REPORT, whole(report), [key])
    outcome = OutcomeStep(passed=True, report=signed, duration_ms=900)
    return DeviceStep(step_id=2 * number, auth_id=auth_id, device=device(number), outcome=outcome)
