"""Secure Debug sessions: which are open, and which challenges were used. The fold of their leaves."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgehsm.boundary.changes import DeviceKey, device_key
from obis.v1.leaf_pb2 import LogLeaf


@dataclass(slots=True)
class Session:
    """One opened port."""

    auth_id: bytes
    device: DeviceKey
    close_before: int  # Unix seconds
    closed_index: int = -1


@dataclass(slots=True)
class Sessions:
    """All of an epoch; a rework is rare, so all are kept."""

    by_id: dict[bytes, Session] = field(default_factory=dict)
    of_device: dict[DeviceKey, list[Session]] = field(default_factory=dict)
    challenges: set[bytes] = field(default_factory=set)

    def fold(self, index: int, leaf: LogLeaf) -> None:
        """Take a DEBUG_OPENED or DEBUG_CLOSED leaf."""
        if leaf.HasField("debug_closed"):
            self.by_id[leaf.debug_closed.session_id].closed_index = index
            return
        opened = leaf.debug_opened
        device = device_key(opened.device.soc, opened.device.uid)
        session = Session(opened.auth_id, device, opened.close_before)
        self.by_id[opened.session_id] = session
        self.of_device.setdefault(device, []).append(session)
        self.challenges.add(opened.challenge_digest)

    def overdue(self, device: DeviceKey, now: int) -> bool:
        """Whether the device has a session that should have been closed by now."""
        return any(each.closed_index < 0 and now >= each.close_before for each in self.of_device.get(device, ()))
