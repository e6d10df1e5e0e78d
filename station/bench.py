"""One unit on one socket: performs a session's actions on chip, stream, journal and label.

A chip that stops answering is given power again, once; its session goes on from what chip and journal know. What
EdgeHSM does not answer within the patience leaves the unit HELD.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from obis.matter.errors import MatterError
from obis.refusal import Refused, kind_of, reason_of
from obis.v1.provisioning_pb2 import DeviceStep, OutcomeStep, StepReply
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import DeviceId
from station import actions as do
from station.actions import Action
from station.journal import Journal
from station.label import Label
from station.order import Order
from station.session import Session
from station.silicon.adapter import SocAdapter
from station.steps import answer, asked, outcome, recorded
from station.stream import AGAIN, ProvisionStream
from station.unit import Chance

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Materials:
    """What lies ready for an order: the image, the key agent (or nothing)."""

    image: bytes
    agent: bytes = b""


@dataclass(frozen=True)
class Outcome:
    """A unit's end, and how long it took."""

    finish: do.Finish
    uid: bytes
    duration_ms: int
    trips: int
    same_dac: bool | None = None  # where an answer was lost and asked for again: was it the same?


@dataclass
class Bench:
    """Everything a unit needs around it."""

    order: Order
    materials: Materials
    stream: ProvisionStream
    journal: Journal
    print_label: Callable[[Label], None]
    chance: Chance = field(default_factory=Chance)
    patience_seconds: float = PATIENCE_SECONDS
    lose_first_answer: bool = False

    async def provision(self, chip: SocAdapter) -> Outcome:
        """Takes the unit from where it is to its end."""
        started = time.monotonic()
        run = Run(self, chip, Session(self.order, f"{date.today():%Y%m%d}", self.chance), started)  # noqa: DTZ011  # the label's local date
        finish = await run.to_end(power_cuts_left=1)
        uid = run.session.identity.uid if run.session.identity else b""
        return Outcome(finish, uid, run.duration_ms(), run.trips, run.same_dac)


class Run:
    """One session being performed."""

    def __init__(self, bench: Bench, chip: SocAdapter, session: Session, started: float) -> None:
        self.bench, self.chip, self.session, self.started = bench, chip, session, started
        self.trips = 0
        self._kept = session.entry
        self.same_dac: bool | None = None

    async def to_end(self, power_cuts_left: int) -> do.Finish:
        """Performs until Finish."""
        action = self.session.begin()
        while not isinstance(action, do.Finish):
            try:
                action = await self._perform(action)
            except Refused as refused:
                if refused.reason == Reason.REASON_CHIP_UNRESPONSIVE and power_cuts_left:
                    power_cuts_left -= 1
                    action = self.session.begin()
                    continue
                action = self._after(action, refused)
            except MatterError as error:
                action = self._after(action, Refused(reason_of(error.reason), error.what))
            await self._keep()
        return action

    def duration_ms(self) -> int:
        """Since the unit was begun."""
        return int((time.monotonic() - self.started) * 1000)

    def _after(self, action: Action, refused: Refused) -> Action:
        """What a refusal means, by what was being done."""
        if isinstance(action, do.Ask | do.Tell | do.Repeat):
            held = kind_of(refused.reason) in AGAIN
            return self.session.held(refused) if held else self.session.refused(refused)
        return self.session.failed(refused)

    async def _keep(self) -> None:
        """Journals what changed, before the next action; on the disk where the way on depends on it."""
        entry, journal = self.session.entry, self.bench.journal
        if entry.mark > do.Mark.SEEN and _lasting(entry) != _lasting(self._kept):
            self._kept = entry
            if entry.mark is do.Mark.LABELLED or (entry.outcome != b"" and entry.mark is not do.Mark.DONE):
                await asyncio.to_thread(journal.write, entry)
            else:
                journal.write(entry, durable=False)

    async def _perform(self, action: Action) -> Action:  # noqa: C901, PLR0911, PLR0912  # a table: one line an action
        session, chip, order = self.session, self.chip, self.bench.order
        match action:
            case do.Identify():
                identity = await chip.identify()
                return session.identified(identity, self.bench.journal.read(identity.uid))
            case do.LoadAgent():
                return session.agent_loaded(await chip.load_agent(self.bench.materials.agent))
            case do.MakeKey():
                return session.key_made(await chip.generate_dac())
            case do.ReadRequest():
                return session.key_made(await chip.read_request())
            case do.Install(data):
                return session.installed(await chip.install_factory_data(data))
            case do.Program():
                digest, signature = order.firmware.digest, order.firmware.signature
                return session.programmed(await chip.program(self.bench.materials.image, digest, signature))
            case do.ReadBack(blinding):
                return session.read_back(await chip.read_factory_data(blinding))
            case do.Print(label):
                self.bench.print_label(label)
                return session.printed()
            case do.Burn(roots):
                await chip.set_root_keys(roots)
                return session.burnt()
            case do.SecureBoot():
                await chip.enable_secure_boot(order.firmware.signature)
                return session.boot_secured()
            case do.Lock():
                await chip.lock_debug()
                return session.locked()
            case do.TakeReport(nonce):
                return session.reported(await chip.report(order.auth_id, nonce))
            case do.Ask():
                return await self._ask(action)
            case do.Tell():
                return await self._tell(outcome(action, self.duration_ms()))
            case do.Repeat(said):
                return await self._tell(OutcomeStep.FromString(said))
            case do.Finish():
                return action

    async def _ask(self, ask: do.Ask) -> Action:
        steps = asked(self.bench.order.auth_id, self._device(), ask)
        replies = await self._trip(steps)
        if self.bench.lose_first_answer and self.same_dac is None:  # as if it had not come, in a test or the demo
            lost, replies = replies, await self._trip(steps)
            self.same_dac = lost[0].issued.dac_der == replies[0].issued.dac_der != b""
        return self.session.answered(answer(replies))

    async def _tell(self, said: OutcomeStep) -> Action:
        self.session.telling(said.SerializeToString(deterministic=True))
        await self._keep()
        steps = [DeviceStep(auth_id=self.bench.order.auth_id, device=self._device(), outcome=said)]
        return self.session.told(recorded(await self._trip(steps)), passed=said.passed)

    async def _trip(self, steps: list[DeviceStep]) -> list[StepReply]:
        self.trips += 1
        return await self.bench.stream.ask(steps, self.bench.patience_seconds)

    def _device(self) -> DeviceId:
        identity = self.session.identity
        return DeviceId(soc=identity.soc, uid=identity.uid) if identity else DeviceId()


def _lasting(entry: do.Entry) -> tuple[object, ...]:
    """What the journal is for; the rest follows from chip and EdgeHSM."""
    return entry.mark, entry.labels, entry.outcome
