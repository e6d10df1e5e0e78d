"""M2: an authorization is good for one product version, factory, EdgeHSM, epoch, quantity, window and set of operations.

Each dimension is refused at EdgeHSM by its own word. First on the line, where a genuine authorization is used outside its
scope. Then at the door, where the cloud's own key signs an authorization that strays from what people granted: even
the real ONLINE key cannot widen a Grant.
"""

import asyncio
import os
import time

import pytest

from loadtest.demo.courier import deliver
from obis.trust.envelope import make_envelope
from obis.trust.payload import AUTHORIZATION, parse_closed
from obis.v1.grant_pb2 import OpRule
from obis.v1.provisioning_pb2 import ReopenDebugRequest
from obis.v1.scope_pb2 import Operation
from tests.scenarios.devices import Device, reason
from tests.scenarios.identities import Forge
from tests.scenarios.mesh import AWAY, HOME

SOC, OTHER_SOC = "generic-thread", "generic-wifi"


async def test_quantity(mesh):
    batch = await mesh.batch(mesh.bulb, 2)

    replies = [await mesh.step(HOME, Device(SOC).issue(batch.auth_id)) for _ in range(3)]

    assert [reason(each) for each in replies] == ["", "", "QUANTITY_SPENT"]


async def test_window(mesh):
    batch, seconds = await mesh.batch(mesh.bulb, 2, 5), 1.2
    inside = await mesh.step(HOME, Device(SOC).issue(batch.auth_id))
    await asyncio.sleep(max(0.0, batch.window.ends_at + seconds - time.time()))

    outside = await mesh.step(HOME, Device(SOC).issue(batch.auth_id))

    assert (reason(inside), reason(outside)) == ("", "WINDOW_CLOSED")


async def test_product_version(mesh):
    """A chip of a family the version is not for, and an image that is not the version's."""
    batch, device = await mesh.batch(mesh.bulb, 2), Device(SOC)

    replies = await mesh.steps(
        HOME,
        Device(OTHER_SOC).issue(batch.auth_id),
        device.issue(batch.auth_id),
        device.firmware(batch.auth_id, os.urandom(32)),
    )

    assert [reason(each) for each in replies] == ["WRONG_PRODUCT_VERSION", "", "FIRMWARE_NOT_GRANTED"]


async def test_factory(mesh):
    """What one site's EdgeHSM holds is unknown at another's."""
    batch = await mesh.batch(mesh.plug, 1)

    assert reason(await mesh.step(HOME, Device(OTHER_SOC).issue(batch.auth_id))) == "AUTHORIZATION_UNKNOWN"
    assert reason(await mesh.step(AWAY, Device(OTHER_SOC).issue(batch.auth_id))) == ""


async def test_operations(mesh, later):
    """The later product's Grant names no Secure Debug."""
    batch, device = await mesh.batch(later.goods, 1), Device(SOC)
    assert reason(await mesh.step(HOME, device.issue(batch.auth_id))) == ""

    opened = await mesh.debug(HOME, ReopenDebugRequest(open=device.open_debug(batch.auth_id)))

    assert reason(opened) == "OPERATION_NOT_GRANTED"


def _operations(authorization):
    window = authorization.operations[0].window
    authorization.operations.append(OpRule(operation=Operation.OPERATION_SCRAP, max_total=1, window=window))


STRAYS = {
    "WRONG_FACTORY": lambda a: setattr(a, "factory_id", AWAY),
    "WRONG_EDGEHSM": lambda a: setattr(a, "edgehsm_id", "th-01-b"),
    "WRONG_EPOCH": lambda a: setattr(a, "epoch", 2),
    "WRONG_PRODUCT": lambda a: setattr(a, "product_id", bytes(16)),
    "WRONG_PRODUCT_VERSION": lambda a: setattr(a, "version_digest", bytes(32)),
    "DEPENDENCY_MISSING": lambda a: setattr(a, "grant_digest", bytes(32)),
    "EDGE_CAP_EXCEEDED": lambda a: setattr(a, "quantity", 10_000),
    "GRANT_EXCEEDED": lambda a: setattr(a.operations[0], "max_total", 10_000),
    "WINDOW_CLOSED": lambda a: setattr(a.window, "ends_at", a.window.ends_at + 400 * 86400),
    "OPERATION_NOT_GRANTED": _operations,
    "SEQUENCE_GAP": lambda a: setattr(a, "sequence", a.sequence + 1),
    "CERTIFICATE_LINT_FAILED": lambda a: setattr(a.template, "product_code", 0x8002),
    "SEAL_INVALID": lambda a: None,  # the control: within every scope, it gets as far as its package
}


@pytest.mark.parametrize("word", STRAYS)
async def test_the_cloud_s_own_key_cannot_stray(mesh, word):
    batch = await mesh.batch(mesh.bulb, 1)
    delivery = await mesh.couriers[HOME].packages(batch.auth_id)
    authorization = parse_closed(AUTHORIZATION, delivery.authorization.authorization.payload)
    authorization.auth_id = os.urandom(16)
    authorization.sequence += 1
    STRAYS[word](authorization)
    signed = make_envelope(
        AUTHORIZATION, authorization.SerializeToString(deterministic=True), [Forge.of(mesh).keys.online]
    )
    delivery.authorization.authorization.CopyFrom(signed)

    async with mesh.couriers[HOME].at_the_front(mesh.address(f"{HOME}-front")) as channel:
        result = await deliver(channel, delivery)

    assert (result.accepted, result.reason) == (False, word), result.what
    assert not await mesh._holds(HOME, authorization.auth_id)
