"""The gate: whether one operation on one device is allowed, decided over values alone.

Rules of admission, in order; the first that fails is the answer. Tests carry the same numbers.
 1. The Authorization is admitted here.                                        AUTHORIZATION_UNKNOWN
 2. Neither it nor its Grant is revoked or paused.                             REVOKED
 3. It is not closed by request. (Its window's end is rule 8's.)               AUTHORIZATION_CLOSED
 4. The station is enrolled here, as a station, for this product, not revoked. STATION_NOT_ENROLLED
 5. The Authorization, and so its Grant, has the operation.                    OPERATION_NOT_GRANTED
 6. The element's assurance is at least what the Grant requires.               ASSURANCE_TOO_LOW
 7. The chip is of the family the Grant is for.                                WRONG_PRODUCT_VERSION
 8. Now is in the operation's window, and to make a device also in the         WINDOW_NOT_OPEN, WINDOW_CLOSED,
    Authorization's; where time is doubtful, so is the time that is claimed.   TIME_SUSPECT
 9. To make a device: it is not known with another key.                        DEVICE_KEY_CHANGED
10. To make a device: the key is not known with another device.                KEY_REUSED
11. To do anything else: the device was made here under this Authorization.    DEVICE_UNKNOWN
12. Something is left: of the Authorization's quantity, of the operation's     QUANTITY_SPENT
    total in the Authorization, and of that in the Grant.
13. Something is left for this device.                                         DEVICE_LIMIT_REACHED
14. Something is left of this UTC day, in the Authorization and in the Grant.  DAY_LIMIT_REACHED
15. The lease, where the Grant has one, has not run out.                       LEASE_EXPIRED
The gate makes the only Permits there are. A Permit is for one act and is redeemed once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from edgehsm.boundary.changes import DeviceKey
from edgehsm.boundary.clock import Reading
from edgehsm.boundary.ledger import Allowance, Ledger, Standing, Tally, day_of
from obis.refusal import Refused
from obis.v1.enrolment_objects_pb2 import SiteRole
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import Assurance, Operation

START_TOLERANCE_SECONDS: Final = 300  # clocks of cloud and site may differ; the end has no tolerance

_SEAL: Final = object()
# Looked up once: an enum's attribute costs a microsecond, and these are asked for every device.
_STATION: Final = SiteRole.SITE_ROLE_STATION
_ISSUE_DAC: Final = Operation.OPERATION_ISSUE_DAC
_NOTHING: Final = Tally()


@dataclass(frozen=True, slots=True)
class Station:
    """An enrolled station: what its ticket allowed."""

    station_id: str
    role: SiteRole.ValueType
    product_ids: frozenset[bytes]  # empty: every product of the site
    revoked: bool = False


class Ask(NamedTuple):
    """What is asked: an operation on a device; `spki_digest` is the key to certify, for ISSUE_DAC alone."""

    operation: Operation.ValueType
    device: DeviceKey
    soc: str
    spki_digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything else the gate looks at."""

    ledger: Ledger
    reading: Reading
    assurance: Assurance.ValueType
    revoked_auth_ids: frozenset[bytes] = frozenset()
    revoked_grants: frozenset[bytes] = frozenset()
    cosigned_at: int = 0  # Unix seconds, 0 before the first cosigned checkpoint


class Permit:
    """Proof that the gate admitted one act. Nobody else can make one, and it is good once."""

    __slots__ = ("_redeemed", "ask", "standing")

    def __init__(self, seal: object, standing: Standing, ask: Ask) -> None:
        if seal is not _SEAL:
            raise TypeError("only the gate makes permits")
        self.standing = standing
        self.ask = ask
        self._redeemed = False

    def redeem(self) -> None:
        """Use it up; raises RuntimeError the second time."""
        if self._redeemed:
            raise RuntimeError("a permit is redeemed once")
        self._redeemed = True


def admit(ask: Ask, standing: Standing | None, station: Station | None, scene: Scene) -> Permit:
    """A permit for this act, or Refused with the first rule that fails."""
    if standing is None:
        raise Refused(Reason.REASON_AUTHORIZATION_UNKNOWN, "no such authorization was admitted here", "gate rule 1")
    require_open(standing, scene)
    require_station(station, standing)
    allowance = standing.allowances.get(ask.operation)
    if allowance is None:
        raise Refused(Reason.REASON_OPERATION_NOT_GRANTED, "the authorization has no such operation", "gate rule 5")
    _require_element_and_chip(ask, standing, scene)
    _require_window(allowance, scene.reading)
    _require_device(ask, standing, scene.ledger)
    _require_left(ask, standing, allowance, scene)
    if standing.leased:
        _require_lease(standing, scene)
    return Permit(_SEAL, standing, ask)


def require_open(standing: Standing, scene: Scene) -> None:
    """Rules 2 and 3; a stored answer and an outcome need them too."""
    if standing.auth_id in scene.revoked_auth_ids or standing.grant_digest in scene.revoked_grants:
        raise Refused(Reason.REASON_REVOKED, "the authorization or its grant is revoked or paused", "gate rule 2")
    if standing.closed and not standing.ended_window:
        raise Refused(Reason.REASON_AUTHORIZATION_CLOSED, "the authorization is closed", "gate rule 3")


def require_station(station: Station | None, standing: Standing) -> None:
    """Rule 4."""
    if station is None or station.role != _STATION or station.revoked:
        raise Refused(Reason.REASON_STATION_NOT_ENROLLED, "the station is not enrolled here", "gate rule 4")
    if station.product_ids and standing.product_id not in station.product_ids:
        raise Refused(Reason.REASON_STATION_NOT_ENROLLED, "the station's ticket has no such product", "gate rule 4")


def _require_element_and_chip(ask: Ask, standing: Standing, scene: Scene) -> None:
    """Rules 6 and 7."""
    if scene.assurance < standing.required_assurance:
        raise Refused(Reason.REASON_ASSURANCE_TOO_LOW, "the grant requires a better element", "gate rule 6")
    if ask.soc != standing.soc:
        raise Refused(Reason.REASON_WRONG_PRODUCT_VERSION, "the grant is for another chip family", "gate rule 7")


def _require_window(allowance: Allowance, reading: Reading) -> None:
    """Rule 8. The estimate is a lower bound: if the claimed time is inside as well, nothing depends on the doubt."""
    if reading.now >= allowance.ends_at:
        raise Refused(Reason.REASON_WINDOW_CLOSED, "the window has closed", "gate rule 8")
    if reading.now < allowance.starts_at - START_TOLERANCE_SECONDS:
        raise Refused(Reason.REASON_WINDOW_NOT_OPEN, "the window has not opened yet", "gate rule 8")
    if reading.suspect and reading.claimed >= allowance.ends_at:
        raise Refused(Reason.REASON_TIME_SUSPECT, "it may be later than the window", "gate rule 8", "bring a beacon in")


def _require_device(ask: Ask, standing: Standing, ledger: Ledger) -> None:
    """Rules 9 to 11."""
    known = ledger.by_device.get(ask.device)
    if ask.operation != _ISSUE_DAC:
        if known is None or known.sequence != standing.sequence:
            raise Refused(
                Reason.REASON_DEVICE_UNKNOWN, "the device was not made under this authorization", "gate rule 11"
            )
        return
    if known is not None:
        raise Refused(Reason.REASON_DEVICE_KEY_CHANGED, "the device is known with another key", "gate rule 9")
    if ask.spki_digest in ledger.by_key:
        raise Refused(Reason.REASON_KEY_REUSED, "the key is known with another device", "gate rule 10")


def _require_left(ask: Ask, standing: Standing, allowance: Allowance, scene: Scene) -> None:
    """Rules 12 to 14, each against the Authorization and against the Grant."""
    own = standing.tallies.get(ask.operation, _NOTHING)
    if ask.operation == _ISSUE_DAC and own.total >= standing.quantity:
        raise Refused(Reason.REASON_QUANTITY_SPENT, "the authorization's quantity is spent", "gate rule 12")
    over_all = scene.ledger.grant_tallies.get((standing.grant_digest, ask.operation), _NOTHING)
    for bounds, tally in ((allowance.here, own), (allowance.in_grant, over_all)):
        if tally.total >= bounds.total:
            raise Refused(Reason.REASON_QUANTITY_SPENT, "the operation's total is spent", "gate rule 12")
        if bounds.per_device and own.per_device[ask.device] >= bounds.per_device:
            raise Refused(Reason.REASON_DEVICE_LIMIT_REACHED, "the device's share is spent", "gate rule 13")
        if bounds.per_day and tally.on(day_of(scene.reading.now)) >= bounds.per_day:
            raise Refused(Reason.REASON_DAY_LIMIT_REACHED, "the day's share is spent", "gate rule 14")


def _require_lease(standing: Standing, scene: Scene) -> None:
    """Rule 15: a cosigned checkpoint renews it; before the first, admission began it."""
    lease = standing.grant.lease
    since = scene.reading.now - max(scene.cosigned_at, standing.admitted_at)
    unseen = len(scene.ledger.unseen.get(standing.grant_digest, ()))
    if since >= lease.max_seconds or unseen >= lease.max_issues:
        raise Refused(Reason.REASON_LEASE_EXPIRED, "the lease ran out", "gate rule 15", "let the log be cosigned")
