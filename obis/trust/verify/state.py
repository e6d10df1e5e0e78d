"""What the verifier remembers while it replays logs: batches, devices, and what may stand only once anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from obis.refusal import Refused
from obis.trust.merkle import Frontier
from obis.trust.verify.certificates import Pai
from obis.trust.verify.dacs import DacCheck
from obis.trust.verify.governance import EdgeHsm, Governance
from obis.trust.verify.roots import Judged, Roots
from obis.trust.verify.tallies import DeviceKey, Tallies
from obis.trust.verify.verdict import Tally
from obis.v1.authorization_pb2 import Authorization
from obis.v1.enrolment_objects_pb2 import EnrolmentApproval
from obis.v1.grant_pb2 import Grant
from obis.v1.leaf_pb2 import CloseReason
from obis.v1.package_pb2 import VersionManifest
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import DeviceId


@dataclass(slots=True)
class Device:
    """A device as its leaves leave it: its DAC, and the last outcome (None: nobody said)."""

    auth_id: bytes
    edgehsm: EdgeHsm
    spki_der: bytes
    dac_serial: bytes
    boundary_nonce: bytes
    outcome: bool | None = None
    reason: str = ""
    is_scrapped: bool = False


@dataclass
class Batch:
    """An Authorization in use in one log."""

    auth: Authorization
    grant: Judged[Grant]
    version: VersionManifest
    dacs: DacCheck
    quantity: int
    issued: int = 0
    replaced: int = 0
    close_reason: CloseReason.ValueType = CloseReason.CLOSE_REASON_UNSPECIFIED
    tallies: Tallies = field(default_factory=Tallies)

    @property
    def is_closed(self) -> bool:
        """Nothing more is made under it."""
        return self.close_reason != CloseReason.CLOSE_REASON_UNSPECIFIED

    @property
    def is_stopped(self) -> bool:
        """Nothing more is done under it: somebody stopped it. One whose window ended still covers rework."""
        return self.is_closed and self.close_reason != CloseReason.CLOSE_REASON_WINDOW_ENDED

    @property
    def committed(self) -> int:
        """What of the share it holds: its quantity until it is closed, then what it used."""
        return self.issued if self.is_closed else self.auth.quantity


@dataclass
class DebugSession:
    """A re-opened port."""

    device: DeviceKey
    auth_id: bytes
    is_open: bool = True


@dataclass
class Everything:
    """Over all logs: inputs, devices, and names that stand once."""

    roots: Roots
    governance: Governance
    pais: dict[bytes, Pai]
    devices: dict[DeviceKey, Device] = field(default_factory=dict)
    key_digests: set[bytes] = field(default_factory=set)
    dac_serials: set[tuple[bytes, bytes]] = field(default_factory=set)
    closed_leaves: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)


@dataclass
class LogState:
    """Within one log."""

    edgehsm: EdgeHsm
    approval: Judged[EnrolmentApproval]
    everything: Everything
    size: int = 0
    last_at: int = 0
    root_version: int = 0
    revocation_sequence: int = 0
    frontier: Frontier = field(default_factory=Frontier)
    grants: dict[bytes, int] = field(default_factory=dict)
    grant_tallies: dict[bytes, Tallies] = field(default_factory=dict)
    closed_grants: set[bytes] = field(default_factory=set)
    pai_digests: set[bytes] = field(default_factory=set)
    batches: dict[bytes, Batch] = field(default_factory=dict)
    stations: set[bytes] = field(default_factory=set)
    incarnations: set[bytes] = field(default_factory=set)
    challenges: set[bytes] = field(default_factory=set)
    sessions: dict[bytes, DebugSession] = field(default_factory=dict)
    revoked_auth_ids: set[bytes] = field(default_factory=set)
    revoked_grants: set[bytes] = field(default_factory=set)
    lowered: dict[bytes, int] = field(default_factory=dict)

    def batch(self, auth_id: bytes) -> Batch:
        """An admitted Authorization. Raises Refused AUTHORIZATION_UNKNOWN."""
        if auth_id not in self.batches:
            raise Refused(Reason.REASON_AUTHORIZATION_UNKNOWN, "no leaf before this one admits the Authorization")
        return self.batches[auth_id]

    def open_batch(self, auth_id: bytes, *, to_make: bool = False) -> Batch:
        """One that is neither stopped nor revoked at this leaf, and not closed where something is made under it."""
        batch = self.batch(auth_id)
        if batch.is_stopped or (to_make and batch.is_closed):
            raise Refused(Reason.REASON_AUTHORIZATION_CLOSED, "the Authorization was closed before this leaf")
        if auth_id in self.revoked_auth_ids or batch.grant.digest in self.revoked_grants:
            raise Refused(Reason.REASON_REVOKED, "the Authorization or its Grant was revoked before this leaf")
        return batch

    def device(self, device: DeviceId) -> Device:
        """A device that was issued in this log. Raises Refused DEVICE_UNKNOWN."""
        found = self.everything.devices.get(key_of(device))
        if found is None or found.edgehsm != self.edgehsm:
            raise Refused(Reason.REASON_DEVICE_UNKNOWN, "no leaf before this one issues the device")
        return found


def key_of(device: DeviceId) -> DeviceKey:
    """A device's name as a key."""
    return device.soc, device.uid
