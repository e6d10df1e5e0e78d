"""Puts a station together from its configuration, and keeps it going until its commands end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from obis.mesh.channel import open_channel
from obis.refusal import Refused
from obis.v1.line_pb2_grpc import LineStub
from obis.v1.provisioning_pb2_grpc import ProvisioningStub
from station import events
from station.config import Config, Mesh
from station.enrol import credentials, site_root_spki
from station.events import Say
from station.journal import Journal
from station.label import Label
from station.line import Line
from station.sockets import Sockets
from station.store import Store
from station.stream import ProvisionStream
from station.work import Listener, Work
from station.workorder import Pinned


@asynccontextmanager
async def line(
    config: Config, passphrase: bytes, say: Say, print_label: Callable[[Label], None]
) -> AsyncIterator[Line]:
    """A running line: it watches work and holds its stream. Raises OSError where it is not enrolled."""
    own = credentials(config, passphrase)
    async with (
        open_channel(config.factory, config.factory_identity, own) as factory,
        open_channel(config.edgehsm, config.front_identity, own) as front,
    ):
        stub = ProvisioningStub(front)
        stream = ProvisionStream(stub.Provision, lambda up: say({"event": "link", "peer": "edgehsm", "up": up}))
        store, mesh = Store(config.data), Mesh.read(config.mesh)
        pinned = Pinned(mesh.fingerprint, config.factory_id, site_root_spki_der=site_root_spki(config))
        work = Work(LineStub(factory), store, pinned, _listener(say))
        sockets = Sockets(config.sockets, config.chip_patience_seconds)
        running = [asyncio.create_task(each) for each in (stream.run(), work.run())]
        try:
            yield Line(
                sockets=sockets,
                work=work,
                stream=stream,
                reopen=stub.ReopenDebug,
                records=LineStub(factory),
                journal=Journal(config.data / "journal"),
                print_label=print_label,
                patience_seconds=config.patience_seconds,
            )
        finally:
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            sockets.close()


def _listener(say: Say) -> Listener:
    def refused(auth_id: bytes, why: Refused) -> None:
        say(events.order_refused(auth_id, why))

    return Listener(
        ready=lambda order: say(events.order_ready(order)),
        refused=refused,
        ended=lambda auth_id: say({"event": "order_ended", "auth_id": auth_id.hex()}),
        link=lambda up: say({"event": "link", "peer": "factory", "up": up}),
    )


def opening(config: Config) -> events.Event:
    """The first event."""
    sockets = {each.name: each.soc for each in config.sockets}
    return {"event": "ready", "station": config.station_id, "factory": config.factory_id, "sockets": sockets}


def ending(line: Line) -> events.Event:
    """The last event."""
    tally, sent = line.tally, line.stream.counters
    counts, reasons = dict(tally.results), dict(tally.reasons)
    return {"event": "end", "counts": counts, "reasons": reasons, "messages": sent.messages, "steps": sent.steps}
