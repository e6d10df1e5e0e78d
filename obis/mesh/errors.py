"""What went wrong, in one vocabulary for every room; no gRPC here, so decisions may raise these too.

Each kind below says what the caller does about it and has one gRPC status code. A reason belongs to exactly one kind,
so the word alone is enough to raise the same error again on the other side (obis/mesh/status.py carries it there).

| kind | code | the caller |
|---|---|---|
| Malformed | INVALID_ARGUMENT | fixes its program |
| Unidentified | UNAUTHENTICATED | enrols, or renews its certificate |
| Refused | PERMISSION_DENIED | tells a person; does not retry |
| NotFound | NOT_FOUND | asks for something else |
| AlreadyExists | ALREADY_EXISTS | reads what is there |
| NotReady | FAILED_PRECONDITION | waits for what is missing |
| UnitFailed | ABORTED | takes the unit off the bench |
| Exhausted | RESOURCE_EXHAUSTED | stops, and asks again later |
| Unreachable | UNAVAILABLE | retries with backoff, same request id |
| TimedOut | DEADLINE_EXCEEDED | retries with backoff, same request id |
| BrokenChain | DATA_LOSS | raises an incident |
| Internal | INTERNAL | reports a fault of this program |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from obis.v1 import reason_pb2

ReasonValue: TypeAlias = reason_pb2.Reason.ValueType
_PREFIX = "REASON_"


@dataclass(frozen=True)
class Violation:
    """One field that breaks its documented rule."""

    field: str
    rule: str


class MeshError(Exception):
    """`what` happened, `where` (an object or field, never its content) and the `next_step` for a person."""

    code: ClassVar[str]
    reasons: ClassVar[frozenset[ReasonValue]]

    def __init__(
        self,
        reason: ReasonValue,
        what: str,
        *,
        where: str = "",
        next_step: str = "",
        violations: tuple[Violation, ...] = (),
    ) -> None:
        """Raises ValueError for a reason of another kind."""
        if reason not in self.reasons:
            raise ValueError(f"{reason_pb2.Reason.Name(reason)} is not a reason of {type(self).__name__}")
        super().__init__(f"{word(reason)}: {what}")
        self.reason = reason
        self.what = what
        self.where = where
        self.next_step = next_step
        self.violations = violations

    @property
    def word(self) -> str:
        """The reason as it stands in replies, leaves and metric labels: QUANTITY_SPENT."""
        return word(self.reason)


def _between(first: int, last: int) -> frozenset[ReasonValue]:
    """The reasons of one section of reason.proto."""
    return frozenset(value for value in reason_pb2.Reason.values() if first <= value <= last)


def _only(*reasons: ReasonValue) -> frozenset[ReasonValue]:
    return frozenset(reasons)


class Malformed(MeshError):
    """The bytes are not what they claim."""

    code = "INVALID_ARGUMENT"
    reasons = _between(1, 19)


class Unidentified(MeshError):
    """The caller has no certificate this mesh accepts."""

    code = "UNAUTHENTICATED"
    reasons = _only(reason_pb2.REASON_IDENTITY_UNKNOWN)


class Refused(MeshError):
    """Understood, and not allowed."""

    code = "PERMISSION_DENIED"
    reasons = _between(20, 89) | {reason_pb2.REASON_ROLE_NOT_ALLOWED}


class NotFound(MeshError):
    """There is no such object, or it is not the caller's to see."""

    code = "NOT_FOUND"
    reasons = _only(reason_pb2.REASON_NOT_FOUND)


class AlreadyExists(MeshError):
    """An object of this name exists with other content."""

    code = "ALREADY_EXISTS"
    reasons = _only(reason_pb2.REASON_ALREADY_EXISTS)


class NotReady(MeshError):
    """The right request, and something it stands on is not here yet."""

    code = "FAILED_PRECONDITION"
    reasons = _between(100, 119) - AlreadyExists.reasons


class UnitFailed(MeshError):
    """The unit on the bench did not do what it must."""

    code = "ABORTED"
    reasons = _between(140, 159)


class Exhausted(MeshError):
    """No room, or over the rate."""

    code = "RESOURCE_EXHAUSTED"
    reasons = _only(reason_pb2.REASON_RATE_LIMITED, reason_pb2.REASON_STORAGE_FULL)


class Unreachable(MeshError):
    """The peer, or what stands behind it, is not there."""

    code = "UNAVAILABLE"
    reasons = _only(reason_pb2.REASON_UNREACHABLE, reason_pb2.REASON_BOUNDARY_UNAVAILABLE)


class TimedOut(MeshError):
    """No answer within the deadline; whether it was done is not known."""

    code = "DEADLINE_EXCEEDED"
    reasons = _only(reason_pb2.REASON_DEADLINE_EXCEEDED)


class BrokenChain(MeshError):
    """A log is missing, altered, forked or rolled back."""

    code = "DATA_LOSS"
    reasons = _only(reason_pb2.REASON_BROKEN_CHAIN)


class Internal(MeshError):
    """A fault of this program. The peer learns no more than that."""

    code = "INTERNAL"
    reasons = _only(reason_pb2.REASON_INTERNAL)


KINDS: tuple[type[MeshError], ...] = (
    *(Malformed, Unidentified, Refused, NotFound, AlreadyExists, NotReady),
    *(UnitFailed, Exhausted, Unreachable, TimedOut, BrokenChain, Internal),
)
_KIND_OF = {reason: kind for kind in KINDS for reason in kind.reasons}


def word(reason: ReasonValue) -> str:
    """QUANTITY_SPENT for REASON_QUANTITY_SPENT."""
    return reason_pb2.Reason.Name(reason).removeprefix(_PREFIX)


def reason_of(spoken: str) -> ReasonValue | None:
    """The reason a word stands for, or None if this version does not know it."""
    name = _PREFIX + spoken
    return reason_pb2.Reason.Value(name) if name in reason_pb2.Reason.keys() else None  # noqa: SIM118 (no mapping)


def kind_of(reason: ReasonValue) -> type[MeshError]:
    """The class to raise for a reason; raises KeyError for REASON_UNSPECIFIED, which is never sent."""
    return _KIND_OF[reason]


def error(reason: ReasonValue, what: str, *, where: str = "", next_step: str = "") -> MeshError:
    """The right kind of error for a reason that is only known at run time."""
    return kind_of(reason)(reason, what, where=where, next_step=next_step)
