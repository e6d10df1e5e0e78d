"""The Merkle tree of RFC 6962, section 2.1: append, root, inclusion and consistency, over SHA-256.

Leaf hash = SHA-256(0x00 || leaf), node = SHA-256(0x01 || left || right), the empty tree's root is SHA-256 of nothing.

`Frontier` is all that appending and the root need: at most 64 hashes. `Tree` keeps every complete node (64 bytes a leaf)
and gives proofs for any two sizes. Both append in O(1) amortized. Verifiers recompute; they hold no tree.
Proofs are checked as RFC 9162, 2.1.3.2 and 2.1.4.2 write them down.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from obis.refusal import Refused
from obis.v1.reason_pb2 import Reason

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256().digest()


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 || leaf), 32 bytes."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right), 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True)
class Frontier:
    """The complete subtrees of a tree of `size` leaves, largest first: one hash for each bit of `size`. Immutable."""

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if len(self.hashes) != self.size.bit_count() or any(len(each) != HASH_BYTES for each in self.hashes):
            raise Refused(Reason.REASON_BROKEN_CHAIN, "the frontier does not fit its size", "frontier")

    def append(self, hashed_leaf: bytes) -> Frontier:
        """With one leaf more, given by its leaf hash."""
        return self.extend((hashed_leaf,))

    def extend(self, hashed_leaves: Iterable[bytes]) -> Frontier:
        """With these leaves more, in order, given by their leaf hashes."""
        hashes, size = list(self.hashes), self.size
        for hashed in hashed_leaves:
            node, bits = hashed, size
            while bits & 1:
                node = node_hash(hashes.pop(), node)
                bits >>= 1
            hashes.append(node)
            size += 1
        return Frontier(size, tuple(hashes))

    def root(self) -> bytes:
        """The root hash, 32 bytes."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root


class Tree:
    """A growing tree that keeps every complete node, level by level."""

    def __init__(self, hashed_leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[bytearray] = [bytearray()]
        for hashed in hashed_leaves:
            self.append_hash(hashed)

    @property
    def size(self) -> int:
        """Leaves."""
        return len(self._levels[0]) // HASH_BYTES

    def append(self, leaf: bytes) -> bytes:
        """Append a leaf by its bytes; returns its leaf hash."""
        hashed = leaf_hash(leaf)
        self.append_hash(hashed)
        return hashed

    def append_hash(self, hashed_leaf: bytes) -> None:
        """Append a leaf by its leaf hash."""
        position, node = self.size, hashed_leaf
        for level in range(position.bit_length() + 1):
            if level == len(self._levels):
                self._levels.append(bytearray())
            self._levels[level] += node
            if not position & 1:
                return
            node = node_hash(self._node(level, position - 1), node)
            position >>= 1

    def leaf(self, index: int) -> bytes:
        """The leaf hash at an index. Raises IndexError."""
        if not 0 <= index < self.size:
            raise IndexError(index)
        return self._node(0, index)

    def frontier(self) -> Frontier:
        """What another copy needs to go on from here."""
        size, hashes, position = self.size, [], 0
        for level in range(size.bit_length() - 1, -1, -1):
            if size >> level & 1:
                hashes.append(self._node(level, position >> level))
                position += 1 << level
        return Frontier(size, tuple(hashes))

    def root(self, size: int | None = None) -> bytes:
        """The root of the whole tree, or of its first `size` leaves. Raises IndexError."""
        return self._subtree(0, self._checked(self.size if size is None else size))

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """The audit path of a leaf within the first `size` leaves (RFC 6962, 2.1.1). Raises IndexError."""
        end = self._checked(self.size if size is None else size)
        if not 0 <= index < end:
            raise IndexError(index)
        start, path = 0, []
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._subtree(middle, end))
                end = middle
            else:
                path.append(self._subtree(start, middle))
                start = middle
        return path[::-1]

    def consistency_proof(self, old_size: int, size: int | None = None) -> list[bytes]:
        """That the first `old_size` leaves are a prefix of the first `size` (RFC 6962, 2.1.2). Raises IndexError."""
        end = self._checked(self.size if size is None else size)
        if not 0 <= old_size <= end:
            raise IndexError(old_size)
        start, path, complete = 0, [], True
        if old_size in {0, end}:
            return []
        while old_size != end:
            middle = start + _split(end - start)
            if old_size <= middle:
                path.append(self._subtree(middle, end))
                end = middle
            else:
                path.append(self._subtree(start, middle))
                start, complete = middle, False
        if not complete:
            path.append(self._subtree(start, end))
        return path[::-1]

    def _checked(self, size: int) -> int:
        if not 0 <= size <= self.size:
            raise IndexError(size)
        return size

    def _node(self, level: int, position: int) -> bytes:
        at = position * HASH_BYTES
        return bytes(self._levels[level][at : at + HASH_BYTES])

    def _subtree(self, start: int, end: int) -> bytes:
        """Root over leaves [start, end), where start is a multiple of the largest power of two below the width."""
        width = end - start
        if width == 0:
            return EMPTY_ROOT
        level = width.bit_length() - 1
        if width == 1 << level:
            return self._node(level, start >> level)
        middle = start + _split(width)
        return node_hash(self._subtree(start, middle), self._subtree(middle, end))


def root_of(hashed_leaves: Iterable[bytes]) -> bytes:
    """The root over these leaf hashes."""
    return Frontier().extend(hashed_leaves).root()


def verify_inclusion(hashed_leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raises Refused BROKEN_CHAIN unless the leaf stands at `index` of the tree of this size and root."""
    position, last, node = index, size - 1, hashed_leaf
    if not 0 <= index < size:
        raise Refused(Reason.REASON_BROKEN_CHAIN, f"leaf {index} is outside a tree of {size}", "inclusion")
    for sibling in proof:
        if last == 0:
            raise Refused(Reason.REASON_BROKEN_CHAIN, "the proof is too long", "inclusion")
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    if last != 0 or node != root:
        raise Refused(Reason.REASON_BROKEN_CHAIN, f"leaf {index} is not in the tree of {size}", "inclusion")


def verify_consistency(old_size: int, size: int, proof: Sequence[bytes], old_root: bytes, root: bytes) -> None:
    """Raises Refused BROKEN_CHAIN unless the tree of `size` and `root` begins with that of `old_size` and `old_root`."""
    if not 0 <= old_size <= size:
        raise Refused(Reason.REASON_BROKEN_CHAIN, f"{size} is before {old_size}", "consistency")
    if old_size in {0, size}:
        expected = root if old_size == size else EMPTY_ROOT
        if proof or old_root != expected:
            raise Refused(Reason.REASON_BROKEN_CHAIN, f"the roots at size {old_size} differ", "consistency")
        return
    if _replayed(old_size, size, proof, old_root) != (old_root, root):
        raise Refused(Reason.REASON_BROKEN_CHAIN, f"{size} does not continue {old_size}", "consistency")


def _replayed(old_size: int, size: int, proof: Sequence[bytes], old_root: bytes) -> tuple[bytes, bytes] | None:
    """Both roots as the proof gives them (RFC 9162, 2.1.4.2), or None for a proof of the wrong length."""
    position, last = old_size - 1, size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    nodes = iter([old_root, *proof] if old_size & (old_size - 1) == 0 else proof)
    first = next(nodes, None)
    if first is None:
        return None
    old_node = node = first
    for sibling in nodes:
        if last == 0:
            return None
        if position & 1 or position == last:
            old_node, node = node_hash(sibling, old_node), node_hash(sibling, node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    return (old_node, node) if last == 0 else None


def _split(width: int) -> int:
    """The largest power of two below `width`."""
    return 1 << (width - 1).bit_length() - 1
