"""RFC 6962 trees: known roots, every proof of every small tree, and what no proof may show."""

import itertools
from hashlib import sha256

import pytest

from obis.refusal import Refused
from obis.trust.merkle import (
    EMPTY_ROOT,
    Frontier,
    Tree,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The eight leaves and roots that Certificate Transparency's own implementations test with.
CT_LEAVES = [
    bytes.fromhex(each)
    for each in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SIZES = 20


def naive_root(leaves):
    """MTH of RFC 6962, 2.1, word for word."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


@pytest.fixture(scope="module")
def tree():
    grown = Tree()
    for index in range(SIZES):
        grown.append(b"leaf %d" % index)
    return grown


def test_known_roots_of_certificate_transparency():
    grown = Tree()
    for leaf, root in zip(CT_LEAVES, CT_ROOTS, strict=True):
        grown.append(leaf)
        assert grown.root().hex() == root


def test_the_empty_tree_has_the_hash_of_nothing():
    assert Tree().root() == Frontier().root() == root_of([]) == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_tree_and_frontier_agree_with_the_definition_at_every_size(tree):
    frontier = Frontier()
    for size in range(SIZES + 1):
        leaves = [b"leaf %d" % index for index in range(size)]
        assert tree.root(size) == frontier.root() == naive_root(leaves) == root_of(map(leaf_hash, leaves))
        assert Tree(map(leaf_hash, leaves)).frontier() == frontier
        frontier = frontier.append(leaf_hash(b"leaf %d" % size))


def test_a_frontier_goes_on_from_any_size(tree):
    for size in range(SIZES):
        resumed = Frontier(size, Tree(tree.leaf(index) for index in range(size)).frontier().hashes)
        assert resumed.extend(tree.leaf(index) for index in range(size, SIZES)).root() == tree.root()


def test_a_frontier_that_does_not_fit_its_size_is_refused():
    with pytest.raises(Refused, match="BROKEN_CHAIN"):
        Frontier(3, (b"\x00" * 32,))


def test_every_inclusion_proof_holds_for_its_leaf_alone(tree):
    for size in range(1, SIZES + 1):
        for index in range(size):
            proof = tree.inclusion_proof(index, size)
            verify_inclusion(tree.leaf(index), index, size, proof, tree.root(size))
            for other in range(size):
                if other != index:
                    with pytest.raises(Refused):
                        verify_inclusion(tree.leaf(other), index, size, proof, tree.root(size))


def test_every_consistency_proof_holds_for_its_sizes(tree):
    for old, new in itertools.combinations_with_replacement(range(SIZES + 1), 2):
        verify_consistency(old, new, tree.consistency_proof(old, new), tree.root(old), tree.root(new))


def test_a_changed_dropped_or_added_proof_node_is_refused(tree):
    for old, new in itertools.combinations(range(1, SIZES + 1), 2):
        proof = tree.consistency_proof(old, new)
        for forged in forgeries(proof):
            with pytest.raises(Refused, match="BROKEN_CHAIN"):
                verify_consistency(old, new, forged, tree.root(old), tree.root(new))
    for index in range(SIZES):
        for forged in forgeries(tree.inclusion_proof(index)):
            with pytest.raises(Refused, match="BROKEN_CHAIN"):
                verify_inclusion(tree.leaf(index), index, SIZES, forged, tree.root())


def forgeries(proof):
    yield [*proof, bytes(32)]
    for at, node in enumerate(proof):
        yield proof[:at] + proof[at + 1 :]
        yield [*proof[:at], bytes([node[0] ^ 1]) + node[1:], *proof[at + 1 :]]


def test_a_rewritten_history_has_no_proof(tree):
    """A restored snapshot that went another way: no honest proof leads from the old root to the new."""
    for old, new in itertools.combinations(range(1, SIZES + 1), 2):
        forked = Tree(leaf_hash(b"fork") if index == old - 1 else tree.leaf(index) for index in range(new))
        with pytest.raises(Refused, match="BROKEN_CHAIN"):
            verify_consistency(old, new, forked.consistency_proof(old, new), tree.root(old), forked.root())


@pytest.mark.parametrize(("old", "new"), [(5, 4), (-1, 4)])
def test_a_log_that_shrank_is_refused(tree, old, new):
    with pytest.raises(Refused, match="BROKEN_CHAIN"):
        verify_consistency(old, new, [], tree.root(4), tree.root(4))


def test_a_node_cannot_pass_for_a_leaf():
    """The prefixes 0x00 and 0x01 keep leaves and nodes apart (RFC 6962, 2.1)."""
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)
