"""Bad input: what the right caller sends in the wrong form gets a typed refusal, and nothing else.

Oversized, truncated and random bytes, and every documented rule of every request broken once, at every RPC of every
port. Afterwards the port lives, and no device was counted and no certificate made.
"""

import random

import pytest

from obis.mesh.channel import MIB
from obis.v1.provisioning_pb2 import DeviceStep
from tests.scenarios.broken_rules import breaches
from tests.scenarios.doors import CONTRACT, DOORS, Door, Holdings, knock, methods_of, refusal
from tests.scenarios.identities import Forge
from tests.scenarios.test_bad_identities import insider

OVERSIZED = b"\x0a" + b"\x80\x80\x50" + bytes(80 << 14)  # one bytes field of 1.25 MiB: well formed, and too long


@pytest.fixture(scope="module")
def forge(mesh):
    return Forge.of(mesh)


@pytest.fixture(params=DOORS)
def door(mesh, request):
    return Door(mesh, request.param)


async def callers(door, forge):
    """Each method of the port with an open connection of a role that may call it."""
    by_role = {}
    for method in await door.serves(insider(door, forge)):
        admitted = [role for role in door.admits(method) if role in method.roles]
        if admitted:
            by_role.setdefault(admitted[0], []).append(method)
    for role, methods in by_role.items():
        async with door.opened(door.certificate(forge, role)) as channel:
            for method in methods:
                yield channel, method


@pytest.mark.ci
async def test_an_oversized_message_is_too_large(mesh, door, forge):
    before, words = await Holdings.of(mesh), {}
    async for channel, method in callers(door, forge):
        words[method.name] = await knock(channel, method, OVERSIZED)

    assert len(OVERSIZED) > MIB
    assert set(words.values()) == {"TOO_LARGE"}, words
    assert await Holdings.of(mesh) == before
    assert await door.is_alive(insider(door, forge))


async def test_truncated_and_random_bytes_are_malformed(mesh, door, forge):
    before, words, chance = await Holdings.of(mesh), {}, random.Random(13)
    truncated = b"\x0a\x10only-nine"
    async for channel, method in callers(door, forge):
        for sent in (truncated, b"\x80" + chance.randbytes(400), chance.randbytes(30) + b"\xff"):
            words[method.name, sent[:2]] = await knock(channel, method, sent)

    assert set(words.values()) == {"MALFORMED"}, {each for each in words.items() if each[1] != "MALFORMED"}
    assert await Holdings.of(mesh) == before
    assert await door.is_alive(insider(door, forge))


async def test_every_documented_rule_is_kept_by_name(mesh, door, forge):
    """The refusal names the field. It is the rule that answers, not something behind it: nothing else would name it."""
    before, kept, wrong = await Holdings.of(mesh), 0, []
    async for channel, method in callers(door, forge):
        for field, request in breaches(method.request):
            refused = await refusal(channel, method, request.SerializeToString())
            named = (
                {each.field.partition("[")[0].partition(".")[0] for each in refused.violations} if refused else set()
            )
            if refused is None or refused.word != "MALFORMED" or field not in named:
                wrong.append((method.name, field, refused and refused.word, sorted(named)))
            kept += 1

    assert not wrong
    assert kept >= (1 if door.name != "vault" else 5)
    assert await Holdings.of(mesh) == before


def test_the_rules_of_every_request_are_broken():
    """A control: requests with rules yield breaches, so that the test above is not empty where it looks full."""
    broken = {
        method.name: [field for field, _ in breaches(method.request)]
        for each in CONTRACT
        for method in methods_of(each)
    }

    assert {"auth_id", "step"} <= {field for field, _ in breaches(DeviceStep)}
    assert len(broken["/obis.v1.Batches/CreateBatch"]) >= 7
    assert sum(map(len, broken.values())) > 90
    assert all(fields for name, fields in broken.items() if name.endswith(("Deliver", "SignProposal", "CertifyPai")))
