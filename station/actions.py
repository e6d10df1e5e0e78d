"""What a session asks its surroundings to do, what they may answer, and how a unit ends. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from obis.matter.factory_data import FactoryData
from obis.refusal import Refused
from obis.v1.envelope_pb2 import Envelope
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import EvidenceLevel
from station.label import Label
from station.silicon.adapter import RequestedKey, RootKeys


@dataclass(frozen=True)
class Identify:
    """Ask the chip who it is."""


@dataclass(frozen=True)
class LoadAgent:
    """Load the key agent with this SHA-256 (32 bytes)."""

    digest: bytes


@dataclass(frozen=True)
class MakeKey:
    """Have the chip make its key."""


@dataclass(frozen=True)
class ReadRequest:
    """The chip has a key: read its request again."""


@dataclass(frozen=True)
class Ask:
    """Issue and firmware steps to EdgeHSM, in one message."""

    key: RequestedKey
    firmware_digest: bytes


@dataclass(frozen=True)
class Install:
    """Write factory data."""

    data: FactoryData = field(repr=False)


@dataclass(frozen=True)
class Program:
    """Write the granted firmware."""


@dataclass(frozen=True)
class ReadBack:
    """Read the factory data the unit holds now."""

    blinding: bytes = field(repr=False)


@dataclass(frozen=True)
class Print:
    """Hand the label over: it will be on no disk and in no log of ours."""

    label: Label = field(repr=False)


@dataclass(frozen=True)
class Burn:
    """Burn the root keys."""

    roots: RootKeys


@dataclass(frozen=True)
class SecureBoot:
    """Switch secure boot on."""


@dataclass(frozen=True)
class Lock:
    """Lock the debug port."""


@dataclass(frozen=True)
class TakeReport:
    """Have the chip sign its DeviceReport for this nonce (16 bytes)."""

    boundary_nonce: bytes


@dataclass(frozen=True)
class Tell:
    """Outcome step to EdgeHSM."""

    reason: Reason.ValueType
    report: Envelope | None

    @property
    def passed(self) -> bool:
        """A unit without a reason passed."""
        return self.reason == Reason.REASON_UNSPECIFIED


@dataclass(frozen=True)
class Repeat:
    """The outcome step that may have been lost, with the same bytes: EdgeHSM records a unit's end once."""

    outcome: bytes


class Result(StrEnum):
    """How a unit ends. HELD: no answer yet; the unit stays, and its journal goes on from there."""

    PASS = "PASS"  # noqa: S105  # a verdict, not a password
    FAIL = "FAIL"
    REFUSED = "REFUSED"
    HELD = "HELD"


@dataclass(frozen=True)
class Issued:
    """EdgeHSM's answer to an issue step. `repeated`: it was issued before and this is the stored answer."""

    dac_der: bytes
    boundary_nonce: bytes
    log_index: int
    repeated: bool


@dataclass(frozen=True)
class Answer:
    """Answers to Ask: each what was asked for, or the gate's no. `firmware` is the index of its leaf."""

    issued: Issued | Refused
    firmware: int | Refused


@dataclass(frozen=True)
class Told:
    """EdgeHSM recorded the outcome."""

    log_index: int
    evidence: EvidenceLevel.ValueType


@dataclass(frozen=True)
class Finish:
    """The end: result, and why it is not PASS. Indexes are of log leaves, -1 where there is none."""

    result: Result
    refusal: Refused | None = None
    issue_index: int = -1
    outcome_index: int = -1
    evidence: EvidenceLevel.ValueType = EvidenceLevel.EVIDENCE_LEVEL_UNSPECIFIED
    repeated: bool = False
    dac_digest: bytes = b""
    serial: bytes = b""


Action = (
    Identify
    | LoadAgent
    | MakeKey
    | ReadRequest
    | Ask
    | Install
    | Program
    | ReadBack
    | Print
    | Burn
    | SecureBoot
    | Lock
    | TakeReport
    | Tell
    | Repeat
    | Finish
)


class Mark(IntEnum):
    """How far a unit came, for the journal; each is true once it is written."""

    SEEN = 0
    ISSUED = 1
    LABELLED = 2
    DONE = 3


@dataclass(frozen=True)
class Entry:
    """What the journal keeps of one unit. Nothing in it is secret: every field stands in the log as well.

    `outcome` holds the exact OutcomeStep bytes from the moment they are sent.
    """

    uid: bytes
    auth_id: bytes
    mark: Mark = Mark.SEEN
    issue_index: int = -1
    boundary_nonce: bytes = b""
    dac_der: bytes = b""
    factory_data_digest: bytes = b""
    labels: int = 0
    outcome: bytes = b""
    result: str = ""
