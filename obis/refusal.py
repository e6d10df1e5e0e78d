"""The one refusal of every room: a Reason, what was wrong, where, and what to do next.

Free of gRPC, so that decisions can raise it; `obis.mesh.status` carries it over the wire both ways. The kind follows
from the reason (the sections of `proto/obis/v1/reason.proto`), so the two can never disagree. Text never quotes secret
or raw input bytes: it may be logged and shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from obis.v1.reason_pb2 import Reason


class Kind(Enum):
    """What a caller does about a refusal. `obis.mesh.status` gives each kind its gRPC status code."""

    MALFORMED = "fix the program that sent it"
    REFUSED = "show it to a person; the same request will be refused again"
    UNIDENTIFIED = "enrol first, or renew the certificate"
    NOT_FOUND = "check the id, and who is asking"
    NOT_YET = "wait for what is missing, then ask again"
    ALREADY_EXISTS = "read what is there before asking again"
    UNIT_FAILED = "take the unit off the bench"
    EXHAUSTED = "slow down or make room, keep the device, then ask again"
    UNREACHABLE = "ask again with backoff, with the same ids"
    TIMED_OUT = "ask again with backoff, with the same ids; it may have been done"
    BROKEN_CHAIN = "stop and raise an incident"
    INTERNAL = "look into the log of the service that answered"


_SECTIONS: Final = (
    (range(1, 20), Kind.MALFORMED),
    (range(20, 90), Kind.REFUSED),
    (range(90, 91), Kind.UNIDENTIFIED),
    (range(91, 92), Kind.REFUSED),
    (range(92, 93), Kind.NOT_FOUND),
    (range(100, 104), Kind.NOT_YET),
    (range(104, 105), Kind.ALREADY_EXISTS),
    (range(105, 107), Kind.NOT_YET),
    (range(120, 122), Kind.EXHAUSTED),
    (range(122, 124), Kind.UNREACHABLE),
    (range(124, 125), Kind.BROKEN_CHAIN),
    (range(125, 126), Kind.INTERNAL),
    (range(126, 127), Kind.TIMED_OUT),
    (range(140, 160), Kind.UNIT_FAILED),
)


@dataclass(frozen=True)
class Violation:
    """One field that breaks its documented rule."""

    field: str
    rule: str


def kind_of(reason: Reason.ValueType) -> Kind:
    """The kind a reason belongs to. Raises KeyError for REASON_UNSPECIFIED and for numbers outside every section."""
    for numbers, kind in _SECTIONS:
        if reason in numbers:
            return kind
    raise KeyError(reason)


def word(reason: Reason.ValueType) -> str:
    """The reason as people, logs and metrics write it: WINDOW_CLOSED."""
    return Reason.Name(reason).removeprefix("REASON_")


def reason_of(text: str) -> Reason.ValueType:
    """The reason for its word. Raises ValueError for a word that is none."""
    return Reason.Value(f"REASON_{text}")


class Refused(Exception):
    """No, and why.

    `what` is a sentence about what was wrong, `where` names the rule, field or object, `next_step` says what to do;
    where none is given the kind's advice stands.
    """

    def __init__(
        self,
        reason: Reason.ValueType,
        what: str,
        where: str = "",
        next_step: str = "",
        violations: tuple[Violation, ...] = (),
    ) -> None:
        super().__init__(f"{word(reason)}: {what}")
        self.reason = reason
        self.kind = kind_of(reason)
        self.what = what
        self.where = where
        self.next_step = next_step or self.kind.value
        self.violations = violations

    @property
    def word(self) -> str:
        """The reason as it stands in replies, leaves and metric labels: QUANTITY_SPENT."""
        return word(self.reason)
