"""The log of one epoch: an RFC 6962 tree over exact leaf bytes, with a checkpoint signed when somebody asks.

Promises:
 1. An index is given once; a leaf's bytes never change after it.
 2. Two copies of one state differ before they do anything: each start appends an incarnation leaf of 32 random bytes.
 3. The highest cosigned checkpoint is kept; a log that does not contain it is refused (`require_contains`): it was
    rolled back, or another one was put in its place.
 4. A checkpoint covers committed leaves alone: whoever asks for pages does so between commits.
Origin and key name are `obis/<edgehsm_id>/<epoch>`.
"""

from __future__ import annotations

from collections.abc import Iterable

from obis.refusal import Refused
from obis.trust.checkpoint import Checkpoint, Sign, log_origin, sign_note
from obis.trust.merkle import Tree, leaf_hash
from obis.v1.leaf_pb2 import LogLeaf
from obis.v1.reason_pb2 import Reason


class Log:
    """The tree and who signs it."""

    def __init__(self, edgehsm_id: str, epoch: int, spki_der: bytes, sign: Sign) -> None:
        self.edgehsm_id = edgehsm_id
        self.epoch = epoch
        self.spki_der = spki_der
        self._sign = sign
        self._tree = Tree()
        self._note = (-1, b"")

    @property
    def origin(self) -> str:
        """Checkpoint origin, and name of the key that signs it."""
        return log_origin(self.edgehsm_id, self.epoch)

    @property
    def size(self) -> int:
        """Leaves."""
        return self._tree.size

    def root(self, size: int | None = None) -> bytes:
        """Root hash over the first `size` leaves, or all, 32 bytes. Raises IndexError beyond the log."""
        return self._tree.root(size)

    def fold(self, leaves: Iterable[bytes]) -> None:
        """Take leaves as they were kept, from index 0 on."""
        for leaf in leaves:
            self._tree.append_hash(leaf_hash(leaf))

    def append(self, leaf: LogLeaf) -> tuple[int, bytes]:
        """Give the leaf its place; returns index and the exact bytes to keep."""
        index = self._tree.size
        leaf.edgehsm_id, leaf.epoch, leaf.index = self.edgehsm_id, self.epoch, index
        exact = leaf.SerializeToString(deterministic=True)
        self._tree.append(exact)
        return index, exact

    def checkpoint(self, size: int | None = None) -> bytes:
        """The signed note for the first `size` leaves, or all of them; signed once a size."""
        size = self.size if size is None else size
        if self._note[0] != size:
            self._note = size, sign_note(Checkpoint(self.origin, size, self.root(size)), self.spki_der, self._sign)
        return self._note[1]

    def consistency_proof(self, from_size: int, to_size: int) -> list[bytes]:
        """That the first `from_size` leaves begin the first `to_size`, 32 bytes each."""
        return self._tree.consistency_proof(from_size, to_size)

    def require_contains(self, checkpoint: Checkpoint, where: str) -> None:
        """Raises Refused BROKEN_CHAIN unless this log begins with what the checkpoint covers (promise 3)."""
        if checkpoint.origin != self.origin:
            raise Refused(Reason.REASON_BROKEN_CHAIN, f"a checkpoint of {checkpoint.origin}", where)
        if checkpoint.size > self.size:
            raise Refused(
                Reason.REASON_BROKEN_CHAIN, f"the log has {self.size} leaves, {checkpoint.size} were cosigned", where
            )
        if checkpoint.root != self.root(checkpoint.size):
            raise Refused(Reason.REASON_BROKEN_CHAIN, "the log is not the one that was cosigned", where)
