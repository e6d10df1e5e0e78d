"""A real EdgeHSM (boundary and front, two processes), a real station process, real chips; no cloud and no Factory Service.

What those two would have brought lies in the station's store, as after a first contact: so it shows at the same time that
the line needs neither.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from obis.mesh.identity import Identity, Role
from obis.mesh.transport import TransportKey, keep_chain
from obis.v1.custody_pb2 import CustodyEnrolStationRequest
from obis.v1.factory_link_pb2 import WorkOrder
from obis.v1.rule_pb2 import KeyPurpose, ProductKey
from tests.edgehsm.processes import BoundaryProcess
from tests.edgehsm.world import EDGE, FACTORY, World, _change, exact, signed
from tests.obis.trust import objects, people
from tests.station.orders import BOOT, IMAGE, Making
from tests.tree import ROOT

PASSPHRASE = "a passphrase of the station's transport key"
STATION = "st-1"


class StationWorld(World):
    """A world whose product a virtual chip can be."""

    soc = "generic-wifi"

    def manifest(self, **changed):
        manifest = Making(soc=self.soc, agent=b"").manifest()
        _change(manifest, changed)
        return manifest

    def rule(self, **changed):
        from obis.trust.payload import PRODUCT_RULE

        rule = objects.product_rule()
        rule.paa_cert_digest = sha256(self.paa_der).digest()
        rule.lifetime_quantity = 10_000_000
        rule.keys.append(ProductKey(purpose=KeyPurpose.KEY_PURPOSE_SECURE_BOOT, name="boot", spki_der=BOOT.spki))
        return signed(PRODUCT_RULE, rule, people.BOB, people.CAROL)

    def grant_message(self, rule, **changed):
        manifest = self.manifest()
        fit = {
            "firmware_digest": manifest.firmware_digest,
            "agent_digest": manifest.agent_digest,
            "cd_digest": sha256(manifest.certification_declaration).digest(),
            "soc": self.soc,
        }
        return super().grant_message(rule, **(fit | changed))

    def approve(self, request, *signers, **changed):
        answer = super().approve(request, *signers, **changed)
        self.approval = answer.approval
        return answer

    def certify_pai(self, request, product_code=objects.PRODUCT_CODE):
        self.pai_request = request
        return super().certify_pai(request, product_code)

    def work_order(self, delivery, pai, batch) -> WorkOrder:
        """What the cloud would send to the site's stations."""
        from obis.trust.payload import PAI_REQUEST, parse_closed

        return WorkOrder(
            auth_id=batch.package.auth_id,
            grant=delivery.grant,
            authorization=batch.authorization,
            version_manifest=delivery.version_manifest,
            pai_cert_der=pai.pai_cert_der,
            paa_cert_der=self.paa_der,
            product_name="Lamp",
            debug_spki_der=parse_closed(PAI_REQUEST, self.pai_request.payload).debug_spki_der,
            pai_request=self.pai_request,
            trust_roots=[self.root],
            enrolment_approval=self.approval,
            product_rule=delivery.rule,
        )


class Site:
    """One EdgeHSM and one station, ready to make devices."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = StationWorld(int(time.time()))
        self.boundary = BoundaryProcess(folder, self.world)
        made = self.boundary.run("init")
        assert made.wait(30) == 0, made.stderr.read()
        made.stdout.close()
        made.stderr.close()
        self.boundary.start()
        self.boundary.enrol()
        self.boundary.prepare()
        self.front_at = f"127.0.0.1:{free_port()}"
        self.processes: list[subprocess.Popen] = []

    def batch(self, **changed) -> WorkOrder:
        """A batch admitted by EdgeHSM."""
        delivery = self.world.authorization(self.boundary.grant, self.boundary.pai, **changed)
        result = self.boundary.deliver(authorization=delivery)
        assert result.accepted, result
        return self.world.work_order(self.boundary.grant, self.boundary.pai, delivery)

    def station(self, sockets: str, *orders: WorkOrder) -> StationProcess:
        """Enrolled, with its orders and firmware on the disk."""
        data = self.folder / "station"
        self._write_config(data, sockets)
        made = json.loads(self._station("keygen"))
        key = TransportKey.unseal(data / "identity" / "transport.key", PASSPHRASE.encode())
        assert sha256(key.public_der).hexdigest() == made["spki_digest"]
        chain = self.enrol(key.public_der, key.request(Identity(Role.STATION, STATION, FACTORY)), STATION)
        keep_chain(data / "identity" / "chain.pem", chain)
        (data / "identity" / "site_root.der").write_bytes(self.world.site_root.public_bytes(Encoding.DER))
        self._stock(data, orders)
        self.start_front()
        return StationProcess(self)

    def enrol(self, spki: bytes, csr: bytes, station_id: str) -> list[bytes]:
        """A site certificate for a station of anybody's make, and the site CA's."""
        ticket = self.world.station_ticket(
            Spki(spki), spki_digest=sha256(spki).digest(), station_id=station_id, ticket_id=sha256(spki).digest()[:16]
        )
        reply = self.boundary.ask(enrol_station=CustodyEnrolStationRequest(ticket=ticket, csr_der=csr))
        assert reply.HasField("chain"), reply
        return list(reply.chain.certificates_der)

    def command(self, verb: str) -> list[str]:
        return [sys.executable, "-m", "station", verb, "--config", str(self.folder / "station.toml")]

    def close(self) -> None:
        for each in self.processes:
            each.terminate()
            each.wait()
            for pipe in (each.stdin, each.stdout, each.stderr):
                if pipe:
                    pipe.close()
        self.boundary.kill()

    def leaves(self, kind: str) -> list:
        """What the log says; the front makes room for us, since a boundary speaks with one peer."""
        if self.front.poll() is None:
            self.front.terminate()
            self.front.wait()
            self.boundary.connect()
        return self.boundary.leaves(kind)

    def start_front(self) -> None:
        self.boundary.connection.close()
        (self.folder / "front.toml").write_text(
            f'mesh = "mesh.json"\nsocket = "{self.boundary.socket_path}"\nlisten = "{self.front_at}"\n'
            f'factory_id = "{FACTORY}"\nedgehsm_id = "{EDGE}"\n'
        )
        command = [sys.executable, "-m", "edgehsm", "serve", "--config", str(self.folder / "front.toml")]
        self.front = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.processes.append(self.front)
        host, _, port = self.front_at.partition(":")
        until_open(host, int(port))

    def _write_config(self, data: Path, sockets: str) -> None:
        mesh = {
            "fingerprint": self.world.fingerprint.hex(),
            "cloud": "127.0.0.1:1",
            "enrolment": "127.0.0.1:1",
            "transport_ca_pem": self.world.transport_ca.public_bytes(Encoding.PEM).decode(),
        }
        (self.folder / "mesh.json").write_text(json.dumps(mesh))
        (self.folder / "station.toml").write_text(
            f'factory_id = "{FACTORY}"\nstation_id = "{STATION}"\nline_id = "line-1"\ndata = "{data}"\n'
            f'mesh = "mesh.json"\nfactory = "127.0.0.1:1"\nfactory_enrolment = "127.0.0.1:1"\n'
            f'edgehsm = "{self.front_at}"\nedgehsm_id = "{EDGE}"\n{sockets}'
        )

    def _station(self, verb: str) -> str:
        reading = secret()
        try:
            done = subprocess.run(
                [*self.command(verb), "--secrets-fd", str(reading)],
                cwd=ROOT,
                pass_fds=(reading,),
                capture_output=True,
                check=True,
            )
        finally:
            os.close(reading)
        return done.stdout.decode()

    def _stock(self, data: Path, orders) -> None:
        for name in ("orders", "artifacts"):
            (data / name).mkdir(parents=True, exist_ok=True)
        (data / "artifacts" / sha256(IMAGE).hexdigest()).write_bytes(IMAGE)
        for order in orders:
            (data / "orders" / f"{order.auth_id.hex()}.bin").write_bytes(exact(order))


@dataclass(frozen=True)
class Spki:
    """What a ticket needs of a key."""

    spki: bytes


class StationProcess:
    """`python -m station run --json`, with its events in a list."""

    def __init__(self, site: Site) -> None:
        reading = secret()
        self.process = subprocess.Popen(
            [*site.command("run"), "--json", "--secrets-fd", str(reading)],
            cwd=ROOT,
            pass_fds=(reading,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(reading)
        site.processes.append(self.process)
        self.events, self._queue = [], queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self._queue.put(json.loads(line))

    def tell(self, **command) -> None:
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def wait(self, *kinds: str, seconds: float = 30) -> dict:
        """The next event of one of these kinds."""
        deadline = time.monotonic() + seconds
        while True:
            event = self._queue.get(timeout=max(0.1, deadline - time.monotonic()))
            self.events.append(event)
            if event["event"] in kinds:
                return event

    def do(self, seconds: float = 60, **command) -> dict:
        """Its `done`, or `error`."""
        self.tell(**command)
        return self.wait("done", "error", seconds=seconds)

    def of(self, kind: str) -> list[dict]:
        return [event for event in self.events if event["event"] == kind]

    def quit(self) -> dict:
        self.tell(do="quit")
        end = self.wait("end")
        assert self.process.wait(20) == 0
        return end


def secret() -> int:
    reading, writing = os.pipe()
    os.write(writing, json.dumps({"transport": PASSPHRASE}).encode())
    os.close(writing)
    return reading


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until_open(host: str, port: int, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens at {host}:{port}")
