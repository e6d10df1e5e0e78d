"""A boundary in this process, with its real element and store and clocks the test turns."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import ClassVar

from edgehsm.boundary.clock import Clocks
from edgehsm.boundary.element.software import SoftwareElement
from edgehsm.boundary.holdings import Place
from edgehsm.boundary.service import Boundary
from edgehsm.boundary.store import Store
from obis.v1.boundary_pb2 import BeginEnrolment, BoundaryReply, BoundaryRequest, ReadLog, StationStep, StepBatch
from obis.v1.custody_pb2 import CosignedRequest, CustodyEnrolStationRequest, CustodyStatusRequest
from obis.v1.delivery_pb2 import Delivery, DeliveryResult
from obis.v1.leaf_pb2 import LogLeaf
from obis.v1.provisioning_pb2 import DeviceStep, FirmwareStep, IssueStep, OutcomeStep, StepReply
from obis.v1.reason_pb2 import Reason
from tests.edgehsm.world import EDGE, EPOCH, FACTORY, Chip, World
from tests.obis.trust.keys import Key, p256
from tests.obis.trust.people import BEGIN

SECRET = b"0123456789abcdef" * 4
NOW = BEGIN + 86400
STATION = p256("station")


class RememberingElement(SoftwareElement):
    """The software element, but each key file is decrypted once a run: that takes 20 ms, for seven keys a start."""

    opened: ClassVar[dict[bytes, tuple]] = {}

    def _load(self, handle):
        path = self._path(handle)
        content = path.read_bytes() if path.exists() else b""
        if content not in self.opened:
            self.opened[content] = super()._load(handle)
        return self.opened[content]


class Room:
    """Asks as the front does, and keeps what a test needs next."""

    def __init__(self, folder: Path, world: World, now: int = NOW) -> None:
        self.folder, self.world = folder, world
        self.place = Place(FACTORY, EDGE, world.fingerprint)
        self.clocks = Clocks(now, 1000, "boot-1")
        self.grant = self.pai = None
        self.start()

    def start(self) -> None:
        self.store = Store(self.folder / "ledger.db")
        self.boundary = Boundary(
            self.place,
            RememberingElement(self.folder / "element", SECRET),
            self.store,
            self.folder / "cosigned.note",
            lambda: self.clocks,
        )

    def restart(self) -> None:
        """As after kill -9 between two requests."""
        self.store.close()
        self.start()

    def later(self, seconds: int) -> None:
        self.clocks = replace(self.clocks, wall=self.clocks.wall + seconds, boottime=self.clocks.boottime + seconds)

    # ---- asking

    def ask(self, **intent) -> BoundaryReply:
        reply = self.boundary.decide(BoundaryRequest(request_id=7, **intent))
        self.boundary.commit()
        return reply

    def deliver(self, **content) -> DeliveryResult:
        wrapper = {"number": 1, "edgehsm_id": EDGE, "epoch": EPOCH}
        return self.ask(deliver=Delivery(**(wrapper | content))).delivered

    def steps(self, *steps: DeviceStep, station: Key = STATION) -> list[StepReply]:
        asked = [StationStep(station_key_digest=digest_of(station), step=step) for step in steps]
        return list(self.ask(steps=StepBatch(steps=asked)).steps.replies)

    def step(self, step: DeviceStep, station: Key = STATION) -> StepReply:
        (reply,) = self.steps(step, station=station)
        return reply

    @property
    def status(self):
        return self.ask(status=CustodyStatusRequest()).status

    def page(self, from_index: int = 0):
        return self.ask(read_log=ReadLog(from_index=from_index, limit=500)).page

    def leaves(self, kind: str) -> list:
        """All entries of one kind, oldest first."""
        found, index = [], 0
        while page := self.page(index).leaves:
            found += [getattr(leaf, kind) for each in page if (leaf := LogLeaf.FromString(each)).HasField(kind)]
            index += len(page)
        return found

    def leaves_at(self, kind: str) -> list[int]:
        """Where they stand; for logs of up to 500 leaves."""
        found = [LogLeaf.FromString(each) for each in self.page().leaves]
        return [leaf.index for leaf in found if leaf.HasField(kind)]

    def cosigned(self, note: bytes) -> BoundaryReply:
        return self.ask(cosigned=CosignedRequest(checkpoint=note))

    def enrol_station(self, key: Key = STATION, csr: bytes | None = None, **ticket) -> BoundaryReply:
        signer = ticket.pop("signer", None)
        envelope = self.world.station_ticket(key, *([signer] if signer else []), **ticket)
        return self.ask(enrol_station=CustodyEnrolStationRequest(ticket=envelope, csr_der=csr or key.csr()))

    # ---- the story

    def enrol(self) -> None:
        request = self.ask(begin_enrolment=BeginEnrolment(ticket=self.world.ticket())).enrol_request
        reply = self.ask(finish_enrolment=self.world.approve(request))
        assert reply.finished.epoch == EPOCH, reply

    def prepare(self) -> None:
        """A station, a Grant, its PAI."""
        assert self.enrol_station().HasField("chain")
        self.grant = self.world.grant()
        result = self.deliver(grant=self.grant)
        assert result.accepted, result
        self.pai = self.world.certify_pai(result.pai_request)
        result = self.deliver(pai=self.pai)
        assert result.accepted, result

    def admit(self, **changed) -> bytes:
        """A batch; its auth_id."""
        delivery = self.world.authorization(self.grant, self.pai, **changed)
        result = self.deliver(authorization=delivery)
        assert result.accepted, result
        return delivery.package.auth_id


def digest_of(key: Key) -> bytes:
    from hashlib import sha256

    return sha256(key.spki).digest()


def issue(auth_id: bytes, chip: Chip, step_id: int = 1, csr: bytes | None = None) -> DeviceStep:
    step = IssueStep(csr_der=chip.key.csr() if csr is None else csr)
    return DeviceStep(step_id=step_id, auth_id=auth_id, device=chip.id, issue=step)


def firmware(auth_id: bytes, chip: Chip, digest: bytes = b"f" * 32) -> DeviceStep:
    return DeviceStep(step_id=2, auth_id=auth_id, device=chip.id, firmware=FirmwareStep(firmware_digest=digest))


def outcome(auth_id: bytes, chip: Chip, **said) -> DeviceStep:
    return DeviceStep(step_id=3, auth_id=auth_id, device=chip.id, outcome=OutcomeStep(**said))


def reason(reply) -> str:
    """The word of a refusal, or nothing."""
    refused = getattr(reply, "refused", reply)
    return Reason.Name(refused.reason).removeprefix("REASON_") if refused.reason else ""


@cache
def _ready(now: int) -> tuple[Path, World, object, object]:
    """An enrolled and prepared boundary's folder, made once: RSA keys take a second."""
    folder = Path(mkdtemp(prefix="obis-boundary-"))
    world = World(now)
    make_folder(folder)
    room = Room(folder, world, now)
    room.enrol()
    room.prepare()
    room.store.close()
    return folder, world, room.grant, room.pai


def make_folder(folder: Path) -> None:
    (folder / "element").mkdir(mode=0o700)
    Store.create(folder / "ledger.db")


def ready_room(folder: Path, now: int = NOW) -> Room:
    """A copy of it, started."""
    made, world, grant, pai = _ready(now)
    shutil.copytree(made, folder)
    room = Room(folder, world, now)
    room.grant, room.pai = grant, pai
    return room
