"""An EdgeHSM's log without an EdgeHSM: real leaves, a real tree, a real log key; it can be set back and forked."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from obis.trust.checkpoint import Checkpoint, log_origin, sign_note
from obis.trust.merkle import Tree
from obis.v1.delivery_pb2 import LogPage
from obis.v1.leaf_pb2 import IncarnationLeaf, IssuedLeaf, LogLeaf, OutcomeLeaf
from obis.v1.scope_pb2 import Assurance, DeviceId, EvidenceLevel, TimeQuality
from tests.fakes.dac import dac

BEGAN = 1_790_000_000


def device(number: int) -> DeviceId:
    return DeviceId(soc="generic-wifi", uid=number.to_bytes(8))


@dataclass
class FakeLog:
    edgehsm_id: str = "edge-1"
    epoch: int = 1
    at: int = BEGAN
    key: ed25519.Ed25519PrivateKey = field(default_factory=ed25519.Ed25519PrivateKey.generate)
    leaves: list[bytes] = field(default_factory=list)

    @cached_property
    def spki(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def size(self) -> int:
        return len(self.leaves)

    def add(self, **entry) -> int:
        leaf = LogLeaf(
            edgehsm_id=self.edgehsm_id,
            epoch=self.epoch,
            index=self.size,
            at=self.at,
            time_quality=TimeQuality.TIME_QUALITY_HELD,
            assurance=Assurance.ASSURANCE_SOFTWARE,
            **entry,
        )
        self.leaves.append(leaf.SerializeToString(deterministic=True))
        return leaf.index

    def start(self, mark: bytes = b"i") -> int:
        return self.add(incarnation=IncarnationLeaf(incarnation=mark.ljust(32, b"."), previous_root=self.tree().root()))

    def issue(self, number: int, auth_id: bytes = b"a" * 16) -> int:
        return self.add(
            issued=IssuedLeaf(
                auth_id=auth_id,
                device=device(number),
                spki_digest=number.to_bytes(32),
                dac_der=dac(number),
                count=number + 1,
                boundary_nonce=number.to_bytes(16),
            )
        )

    def outcome(self, number: int, *, passed: bool = True, auth_id: bytes = b"a" * 16, **more) -> int:
        level = EvidenceLevel.EVIDENCE_LEVEL_STATION_REPORTED
        leaf = OutcomeLeaf(auth_id=auth_id, device=device(number), passed=passed, evidence=level, **more)
        return self.add(outcome=leaf)

    def make(self, *numbers: int) -> FakeLog:
        for number in numbers:
            self.issue(number)
            self.outcome(number)
        return self

    def snapshot(self) -> FakeLog:
        """The same EdgeHSM, as a restored disk would have it."""
        return FakeLog(self.edgehsm_id, self.epoch, self.at, self.key, list(self.leaves))

    def tree(self) -> Tree:
        tree = Tree()
        for leaf in self.leaves:
            tree.append(leaf)
        return tree

    def note(self, size: int | None = None) -> bytes:
        size = self.size if size is None else size
        origin = log_origin(self.edgehsm_id, self.epoch)
        return sign_note(Checkpoint(origin, size, self.tree().root(size)), self.spki, self.key.sign)

    def page(self, first: int, limit: int = 500) -> LogPage:
        end = min(self.size, first + limit)
        return LogPage(
            edgehsm_id=self.edgehsm_id,
            epoch=self.epoch,
            first_index=first,
            leaves=self.leaves[first:end],
            checkpoint=self.note(end),
            consistency_proof=self.tree().consistency_proof(first, end),
        )
