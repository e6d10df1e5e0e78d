"""M1: at the factory nothing is done without a signed authorization: EdgeHSM itself refuses, whoever asks.

A station with a genuine certificate asks EdgeHSM's own port for a DAC, for leave to program, for an outcome and for Secure
Debug under an authorization that nobody admitted; then the same under one that was. A station whose certificate EdgeHSM
never gave out is refused too, however good its certificate looks.
"""

import os

from obis.mesh.identity import Identity, Role
from obis.v1.provisioning_pb2 import CloseDebug, ReopenDebugRequest
from obis.v1.reason_pb2 import Reason
from tests.scenarios.devices import Device, reason
from tests.scenarios.identities import Forge
from tests.scenarios.mesh import HOME

SOC = "generic-thread"


async def test_every_operation_is_refused_without_an_admitted_authorization(mesh):
    nobodys, device, before = os.urandom(16), Device(SOC), await mesh.status(HOME)

    replies = await mesh.steps(
        HOME,
        device.issue(nobodys),
        device.firmware(nobodys, bytes(32)),
        device.outcome(nobodys, reason=Reason.REASON_DEVICE_TEST_FAILED),
    )
    opened = await mesh.debug(HOME, ReopenDebugRequest(open=device.open_debug(nobodys)))
    closing = CloseDebug(session_id=os.urandom(16), device=device.id, report=device.report(nobodys, bytes(16)))
    closed = await mesh.debug(HOME, ReopenDebugRequest(close=closing))

    assert [reason(each) for each in replies] == ["AUTHORIZATION_UNKNOWN"] * 3
    assert (reason(opened), reason(closed)) == ("AUTHORIZATION_UNKNOWN", "DEBUG_SESSION_UNKNOWN")
    after = await mesh.status(HOME)
    assert [each.used for each in after.authorizations] == [each.used for each in before.authorizations]


async def test_the_same_is_done_under_an_admitted_one(mesh):
    batch, device = await mesh.batch(mesh.bulb, 2), Device(SOC)

    issued = await mesh.step(HOME, device.issue(batch.auth_id))
    leave = await mesh.step(HOME, device.firmware(batch.auth_id, (await mesh.manifest(mesh.bulb)).firmware_digest))
    opened = await mesh.debug(HOME, ReopenDebugRequest(open=device.open_debug(batch.auth_id)))
    session = opened.opened.session_id
    closing = CloseDebug(session_id=session, device=device.id, report=device.report(batch.auth_id, session))
    closed = await mesh.debug(HOME, ReopenDebugRequest(close=closing))

    assert issued.issued.dac_der, reason(issued)
    assert leave.HasField("firmware"), reason(leave)
    assert (reason(opened), reason(closed)) == ("", "")
    kinds = [each.WhichOneof("entry") for each in await mesh.leaves(HOME, issued.issued.log_index)]
    assert kinds[:4] == ["issued", "firmware_authorized", "debug_opened", "debug_closed"]


async def test_a_perfect_station_certificate_that_no_ticket_stands_behind_gets_nothing(mesh):
    """Who steals the site CA's key can open a connection; EdgeHSM enrolled no such key, so its gate says no."""
    batch, device = await mesh.batch(mesh.bulb, 1), Device(SOC)
    stolen = Forge.of(mesh).by_right_ca(Identity(Role.STATION, "bench", HOME))

    reply = await mesh.step(HOME, device.issue(batch.auth_id), own=stolen)

    assert reason(reply) == "STATION_NOT_ENROLLED"
    assert reason(await mesh.step(HOME, device.issue(batch.auth_id))) == ""


async def test_a_ticket_for_one_product_is_good_for_no_other(mesh):
    key, ticket = mesh.station_ticket(HOME, "narrow", product_ids=[os.urandom(16)])
    narrow = key.certified(await mesh.enrol_station(HOME, key, ticket))
    batch, device = await mesh.batch(mesh.bulb, 1), Device(SOC)

    reply = await mesh.step(HOME, device.issue(batch.auth_id), own=narrow)

    assert reason(reply) == "STATION_NOT_ENROLLED"
