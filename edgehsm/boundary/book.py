"""What every operation works on: holdings, ledger and log, the time of the request, and what is to be made durable.

Promises:
 1. Nothing enters ledger or log without its row entering `changes`: memory is always the store plus `changes`.
 2. Counts rise only against a Permit (`spend`).
 3. A refusal by a rule leaves a leaf; of one reason at most ten a minute do, and the next says how many did not.
    Malformed input leaves none: whoever can send bytes must not be able to fill the log.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edgehsm.boundary.changes import Act, ActKind, AuthId, Changes, DeviceKey, Stored
from edgehsm.boundary.clock import Clocks, Mark, Reading, beacon, read
from edgehsm.boundary.debug import Sessions
from edgehsm.boundary.element import Element
from edgehsm.boundary.gate import Permit, Scene, Station
from edgehsm.boundary.holdings import Holdings
from edgehsm.boundary.issuer import Issuer, prepare
from edgehsm.boundary.ledger import Ledger, Standing, day_of
from edgehsm.boundary.log import Log
from obis.refusal import Kind, Refused
from obis.v1.leaf_pb2 import AuthorizationClosedLeaf, CloseReason, LogLeaf, RefusedLeaf
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import TimeQuality

CLOCK: Final = "clock"  # names of marks in the store's state
ROOT: Final = "log-root"
KEEP_TIME_SECONDS: Final = 60
REFUSALS_A_MINUTE: Final = 10  # leaves of one reason

_ISSUE_DAC: Final = int(ActKind.ISSUE_DAC)

draw = secrets.token_bytes


@dataclass(slots=True)
class _Told:
    """Refusals of one reason in one minute."""

    minute: int = 0
    leaves: int = 0
    suppressed: int = 0


class Book:
    """One request's view of everything; lives as long as the boundary, `begin` opens it for a request."""

    def __init__(
        self, element: Element, holdings: Holdings, ledger: Ledger, log: Log, read_leaf: Callable[[int], bytes]
    ) -> None:
        self.element = element
        self.holdings = holdings
        self.ledger = ledger
        self.log = log
        self.changes = Changes()
        self.mark = Mark()
        self.clocks = Clocks(0, 0, "")
        self.last_beacon_leaf = 0
        self._read_leaf = read_leaf
        self._time_kept = 0
        self._counted: set[int] = set()  # sequences whose count rose since the last commit
        self._fresh: dict[int, bytes] = {}
        self._told: dict[Reason.ValueType, _Told] = {}
        self.sessions = Sessions()
        self._issuers: dict[int, Issuer] = {}  # by the Authorization's sequence
        self.scene = Scene(ledger, Reading(0, 0, TimeQuality.TIME_QUALITY_UNSPECIFIED), element.assurance)

    @property
    def now(self) -> int:
        """The boundary's time, Unix seconds."""
        return self.scene.reading.now

    def begin(self, clocks: Clocks) -> None:
        """A request comes while the machine's clocks say this."""
        held, self.clocks = self.holdings, clocks
        reading, self.mark = read(self.mark, clocks)
        self.scene = Scene(
            self.ledger,
            reading,
            self.element.assurance,
            frozenset((*held.revocations.auth_ids, *held.revocations.paused_auth_ids)),
            frozenset(held.revocations.grant_digests),
            held.cosigned_at,
        )

    def take_beacon(self, time: int) -> None:
        """A verified lower bound for time, Unix seconds; it counts from the next request on."""
        self.mark = beacon(self.mark, self.clocks, time)

    def keep_time(self) -> None:
        """Once a minute even where nothing happens, so that a start finds a mark that is not old."""
        if self.mark.high_water - self._time_kept >= KEEP_TIME_SECONDS:
            self._time_kept = self.mark.high_water
            self.changes.state[CLOCK] = self.mark.encode()

    def take_changes(self) -> Changes:
        """What is to be committed, with the marks of clock and log; from here on the book counts it as kept."""
        changes, self.changes, self._fresh = self.changes, Changes(), {}
        changes.accounts.update((each, self.ledger.by_sequence[each].account()) for each in self._counted)
        self._counted.clear()
        changes.state[CLOCK], changes.state[ROOT] = self.mark.encode(), self.log.root()
        return changes

    def write(self, entry: LogLeaf, station: bytes = b"") -> int:
        """Append a leaf whose entry is set; returns its index. `station` is the asking station's key digest."""
        reading = self.scene.reading
        entry.at, entry.time_quality, entry.assurance = reading.now, reading.quality, self.element.assurance
        entry.station_key_digest = station
        index, exact = self.log.append(entry)
        self.changes.leaves.append((index, exact))
        self._fresh[index] = exact
        return index

    def leaf(self, index: int) -> LogLeaf:
        """A leaf, committed or not."""
        return LogLeaf.FromString(self._fresh.get(index) or self._read_leaf(index))

    def spend(self, permit: Permit, kind: ActKind, index: int) -> None:
        """Count what the gate admitted and the leaf at `index` records."""
        permit.redeem()
        ask, standing = permit.ask, permit.standing
        act = Act(index, kind, standing.sequence, ask.device, ask.spki_digest, day_of(self.now), 0)
        self._fold(act, standing)

    def note_outcome(self, standing: Standing, device: DeviceKey, index: int, *, passed: bool) -> None:
        """An outcome counts nothing, so it needs no permit; it ends the unit's firmware step."""
        act = Act(index, ActKind.OUTCOME, standing.sequence, device, b"", day_of(self.now), int(passed))
        self._fold(act, standing)

    def note_debug(self, standing: Standing, device: DeviceKey, index: int, leaf: LogLeaf) -> None:
        """A closed session counts nothing either."""
        act = Act(index, ActKind.CLOSE_DEBUG, standing.sequence, device, b"", day_of(self.now), 0)
        self._fold(act, standing)
        self.sessions.fold(index, leaf)

    def keep(self, kind: str, object_id: bytes, content: bytes, root_version: int = 0) -> None:
        """Make an object durable with this request."""
        self.changes.objects.append(Stored(kind, object_id, content, root_version, self.now))

    def close(self, standing: Standing, why: CloseReason.ValueType) -> None:
        """End an Authorization for good; what it did not use is free again for the cloud."""
        auth_id = standing.authorization.auth_id
        self.write(
            LogLeaf(authorization_closed=AuthorizationClosedLeaf(auth_id=auth_id, used=standing.used, close_reason=why))
        )
        self.ledger.close(standing, why)
        self.changes.accounts[standing.sequence] = standing.account()

    def sweep(self) -> None:
        """Close every Authorization whose window has ended; what remains allowed (rework) has windows of its own."""
        for standing in list(self.ledger.open.values()):
            if self.now >= standing.ends_at:
                self.close(standing, CloseReason.CLOSE_REASON_WINDOW_ENDED)

    def station(self, key_digest: bytes) -> Station | None:
        """The enrolled station behind a TLS key."""
        return self.holdings.stations.get(key_digest)

    def standing(self, auth_id: bytes) -> Standing | None:
        """The admitted Authorization of this id."""
        return self.ledger.standings.get(AuthId(auth_id))

    def issuer(self, standing: Standing) -> Issuer:
        """Who makes this Authorization's DACs; proved when first asked for. Raises Refused."""
        found = self._issuers.get(standing.sequence)
        if found is None:
            authorization = standing.authorization
            product = self.holdings.products[authorization.product_id]
            found = prepare(authorization, product.pais[authorization.pai_cert_digest], product.pai_handle)
            self._issuers[standing.sequence] = found
        return found

    def tell(self, refused: Refused, leaf: RefusedLeaf, station: bytes = b"") -> None:
        """Record a refusal (promise 3); `leaf` says what was asked."""
        if refused.kind is not Kind.REFUSED or refused.reason == Reason.REASON_ALREADY_ADMITTED:
            return
        told, minute = self._told.setdefault(refused.reason, _Told()), self.now // 60
        if told.minute != minute:
            told.minute, told.leaves = minute, 0
        if told.leaves >= REFUSALS_A_MINUTE:
            told.suppressed += 1
            return
        leaf.reason, leaf.suppressed = refused.reason, told.suppressed
        told.leaves, told.suppressed = told.leaves + 1, 0
        self.write(LogLeaf(refused=leaf), station)

    def _fold(self, act: Act, standing: Standing) -> None:
        self.ledger.fold(act)
        self.changes.acts.append(act)
        if act.kind == _ISSUE_DAC:
            self._counted.add(standing.sequence)
