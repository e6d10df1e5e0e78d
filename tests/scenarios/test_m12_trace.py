"""M12: from a device to everything above it, and back: by RPC, and by `obis trace`.

From device id, DAC serial, batch or authorization one comes to the same record; with it come the signed objects and the
certificates above it and its own leaves, which are EdgeHSM's bytes and not the cloud's word.
"""

import json

import pytest
from cryptography import x509

from obis.trust.payload import AUTHORIZATION, parse_closed
from obis.v1.leaf_pb2 import LogLeaf
from obis.v1.scope_pb2 import DeviceId
from obis.v1.trace_pb2 import FindRequest
from tests.scenarios.mesh import HOME, PATIENCE


@pytest.fixture(scope="module")
async def made(mesh):
    """A batch with two devices, in the cloud."""
    batch = await mesh.batch(mesh.bulb, 2)
    devices = await mesh.provision(batch, 2)
    await mesh.in_cloud(HOME, devices)
    return batch, devices


def asked(batch, device):
    uid, serial = bytes.fromhex(device["uid"]), bytes.fromhex(device["serial"])
    return {
        "device": FindRequest(device=DeviceId(soc=device["soc"], uid=uid)),
        "serial": FindRequest(dac_serial=serial),
        "batch": FindRequest(batch_id=batch.batch_id),
        "authorization": FindRequest(auth_id=batch.auth_id),
    }


@pytest.mark.parametrize("by", ["device", "serial", "batch", "authorization"])
async def test_every_end_of_the_chain_leads_to_the_record(mesh, made, by):
    batch, devices = made
    found = await mesh.crew.oem.trace.Find(asked(batch, devices[0])[by], timeout=PATIENCE)
    uids = {each.device.uid.hex() for each in found.records}

    assert uids == ({each["uid"] for each in devices} if by in {"batch", "authorization"} else {devices[0]["uid"]})
    assert {(each.batch_id, each.auth_id, each.factory_id) for each in found.records} == {
        (batch.batch_id, batch.auth_id, HOME)
    }


async def test_a_device_comes_with_its_proof(mesh, made):
    batch, devices = made
    found = await mesh.crew.oem.trace.Find(asked(batch, devices[0])["device"], timeout=PATIENCE)
    (record,) = found.records
    types = {each.payload_type.split("vnd.obis.")[1].split(".")[0] for each in found.objects}
    issued = next(leaf for each in found.leaves if (leaf := LogLeaf.FromString(each)).HasField("issued"))

    assert {"authorization", "grant", "product-rule", "trust-root"} <= types
    assert issued.issued.dac_der == record.dac_der
    assert issued.index == devices[0]["log_index"]
    assert {each.WhichOneof("entry") for each in map(LogLeaf.FromString, found.leaves)} >= {"issued", "outcome"}
    dac = x509.load_der_x509_certificate(record.dac_der)
    assert dac.serial_number == int.from_bytes(record.dac_serial)
    issuers = [x509.load_der_x509_certificate(each) for each in found.certificates_der]
    assert any(dac.issuer == each.subject for each in issuers)
    authorization = next(each for each in found.objects if each.payload_type == AUTHORIZATION.text)
    assert parse_closed(AUTHORIZATION, authorization.payload).auth_id == batch.auth_id


@pytest.mark.parametrize("by", ["device", "serial", "batch", "authorization"])
async def test_the_command_answers_the_same(mesh, made, by):
    batch, (device, other) = made
    value = {
        "device": f"{device['soc']}:{device['uid']}",
        "serial": device["serial"],
        "batch": batch.batch_id.hex(),
        "authorization": batch.auth_id.hex(),
    }[by]

    status, said = await mesh.obis("trace", f"--{by}", value, person=mesh.stage.plan.proposer.id)

    assert status == 0
    assert device["uid"] in said
    assert (other["uid"] in said) == (by in {"batch", "authorization"})
    assert batch.auth_id.hex() in said.replace("\n", "")


async def test_the_command_speaks_json(mesh, made):
    _, (device, _) = made
    told = ("trace", "--device", f"{device['soc']}:{device['uid']}", "--json")

    status, said = await mesh.obis(*told, person=mesh.stage.plan.proposer.id)

    assert status == 0
    assert device["serial"] in json.dumps(json.loads(said))


async def test_nothing_is_found_for_what_nobody_made(mesh, made):
    status, _ = await mesh.obis(
        "trace", "--device", "generic-thread:00112233445566", person=mesh.stage.plan.proposer.id
    )

    assert status == 1
