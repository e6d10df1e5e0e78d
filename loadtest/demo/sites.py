"""Five factories come in: Factory Service, EdgeHSM (boundary and front), chips and station, each by its own ticket.

No identity is handed out by this runner. It proposes tickets, people sign them; an EdgeHSM makes its keys inside and
shows their fingerprint, which is what people approve; a supervisor's key lets the station in.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtest.demo.failure import CALL_SECONDS, DemoFailed
from loadtest.demo.keys import Keys
from loadtest.demo.line import Floor, listener, pool_names, solo_name
from loadtest.demo.people import Crew
from loadtest.demo.plan import Factory
from loadtest.demo.processes import PATIENCE_SECONDS, Command, python
from loadtest.demo.stage import Stage, write_toml
from loadtest.demo.station_client import StationClient
from obis.cli.approval import find
from obis.cli.files import write_envelope
from obis.cli.profile import Mesh
from obis.cli.station_ticket import make_station_ticket
from obis.v1.enrolment_objects_pb2 import TicketSubject
from obis.v1.envelope_pb2 import Envelope
from obis.v1.factories_pb2 import ListFactoriesRequest, ProposeApprovalRequest, ProposeTicketRequest

TICKET_SECONDS: Final = 3600
EPOCH: Final = 1
LONGEST_SOCKET: Final = 100  # bytes; a unix socket's path has at most 107
_FINGERPRINT = re.compile(r"key fingerprint ([0-9a-f]{64})")


@dataclass(frozen=True)
class Tickets:
    """Proposals of one factory's tickets."""

    service: bytes
    edgehsm: bytes


async def propose_tickets(crew: Crew, factory: Factory) -> Tickets:
    """For the Factory Service and for the EdgeHSM."""
    service = await propose_ticket(crew, factory)
    asked = ProposeTicketRequest(
        subject=TicketSubject.TICKET_SUBJECT_EDGEHSM,
        factory_id=factory.id,
        edgehsm_id=factory.edgehsm,
        valid_seconds=TICKET_SECONDS,
    )
    answer = await crew.oem.factories.ProposeTicket(asked, timeout=CALL_SECONDS)
    return Tickets(service, answer.proposal.proposal_id)


async def propose_ticket(crew: Crew, factory: Factory) -> bytes:
    """For a Factory Service."""
    asked = ProposeTicketRequest(
        subject=TicketSubject.TICKET_SUBJECT_FACTORY, factory_id=factory.id, valid_seconds=TICKET_SECONDS
    )
    return (await crew.oem.factories.ProposeTicket(asked, timeout=CALL_SECONDS)).proposal.proposal_id


async def signed(crew: Crew, proposal_id: bytes) -> Envelope:
    """What the quorum made of a proposal."""
    return (await find(crew.oem, proposal_id)).envelope


async def show_keys(stage: Stage, crew: Crew, mesh_file: Path, factory: Factory, tickets: Tickets) -> None:
    """Bring up Factory Service and boundary, and propose the approval of the keys the EdgeHSM shows."""
    await asyncio.gather(
        _start_service(stage, mesh_file, factory, await signed(crew, tickets.service)),
        _begin_edgehsm(stage, factory, await signed(crew, tickets.edgehsm)),
    )
    asked = ProposeApprovalRequest(
        edgehsm_id=factory.edgehsm,
        epoch=EPOCH,
        key_fingerprint=await _shown_fingerprint(stage, factory),
        outage_budget_seconds=stage.plan.terms.outage_days * 86400,
    )
    await _until_known(crew, factory)
    await crew.oem.factories.ProposeApproval(asked, timeout=CALL_SECONDS)


async def _until_known(crew: Crew, factory: Factory) -> None:
    """The appliance shows its fingerprint first; its request reaches the cloud a moment later."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        answer = await crew.oem.factories.ListFactories(ListFactoriesRequest(), timeout=CALL_SECONDS)
        if any(hsm.edgehsm_id == factory.edgehsm for site in answer.factories for hsm in site.edgehsms):
            return
        await asyncio.sleep(0.2)
    raise DemoFailed(f"the request of {factory.edgehsm} did not reach the cloud", f"logs/{factory.id}-front-enrol.log")


async def prepare_line(stage: Stage, factory: Factory) -> None:
    """What needs nobody's leave: chips, and the station's key. Begun first of all, while others wait for people."""
    await asyncio.gather(_start_chips(stage, factory), _station_key(stage, factory))


async def open_site(stage: Stage, keys: Keys, floor: Floor) -> None:
    """After people approved: the front serves, the station is let in and runs."""
    factory = floor.factory
    await _start_front(stage, factory)
    config = stage.site(factory.id) / "station.toml"
    ticket = stage.site(factory.id) / "station.ticket"
    digest = json.loads((stage.site(factory.id) / "station-key.json").read_text())["spki_digest"]
    made = make_station_ticket(
        keys.sites[factory.id],
        factory_id=factory.id,
        station_id=station_id(factory),
        line_id="line-1",
        spki_digest=bytes.fromhex(digest),
        now=int(time.time()),
    )
    write_envelope(ticket, made)
    await _enrol_station(stage, factory, config, ticket)
    arguments = ("station", "run", "--json", "--config", str(config))
    name = f"{factory.id}-station"
    child = stage.processes.start(python(name, *arguments, secrets=_secret(stage, name, "transport")), talks=True)
    floor.station = StationClient(name, child.process, listener(stage, floor))
    await floor.station.ready


def station_id(factory: Factory) -> str:
    """The one station of a site."""
    return f"{factory.id}-s1"


async def _start_service(stage: Stage, mesh_file: Path, factory: Factory, ticket: Envelope) -> None:
    folder = stage.site(factory.id)
    write_envelope(folder / "service.ticket", ticket)
    config = write_toml(
        folder / "factory.toml",
        {
            "data": "service",
            "mesh": str(mesh_file),
            "factory_id": factory.id,
            "line": stage.ports[f"{factory.id}-line"],
            "enrolment": stage.ports[f"{factory.id}-enrolment"],
            "longest_backoff_seconds": 2,
            "edgehsm": [{"id": factory.edgehsm, "address": stage.ports[f"{factory.id}-front"]}],
        },
    )
    name, told = f"{factory.id}-service", ("--config", str(config))
    secret = _secret(stage, name, "factory")
    enrol = ("factory", "enrol", *told, "--ticket", str(folder / "service.ticket"))
    await stage.processes.run(python(f"{name}-enrol", *enrol, secrets=secret))
    stage.processes.start(python(name, "factory", "serve", *told, secrets=secret))


async def _begin_edgehsm(stage: Stage, factory: Factory, ticket: Envelope) -> None:
    folder = stage.site(factory.id)
    write_envelope(folder / "edgehsm.ticket", ticket)
    socket = socket_folder(stage) / f"{factory.id}.sock"
    boundary = write_toml(
        folder / "boundary.toml",
        {
            "data": str(folder / "boundary"),
            "socket": str(socket),
            "fingerprint": Mesh.read(stage.mesh_path).fingerprint.hex(),
            "factory_id": factory.id,
            "edgehsm_id": factory.edgehsm,
            "front_uid": os.getuid(),
        },
    )
    write_toml(
        folder / "front.toml",
        {
            "mesh": str(stage.mesh_path),
            "socket": str(socket),
            "listen": stage.ports[f"{factory.id}-front"],
            "factory_id": factory.id,
            "edgehsm_id": factory.edgehsm,
        },
    )
    name = boundary_name(factory)
    secret = _secret(stage, name, "element")
    arguments = ("edgehsm.boundary", "init", "--config", str(boundary))
    await stage.processes.run(python(f"{name}-init", *arguments, secrets=secret))
    stage.processes.start(python(name, "edgehsm.boundary", "serve", "--config", str(boundary), secrets=secret))
    stage.processes.start(_front(factory, folder, "enrol", "--ticket", str(folder / "edgehsm.ticket")))


def boundary_name(factory: Factory) -> str:
    """Of the process."""
    return f"{factory.id}-boundary"


async def _shown_fingerprint(stage: Stage, factory: Factory) -> bytes:
    """What the appliance shows: people read it there, not from the cloud."""
    log = stage.folder / "logs" / f"{factory.id}-front-enrol.log"
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if log.exists() and (found := _FINGERPRINT.search(log.read_text())):
            return bytes.fromhex(found[1])
        stage.processes.require_alive()
        await asyncio.sleep(0.1)
    raise DemoFailed(f"{factory.edgehsm} shows no fingerprint", str(log))


async def _start_front(stage: Stage, factory: Factory) -> None:
    await stage.processes.ended(f"{factory.id}-front-enrol")
    stage.processes.start(_front(factory, stage.site(factory.id), "serve"))
    await stage.processes.listening(f"{factory.id}-front-serve", stage.ports[f"{factory.id}-front"])
    await stage.processes.listening(f"{factory.id}-service", stage.ports[f"{factory.id}-enrolment"])


def _front(factory: Factory, folder: Path, verb: str, *more: str) -> Command:
    return python(f"{factory.id}-front-{verb}", "edgehsm", verb, "--config", str(folder / "front.toml"), *more)


async def _start_chips(stage: Stage, factory: Factory) -> None:
    names: list[str] = []
    for soc in stage.plan.socs_of(factory.id):
        slots = len(pool_names(stage, factory, soc))
        names.append(_start_pool(stage, f"{factory.id}-{soc}", soc, "--pool", "--faults", "--slots", str(slots)))
    products = stage.plan.products_of(factory.id)
    names += [_start_pool(stage, f"{factory.id}-{solo_name(each)}", each.soc) for each in products]
    for name in names:
        await stage.processes.listening(name, f"unix:{socket_folder(stage) / name}")


def _start_pool(stage: Stage, name: str, soc: str, *more: str) -> str:
    listen = f"unix:{socket_folder(stage) / name}"
    stage.processes.start(python(name, "station.virtual", "--listen", listen, "--soc", soc, *more))
    return name


async def _station_key(stage: Stage, factory: Factory) -> None:
    config = write_toml(stage.site(factory.id) / "station.toml", _station_config(stage, factory))
    name = f"{factory.id}-station"
    secret = _secret(stage, name, "transport")
    said = await stage.processes.run(
        python(f"{name}-keygen", "station", "keygen", "--config", str(config), secrets=secret)
    )
    (stage.site(factory.id) / "station-key.json").write_text(said)


def _station_config(stage: Stage, factory: Factory) -> dict[str, object]:
    run = socket_folder(stage)
    sockets: list[dict[str, object]] = [
        {"name": name, "soc": soc, "address": f"unix:{run / f'{factory.id}-{soc}'}", "slot": slot, "pool": True}
        for soc in stage.plan.socs_of(factory.id)
        for slot, name in enumerate(pool_names(stage, factory, soc))
    ]
    for product in stage.plan.products_of(factory.id):
        name = solo_name(product)
        sockets.append({"name": name, "soc": product.soc, "address": f"unix:{run / f'{factory.id}-{name}'}"})
    return {
        "factory_id": factory.id,
        "station_id": station_id(factory),
        "line_id": "line-1",
        "data": "station",
        "mesh": str(stage.mesh_path),
        "factory": stage.ports[f"{factory.id}-line"],
        "factory_enrolment": stage.ports[f"{factory.id}-enrolment"],
        "edgehsm": stage.ports[f"{factory.id}-front"],
        "edgehsm_id": factory.edgehsm,
        "socket": sockets,
    }


async def _enrol_station(stage: Stage, factory: Factory, config: Path, ticket: Path) -> None:
    """The Factory Service learns of its EdgeHSM's site CA by itself, then connects; until then it passes nothing on."""
    await stage.processes.said(f"{factory.id}-service", "site CA known")
    name = f"{factory.id}-station"
    arguments = ("station", "enrol", "--config", str(config), "--ticket", str(ticket))
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        command = python(f"{name}-enrol", *arguments, secrets=_secret(stage, name, "transport"))
        status, _ = await stage.processes.run_any(command)
        if status == 0:
            return
        if time.monotonic() > until:
            raise DemoFailed(f"{name} was not let in", f"logs/{name}-enrol.log")
        await asyncio.sleep(0.5)


def socket_folder(stage: Stage) -> Path:
    """Where unix sockets lie: build/demo/run, or a short folder of its own where that path is too long."""
    folder = stage.folder / "run"
    if len(str(folder)) > LONGEST_SOCKET - 45:
        folder = Path(tempfile.gettempdir()) / f"obis-demo-{os.getpid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _secret(stage: Stage, process: str, name: str) -> dict[str, str]:
    return {name: stage.passphrase(process)}
