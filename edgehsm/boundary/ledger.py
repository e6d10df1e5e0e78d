"""Units spent per Authorization, and which device has which key: the fold of the acts, kept in memory.

Promises:
 1. One device has one key, one key one device, across all authorizations (`by_device`, `by_key`).
 2. Nothing is counted but by a Permit, which the gate alone makes and which counts once.
 3. Started anew from the store's rows, the fold gives the same state: recovery is the ordinary path.
Uniqueness lives in memory because random unique indexes in SQLite slow down with every device.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from edgehsm.boundary.changes import Account, Act, ActKind, AuthId, DeviceKey
from obis.v1.authorization_pb2 import Authorization
from obis.v1.grant_pb2 import Grant, LeaseKind, OpRule
from obis.v1.leaf_pb2 import CloseReason
from obis.v1.scope_pb2 import Operation

SECONDS_A_DAY: Final = 86_400
K = TypeVar("K")

# Looked up once: an enum's attribute costs a microsecond, and these are asked for every device.
_ISSUE_DAC: Final = int(ActKind.ISSUE_DAC)
_PROGRAM_FIRMWARE: Final = int(ActKind.PROGRAM_FIRMWARE)
_OUTCOME: Final = int(ActKind.OUTCOME)


@dataclass(slots=True)
class Device:
    """What is known of one device: indices of its leaves, -1 where there is none."""

    sequence: int
    spki_digest: bytes
    issued_index: int
    firmware_index: int = -1
    outcome_index: int = -1
    passed: bool = False


@dataclass(slots=True)
class Tally:
    """How often one operation was done under one Authorization or Grant."""

    total: int = 0
    day: int = 0
    that_day: int = 0
    per_device: Counter[bytes] = field(default_factory=Counter)

    def count(self, act: Act, *, per_device: bool) -> None:
        """Add one; days come in order, because time never goes back."""
        self.total += 1
        self.that_day = self.that_day + 1 if act.day == self.day else 1
        self.day = act.day
        if per_device:
            self.per_device[act.device] += 1

    def on(self, day: int) -> int:
        """How many on that day."""
        return self.that_day if day == self.day else 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How often an operation may be done under one object; 0 means no bound of its own, but for the total."""

    total: int
    per_device: int
    per_day: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """One operation of an Authorization: when (within every window that applies), and how often (here, in the Grant)."""

    starts_at: int
    ends_at: int
    here: Bounds
    in_grant: Bounds


@dataclass(slots=True)
class Standing:
    """One admitted Authorization: what it allows and what was done under it.

    What the gate asks for each device is taken out of the messages once: reading their fields costs more than deciding.
    """

    authorization: Authorization
    digest: bytes
    grant: Grant
    grant_digest: bytes
    admitted_at: int  # Unix seconds
    quantity: int = 0  # the Authorization's, or less where a RevocationList lowered it
    closed: int = 0  # CloseReason
    tallies: dict[int, Tally] = field(default_factory=dict)
    auth_id: bytes = b""
    sequence: int = 0
    product_id: bytes = b""
    soc: str = ""
    ends_at: int = 0  # of the Authorization's window
    required_assurance: int = 0
    leased: bool = False
    allowances: dict[int, Allowance] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises KeyError for an operation the Grant does not have: `check_authorization` comes first."""
        authorization, grant = self.authorization, self.grant
        self.quantity, self.auth_id = authorization.quantity, authorization.auth_id
        self.sequence, self.product_id = authorization.sequence, authorization.product_id
        self.ends_at = authorization.window.ends_at
        self.soc, self.required_assurance = grant.soc, grant.required_assurance
        self.leased = grant.lease.kind == LeaseKind.LEASE_KIND_COSIGNED
        granted = {rule.operation: rule for rule in grant.operations}
        self.allowances = {
            int(rule.operation): _allowance(self, rule, granted[rule.operation]) for rule in authorization.operations
        }

    @property
    def used(self) -> int:
        """Devices made."""
        tally = self.tallies.get(_ISSUE_DAC)
        return tally.total if tally else 0

    @property
    def ended_window(self) -> bool:
        """Closed because its time was over, not because somebody stopped it."""
        return self.closed == CloseReason.CLOSE_REASON_WINDOW_ENDED

    def account(self) -> Account:
        """The row of the store."""
        return Account(self.sequence, self.authorization.quantity, self.used, self.closed)


def _allowance(standing: Standing, rule: OpRule, granted: OpRule) -> Allowance:
    """An operation's window may be longer than the Authorization's (rework): that one bounds what makes devices."""
    windows = [rule.window, granted.window]
    if rule.operation == Operation.OPERATION_ISSUE_DAC:
        windows += [standing.authorization.window, standing.grant.window]
    begin, end = max(each.starts_at for each in windows), min(each.ends_at for each in windows)
    return Allowance(begin, end, _bounds(rule), _bounds(granted))


def _bounds(rule: OpRule) -> Bounds:
    return Bounds(rule.max_total, rule.max_per_device, rule.max_per_day)


class Ledger:
    """The counts and the index of devices and keys."""

    def __init__(self) -> None:
        self.standings: dict[AuthId, Standing] = {}
        self.by_sequence: dict[int, Standing] = {}
        self.open: dict[int, Standing] = {}  # by sequence: those that are not closed
        self.grant_tallies: dict[tuple[bytes, int], Tally] = {}
        self.by_device: dict[DeviceKey, Device] = {}
        self.by_key: dict[bytes, DeviceKey] = {}
        self.unseen: dict[bytes, list[int]] = {}  # indices of issues not cosigned yet, by Grant with a lease

    def stand(self, standing: Standing) -> None:
        """Admit an Authorization whose sequence is the next one."""
        self.standings[AuthId(standing.auth_id)] = standing
        self.by_sequence[standing.sequence] = standing
        self.open[standing.sequence] = standing

    def close(self, standing: Standing, why: int) -> None:
        """No device is made under it from here on; `why` is a CloseReason."""
        standing.closed = why
        self.open.pop(standing.sequence, None)

    @property
    def last_sequence(self) -> int:
        """Highest admitted Authorization's sequence, 0 before the first."""
        return len(self.by_sequence)

    def committed_to(self, grant_digest: bytes) -> int:
        """Devices of a Grant's share that are made or may still be: quantity while open, used once closed."""
        under = (each for each in self.by_sequence.values() if each.grant_digest == grant_digest)
        return sum(each.used if each.closed else each.authorization.quantity for each in under)

    def grant_tally(self, grant_digest: bytes, operation: int) -> Tally:
        """The Grant's own count of an operation here, over all its Authorizations."""
        return _tally(self.grant_tallies, (grant_digest, operation))

    def fold(self, act: Act) -> None:
        """Take one act into the state; the only way the state of a device changes."""
        standing = self.by_sequence[act.sequence]
        self._fold_device(act)
        if act.kind == _OUTCOME:
            return
        # A device is issued once and under one Authorization, so its count for ISSUE_DAC need not be kept.
        per_device = act.kind != _ISSUE_DAC
        _tally(standing.tallies, act.kind).count(act, per_device=per_device)
        self.grant_tally(standing.grant_digest, act.kind).count(act, per_device=False)
        if standing.leased and act.kind == _ISSUE_DAC:
            self.unseen.setdefault(standing.grant_digest, []).append(act.log_index)

    def _fold_device(self, act: Act) -> None:
        device = DeviceKey(act.device)
        if act.kind == _ISSUE_DAC:
            self.by_device[device] = Device(act.sequence, act.spki_digest, act.log_index)
            self.by_key[act.spki_digest] = device
        elif act.kind == _PROGRAM_FIRMWARE:
            self.by_device[device].firmware_index = act.log_index
        elif act.kind == _OUTCOME:
            known = self.by_device[device]
            known.outcome_index, known.passed, known.firmware_index = act.log_index, bool(act.passed), -1

    def seen_up_to(self, cosigned_size: int) -> None:
        """A cosigned checkpoint shows all issues below its size: leases count from here."""
        for digest, indices in self.unseen.items():
            self.unseen[digest] = [index for index in indices if index >= cosigned_size]

    def restore(self, accounts: Iterable[Account]) -> list[str]:
        """What the stored accounts say otherwise than the fold: words for a person, empty if all agree."""
        wrong = []
        for row in accounts:
            standing = self.by_sequence.get(row.sequence)
            if standing is None:
                wrong.append(f"authorization {row.sequence} is counted and was never admitted")
            elif standing.used != row.used:
                wrong.append(f"authorization {row.sequence}: {row.used} counted, {standing.used} issued")
            elif row.closed:
                self.close(standing, row.closed)
        return wrong


def _tally(tallies: dict[K, Tally], key: K) -> Tally:
    """The tally of this key, made when it is first asked for."""
    found = tallies.get(key)
    if found is None:
        found = tallies[key] = Tally()
    return found


def day_of(now: int) -> int:
    """The UTC day number of a time in Unix seconds."""
    return now // SECONDS_A_DAY
