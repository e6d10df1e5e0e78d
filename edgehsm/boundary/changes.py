"""What one commit makes durable: plain rows, filled by decisions, written by `store`.

Rows are only appended, in the order of the log; accounts and the marks of the boundary's state are the exceptions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, NewType

AuthId = NewType("AuthId", bytes)
"""16 bytes: names an Authorization."""

DeviceKey = NewType("DeviceKey", bytes)
"""soc, a zero byte, uid: names a device across all authorizations (`device_key`)."""


def device_key(soc: str, uid: bytes) -> DeviceKey:
    """One name for a chip; soc holds no zero byte, so no two devices share it."""
    return DeviceKey(b"%b\0%b" % (soc.encode(), uid))


class ActKind(IntEnum):
    """What was done to a device. Numbers are those of Operation; OUTCOME is no operation and counts nothing."""

    ISSUE_DAC = 1
    PROGRAM_FIRMWARE = 4
    REOPEN_DEBUG = 5
    CLOSE_DEBUG = 6
    OUTCOME = 100


class Act(NamedTuple):
    """One thing done to one device: a row of the ledger, never changed, never pruned."""

    log_index: int  # of the leaf that records it
    kind: int  # ActKind
    sequence: int  # of the Authorization
    device: bytes  # DeviceKey
    spki_digest: bytes  # ISSUE_DAC: SHA-256 of the DAC key's SubjectPublicKeyInfo; else empty
    day: int  # UTC day number by the boundary's time
    passed: int  # OUTCOME: 1 for a pass; else 0


class Account(NamedTuple):
    """One Authorization's count as it stands; the database holds used <= quantity once more."""

    sequence: int
    quantity: int
    used: int
    closed: int  # CloseReason, 0 while open


class Stored(NamedTuple):
    """An admitted object: its exact bytes, under kind and id."""

    kind: str
    id: bytes
    content: bytes
    root_version: int  # TrustRoot version it was verified under, 0 for one that is not signed by the root
    at: int  # when it was admitted, Unix seconds


@dataclass(slots=True)
class Changes:
    """Everything since the last commit."""

    leaves: list[tuple[int, bytes]] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    accounts: dict[int, Account] = field(default_factory=dict)
    objects: list[Stored] = field(default_factory=list)
    state: dict[str, bytes] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether a commit would write nothing but the clock's mark."""
        return not (self.leaves or self.acts or self.accounts or self.objects or self.state)
