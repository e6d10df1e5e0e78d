"""M10, M11, N19: the line runs with the cloud gone, nothing is lost or doubled, and anybody may ask how far it is.

The cloud is killed with -9 while two authorizations run at once on one EdgeHSM; the Factory Service is killed with -9 too.
Devices go on leaving the line. The station asks whether its records are in the cloud: no. Cloud and Factory Service
come back, and within seconds every device is there once: yes.
"""

import asyncio
from itertools import pairwise

import pytest

from loadtest.demo.failure import DemoFailed
from obis.v1.trace_pb2 import SummarizeRequest
from tests.scenarios.mesh import HOME, PATIENCE, eventually

pytestmark = pytest.mark.ci
COUNT = 4


async def test_the_line_goes_on_without_cloud_and_every_record_arrives_once(mesh, later):
    batches = [await mesh.batch(goods, COUNT + 1) for goods in (mesh.bulb, later.goods)]
    first = [each for batch in batches for each in await mesh.provision(batch, 1)]  # the firmware is on site by now
    await mesh.in_cloud(HOME, first)
    repeats_before = (await mesh.crew.oem.trace.Summarize(SummarizeRequest(), timeout=PATIENCE)).repeats

    mesh.stage.processes.kill("cloud")
    try:
        devices = await _made_without_cloud(mesh, batches)
    finally:
        mesh.stage.processes.restart("cloud")
    await mesh.stage.processes.listening("cloud", mesh.address("cloud"))
    await mesh.in_cloud(HOME, devices)

    await eventually(lambda: _told_all(mesh), "the station is told that all its records are in the cloud", 15)
    for batch in batches:
        records = await mesh.records(batch)
        assert len(records) == len({each.dac_serial for each in records}) == COUNT + 1
        assert {each.auth_id for each in records} == {batch.auth_id}
    wanted = {each["uid"] for each in [*first, *devices]}
    assert wanted == {record.device.uid.hex() for batch in batches for record in await mesh.records(batch)}
    summary = await mesh.crew.oem.trace.Summarize(SummarizeRequest(), timeout=PATIENCE)
    assert summary.repeats >= repeats_before  # what came again was recognised, not stored

    order = [each["auth_id"] for each in sorted(devices, key=lambda each: each["log_index"])]
    assert sum(before != after for before, after in pairwise(order)) >= 1, "the two authorizations ran one by one"


async def _made_without_cloud(mesh, batches):
    """Two authorizations at once; in the middle of it the Factory Service is killed as well."""
    made = await asyncio.gather(*(mesh.provision(each, 2) for each in batches))
    mesh.stage.processes.kill(f"{HOME}-service")
    try:
        made += await asyncio.gather(*(mesh.provision(each, 2) for each in batches))
    finally:
        mesh.stage.processes.restart(f"{HOME}-service")
    devices = [each for events in made for each in events]
    assert [each["result"] for each in devices] == ["PASS"] * 2 * COUNT
    await eventually(lambda: _buffered(mesh, devices), "the Factory Service has them all")
    said = await _asked(mesh)
    assert said["in_cloud"] < said["asked"]
    return devices


async def test_a_cut_link_is_said_at_the_station_and_mended(mesh):
    """The same for the link alone: per device, asked at the station."""
    batch = await mesh.batch(mesh.bulb, 2)
    await mesh.provision(batch, 1)
    await eventually(lambda: _told_all(mesh), "all is in the cloud to begin with")

    mesh.link.cut()
    try:
        (device,) = await mesh.provision(batch, 1)
        cut = await _asked(mesh)
    finally:
        mesh.link.restore()
    await eventually(lambda: _told_all(mesh), "the rest arrives once the link is back", 20)

    assert device["result"] == "PASS"
    assert 0 < cut["in_cloud"] < cut["asked"]
    assert cut["cosigned_size"] <= device["log_index"]


async def _asked(mesh):
    """What `{"do": "records"}` says of all leaves of this station's run."""
    events = await mesh.floor(HOME).talker.do("records")
    return next(each for each in events if each["event"] == "records")


async def _told_all(mesh) -> bool:
    said = await _asked(mesh)
    return said["asked"] == said["in_cloud"]


async def _buffered(mesh, devices) -> bool:
    """A Factory Service that is still starting has nothing to say."""
    try:
        return (await _asked(mesh))["buffered_size"] > max(each["outcome_index"] for each in devices)
    except DemoFailed:
        return False
