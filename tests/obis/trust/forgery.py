"""What a thief of some keys can do: a whole world with one object bent just before its holder signs it.

Manifests, digests, chains, logs and cosignatures of a forgery are all right: only the rule in question is broken.
"""

from functools import cache

import pytest

from obis.refusal import Refused
from obis.trust.verify import verify_export
from obis.v1.leaf_pb2 import LogLeaf
from tests.obis.trust.objects import PRODUCT
from tests.obis.trust.world import World

EDGE, OTHER = "edge-th", "edge-vn"
LOG = f"logs/{EDGE}-1"
GRANT_1 = f"grants/{PRODUCT.hex()}-0001.dsse"
GRANT_2 = f"grants/{PRODUCT.hex()}-0002.dsse"
RULE_1 = f"rules/{PRODUCT.hex()}-0001.dsse"
AUTH_ID = EDGE.encode().ljust(16, b"a")
AUTH = f"authorizations/{AUTH_ID.hex()}.dsse"
PAI = f"pai/{EDGE}-1-{PRODUCT.hex()}.der"


@cache
def honest() -> World:
    return World()


def refused(reason: str, where: str, world: World, fingerprint: bytes | None = None):
    with pytest.raises(Refused) as refusal:
        verify_export(world.files, fingerprint or world.fingerprint)
    assert (str(refusal.value).partition(":")[0], where in refusal.value.where) == (reason, True), (
        f"{refusal.value} in {refusal.value.where}"
    )


def setting(**fields):
    """An edit that sets fields."""

    def edit(message):
        for name, value in fields.items():
            setattr(message, name, value)
        return message

    return edit


def changing(change):
    """An edit that does something to the message."""

    def edit(message):
        change(message)
        return message

    return edit


def kind(leaves: list[LogLeaf], name: str, number: int = 0) -> LogLeaf:
    return [leaf for leaf in leaves if leaf.WhichOneof("entry") == name][number]


def at_leaf(name: str, change, number: int = 0):
    """Edits for the log of EDGE that change one leaf."""

    def edit(leaves):
        change(kind(leaves, name, number))
        return leaves

    return {f"leaves {EDGE}": edit}


def with_leaves(change):
    """Edits for the log of EDGE that return another list."""
    return {f"leaves {EDGE}": lambda leaves: change(leaves) or leaves}


def clone(leaf):
    copy = LogLeaf()
    copy.CopyFrom(leaf)
    return copy


def trust_root_leaf(version, payload_digest=bytes(32)):
    return honest().leaf(0, trust_root={"version": version, "payload_digest": payload_digest})
