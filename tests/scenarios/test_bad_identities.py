"""Bad callers: who has no right certificate gets a typed refusal at every port, and nothing else.

Expired, not yet valid, foreign CA, another site's CA, no certificate, wrong role: at every RPC that a real port of the
running mesh serves. Each refusal has a control: the role of the access table's row gets past the access step with the
same bytes. Afterwards the port lives, and no device was counted and no certificate made.
"""

import grpc
import pytest

from obis.mesh.access import ACCESS
from obis.mesh.identity import SITE_ROLES, Role
from obis.v1.custody_pb2 import (
    CosignedRequest,
    CustodyEnrolStationRequest,
    CustodyStatusRequest,
    DeliverRequest,
    FollowLogRequest,
)
from tests.scenarios.doors import CONTRACT, DOORS, Door, Holdings, knock
from tests.scenarios.identities import Forge, somebody
from tests.scenarios.mesh import AWAY, HOME

GARBAGE = b"\xff\xff\xff\xff"  # no message of any method: nothing that is refused here could have been done
NOBODY_GETS_IN = {"UNREACHABLE"}  # TLS hangs up; the client is told that there is no connection for it


@pytest.fixture(scope="module")
def forge(mesh):
    return Forge.of(mesh)


@pytest.fixture(params=DOORS)
def door(mesh, request):
    return Door(mesh, request.param)


def insider(door, forge):
    """Somebody the port lets in: a role of one of its rows."""
    roles = {"cloud": Role.PERSON, "vault": Role.CLOUD, f"{HOME}-line": Role.STATION, f"{HOME}-front": Role.STATION}
    return door.certificate(forge, roles.get(door.name, Role.ANONYMOUS))


async def test_the_ports_serve_the_whole_contract(mesh, forge):
    served = [
        method.name
        for each in DOORS
        for door in [Door(mesh, each)]
        for method in await door.serves(insider(door, forge))
    ]

    assert set(served) == ACCESS.keys()
    assert len(CONTRACT) > 10


async def test_the_right_role_gets_past_access_and_its_garbage_is_malformed(door, forge):
    words = {}
    for role in Role:
        if door.is_anonymous != (role is Role.ANONYMOUS) or not door.believes(role):
            continue
        own = door.certificate(forge, role)
        async with door.opened(own) as channel:
            for method in await door.serves(insider(door, forge)):
                if role in method.roles and role in door.admits(method):
                    words[method.name, role.value] = await knock(channel, method, GARBAGE)

    assert words
    assert set(words.values()) == {"MALFORMED"}, {each for each in words.items() if each[1] != "MALFORMED"}


async def test_a_wrong_role_is_refused_at_every_rpc_and_nothing_is_made(mesh, door, forge):
    before, wrong = await Holdings.of(mesh), {}
    methods = await door.serves(insider(door, forge))
    for role in Role:
        if not door.believes(role):
            continue
        own = door.certificate(forge, role)
        effective = Role.ANONYMOUS if door.is_anonymous else role
        async with door.opened(own) as channel:
            for method in methods:
                if effective not in method.roles:
                    wrong[method.name, role.value] = await knock(channel, method, b"")

    assert set(wrong.values()) == {"ROLE_NOT_ALLOWED"}, {
        each for each in wrong.items() if each[1] != "ROLE_NOT_ALLOWED"
    }
    assert await Holdings.of(mesh) == before
    assert await door.is_alive(insider(door, forge))


@pytest.mark.parametrize("kind", ["expired", "not_yet", "foreign"])
async def test_a_certificate_that_is_not_good_opens_nothing(mesh, door, forge, kind):
    words = await _everywhere(mesh, door, forge, lambda role: getattr(forge, kind)(somebody(role, HOME)))

    if door.is_anonymous:  # asks for no certificate, so it sees none: whoever comes is anonymous, and no more
        assert words <= {"MALFORMED", "ROLE_NOT_ALLOWED"}
    else:
        assert words == NOBODY_GETS_IN
    assert await door.is_alive(insider(door, forge))


@pytest.mark.parametrize("name", [f"{HOME}-line", f"{HOME}-front", "cloud", "vault"])
async def test_another_site_s_certificate_opens_nothing_here(mesh, forge, name):
    door = Door(mesh, name)
    own = {role: forge.by_right_ca(somebody(role, AWAY)) for role in SITE_ROLES}
    words = set()
    for certificate in own.values():
        async with door.opened(certificate) as channel:
            words |= {await knock(channel, method, b"") for method in await door.serves(insider(door, forge))}

    assert words == NOBODY_GETS_IN


async def test_without_a_certificate_only_enrolment_is_open(door, forge):
    methods = await door.serves(insider(door, forge))
    async with door.opened(None) as channel:
        words = {method.name: await knock(channel, method, GARBAGE) for method in methods}

    if door.is_anonymous:
        assert words == {
            each.name: "MALFORMED" if Role.ANONYMOUS in each.roles else "ROLE_NOT_ALLOWED" for each in methods
        }
    else:
        assert set(words.values()) == NOBODY_GETS_IN


async def test_a_caller_without_tls_opens_nothing(mesh, door, forge):
    methods = await door.serves(insider(door, forge))
    async with grpc.aio.insecure_channel(mesh.address(door.name)) as channel:
        words = {await knock(channel, method, GARBAGE) for method in methods}

    assert words == NOBODY_GETS_IN
    assert await door.is_alive(insider(door, forge))


async def _everywhere(mesh, door, forge, certificate):
    """The words that come back from all RPCs, for a certificate of each role that the port has rows for."""
    before, words = await Holdings.of(mesh), set()
    methods = await door.serves(insider(door, forge))
    roles = {role for method in methods for role in method.roles if "Health" not in method.name} - {Role.ANONYMOUS}
    for role in sorted(roles or {Role.PERSON}):
        async with door.opened(certificate(role)) as channel:
            words |= {await knock(channel, method, GARBAGE) for method in methods}
    assert await Holdings.of(mesh) == before
    return words


ENVELOPE = {"payload": b"x", "payload_type": "x", "signatures": [{"sig": b"x", "key_id": "0" * 64, "scheme": 1}]}
CUSTODY = {
    "Deliver": DeliverRequest(delivery={"number": 1, "edgehsm_id": "x", "epoch": 1, "beacon": ENVELOPE}),
    "FollowLog": FollowLogRequest(),
    "Cosigned": CosignedRequest(checkpoint=b"x"),
    "EnrolStation": CustodyEnrolStationRequest(ticket=ENVELOPE, csr_der=b"x"),
    "Status": CustodyStatusRequest(),
}


async def test_the_factory_service_of_another_site_is_told_that_it_is_at_the_wrong_one(mesh, forge):
    """Its certificate is genuine and its role is the right one; the transport CA names every factory."""
    door, own = Door(mesh, f"{HOME}-front"), forge.by_right_ca(somebody(Role.FACTORY, AWAY))
    methods = [each for each in await door.serves(insider(door, forge)) if "Custody" in each.name]
    async with door.opened(own) as channel:
        words = {
            method.descriptor.name: await knock(channel, method, CUSTODY[method.descriptor.name].SerializeToString())
            for method in methods
        }

    assert words == dict.fromkeys(CUSTODY, "WRONG_FACTORY")
