"""One unit on its way through a station: a state machine that does nothing itself.

    identify -> agent -> key -> ask {issue, firmware} -> factory data -> firmware -> label -> fuses -> lock -> report
    -> tell {outcome} -> finish

It is told what happened and answers with the next Action; `station.bench` performs actions on a chip and a stream.

 1. Two questions to EdgeHSM a device: Ask, Tell.
 2. Nothing is written to a chip before its DAC has passed the lint, for its own key, under this order's PAI.
 3. The passcode is drawn after that, and leaves only as a Label, before the lock: a locked unit always has its label.
 4. One-way steps come last, and only after label and unit were read back and compared.
 5. PASS needs the chip's signed word that it is what was ordered.
 6. A unit that got a DAC is always told of, also when it fails.
 7. From its journal entry and what the chip says of itself, a session goes on where another one stopped; the same key
    asks again and gets the same DAC.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

from obis.matter.csr import PublicKey
from obis.matter.factory_data import FactoryData
from obis.refusal import Refused
from obis.v1.device_objects_pb2 import DeviceReport, Lifecycle
from obis.v1.envelope_pb2 import Envelope
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import DeviceId
from station import actions as do
from station.actions import Action, Entry, Mark, Result
from station.attest import digest, requested_key, require_dac, require_report, spki_of_certificate
from station.label import require_label_of_unit
from station.order import Order
from station.silicon.adapter import AgentHello, Identity, RequestedKey, RootKeys
from station.unit import Chance, Drawn, draw

T = TypeVar("T")
_WITH_KEY = (Lifecycle.LIFECYCLE_KEYED, Lifecycle.LIFECYCLE_PROGRAMMED)


@dataclass
class Session:
    """A session for one unit under one order. `today` is YYYYMMDD; `chance` draws passcodes."""

    order: Order
    today: str
    chance: Chance = field(default_factory=Chance)
    identity: Identity | None = None
    entry: Entry = field(default_factory=lambda: Entry(b"", b""))
    key: PublicKey | None = None
    serial: bytes = b""
    repeated: bool = False
    drawn: Drawn | None = field(default=None, repr=False)
    why: Refused | None = None

    def begin(self) -> Action:
        """The first action."""
        return do.Identify()

    def identified(self, identity: Identity, entry: Entry | None) -> Action:
        """The chip said who it is; `entry` is what the journal knows of this uid."""
        self.identity = identity
        self.entry = entry or Entry(identity.uid, self.order.auth_id)
        if identity.soc != self.order.soc:
            return self.failed(_refused(Reason.REASON_CHIP_REFUSED, f"the order is for {self.order.soc}"))
        if self.entry.auth_id != self.order.auth_id:
            self.entry = Entry(identity.uid, self.order.auth_id)
        if self.entry.mark is Mark.DONE and self.entry.result == Result.PASS:
            refused = _refused(Reason.REASON_STATE_CONFLICT, f"the unit ended before: {self.entry.result}")
            return do.Finish(Result.REFUSED, refused, issue_index=self.entry.issue_index)
        if self.entry.mark is Mark.DONE:  # it failed, and is tried again
            mark = Mark.LABELLED if self.entry.labels else Mark.ISSUED
            self.entry = replace(self.entry, mark=mark, outcome=b"", result="")
        if self.entry.outcome:
            return do.Repeat(self.entry.outcome)
        if identity.lifecycle == Lifecycle.LIFECYCLE_LOCKED and self.entry.mark >= Mark.LABELLED:
            return do.TakeReport(self.entry.boundary_nonce)
        if identity.lifecycle not in (*_WITH_KEY, Lifecycle.LIFECYCLE_BLANK):
            return self.failed(_refused(Reason.REASON_CHIP_REFUSED, "the chip is locked, and not by this station"))
        return do.LoadAgent(self.order.agent_digest) if self.order.agent_digest else self._key()

    def agent_loaded(self, hello: AgentHello) -> Action:
        """The agent runs."""
        if hello.agent_digest != self.order.agent_digest:
            return self.failed(_refused(Reason.REASON_READBACK_MISMATCH, "another key agent runs in the chip"))
        return self._key()

    def _key(self) -> Action:
        return do.ReadRequest() if self._identity.lifecycle in _WITH_KEY else do.MakeKey()

    def key_made(self, request: RequestedKey) -> Action:
        """The chip's request is here."""
        try:
            self.key = requested_key(request.csr_der)
        except Refused as refused:
            return self.failed(refused)
        return do.Ask(request, self.order.firmware.digest)

    def answered(self, answer: do.Answer) -> Action:
        """EdgeHSM answered both steps."""
        if isinstance(answer.issued, Refused):
            return do.Finish(Result.REFUSED, answer.issued)
        issued, key = answer.issued, self._held(self.key)
        self.repeated = issued.repeated
        self.entry = replace(
            self.entry,
            mark=max(self.entry.mark, Mark.ISSUED),
            issue_index=issued.log_index,
            boundary_nonce=issued.boundary_nonce,
            dac_der=issued.dac_der,
        )
        if isinstance(answer.firmware, Refused):
            return self.failed(answer.firmware)
        try:
            self.serial = require_dac(self.order, issued.dac_der, key)
        except Refused as refused:
            return self.failed(refused)
        self.drawn = draw(self.order, self._identity.uid, issued.dac_der, self.today, self.chance)
        return do.Install(self.drawn.data)

    def installed(self, data_digest: bytes) -> Action:
        """The chip holds factory data; it says so with its digest."""
        if data_digest != self._held(self.drawn).data.digest():
            return self.failed(_refused(Reason.REASON_READBACK_MISMATCH, "the chip understood other factory data"))
        self.entry = replace(self.entry, factory_data_digest=data_digest)
        return do.Program()

    def programmed(self, image_digest: bytes) -> Action:
        """The chip holds firmware; it says so with its digest."""
        if image_digest != self.order.firmware.digest:
            return self.failed(_refused(Reason.REASON_READBACK_MISMATCH, "the chip holds another image"))
        return do.ReadBack(self._held(self.drawn).data.blinding)

    def read_back(self, data: FactoryData) -> Action:
        """Factory data as the unit holds them, against the label as it is rendered."""
        drawn = self._held(self.drawn)
        try:
            require_label_of_unit(drawn.label.render(), data)
        except Refused as refused:
            return self.failed(refused)
        return do.Print(drawn.label)

    def printed(self) -> Action:
        """The label is out of our hands; from here on, one way."""
        self.drawn = None
        self.entry = replace(self.entry, mark=Mark.LABELLED, labels=self.entry.labels + 1)
        security = self.order.chip_security
        return do.Burn(RootKeys(self.order.secure_boot_spki_der, self.order.debug_spki_der, security.anti_rollback))

    def burnt(self) -> Action:
        """The roots are in."""
        return do.SecureBoot() if self.order.chip_security.secure_boot else do.Lock()

    def boot_secured(self) -> Action:
        """Secure boot is on."""
        return do.Lock()

    def locked(self) -> Action:
        """The debug port is shut."""
        return do.TakeReport(self.entry.boundary_nonce)

    def reported(self, report: Envelope) -> Action:
        """The chip's signed word."""
        spki = self.key.spki_der if self.key else spki_of_certificate(self.entry.dac_der)
        try:
            require_report(report, self._expected(), spki)
        except Refused as refused:
            return self.failed(refused)
        return do.Tell(Reason.REASON_UNSPECIFIED, report)

    def telling(self, outcome: bytes) -> None:
        """The exact outcome step that is about to be sent; it is journalled first."""
        self.entry = replace(self.entry, outcome=outcome)

    def told(self, told: do.Told, *, passed: bool) -> Action:
        """EdgeHSM recorded the outcome."""
        return self._end(Result.PASS if passed else Result.FAIL, self.why, told)

    def failed(self, refused: Refused) -> Action:
        """Something went wrong: rule 6."""
        self.why = refused
        if self.entry.mark >= Mark.ISSUED:
            return do.Tell(refused.reason, None)
        return self._end(Result.FAIL, refused, None)

    def refused(self, refused: Refused) -> Action:
        """EdgeHSM would not record the outcome."""
        return self._end(Result.REFUSED, refused, None)

    def held(self, refused: Refused) -> Action:
        """No answer for too long: the unit stays, nothing is decided."""
        return self._end(Result.HELD, refused, None)

    def _end(self, result: Result, refusal: Refused | None, told: do.Told | None) -> do.Finish:
        done = result in (Result.PASS, Result.FAIL) and self.entry.mark >= Mark.ISSUED
        self.entry = replace(self.entry, mark=Mark.DONE if done else self.entry.mark, result=result.value)
        finish = do.Finish(
            result,
            refusal,
            issue_index=self.entry.issue_index,
            repeated=self.repeated,
            dac_digest=digest(self.entry.dac_der) if self.entry.dac_der else b"",
            serial=self.serial,
        )
        return replace(finish, outcome_index=told.log_index, evidence=told.evidence) if told else finish

    def _expected(self) -> DeviceReport:
        return DeviceReport(
            auth_id=self.order.auth_id,
            device=DeviceId(soc=self._identity.soc, uid=self._identity.uid),
            boundary_nonce=self.entry.boundary_nonce,
            agent_digest=self.order.agent_digest,
            firmware_digest=self.order.firmware.digest,
            factory_data_digest=self.entry.factory_data_digest,
        )

    @property
    def _identity(self) -> Identity:
        return self._held(self.identity)

    @staticmethod
    def _held(value: T | None) -> T:
        """What an earlier step left; a driver that calls out of order is a fault of this program."""
        if value is None:
            raise Refused(Reason.REASON_INTERNAL, "a session was told things out of order", "session")
        return value


def _refused(reason: Reason.ValueType, what: str) -> Refused:
    return Refused(reason, what, "unit")
