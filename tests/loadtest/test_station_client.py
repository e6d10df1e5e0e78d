import asyncio
import subprocess
import sys
import textwrap

import pytest

from loadtest.demo.failure import DemoFailed
from loadtest.demo.station_client import StationClient

STATION = """
    import json, sys
    def say(**event): print(json.dumps(event), flush=True)
    say(event="ready", station="s1")
    for line in sys.stdin:
        told = json.loads(line)
        if told["do"] == "die": sys.exit(0)
        if told["do"] == "fail": say(event="error", id=told["id"], reason="MALFORMED", what="no such thing"); continue
        for number in range(told.get("count", 1)): say(event="device", id=told["id"], uid=f"{number:02x}", result="PASS")
        say(event="done", id=told["id"])
"""


@pytest.fixture
def process():
    command = [sys.executable, "-c", textwrap.dedent(STATION)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.fixture
async def station(process):
    heard = []
    client = StationClient("s1", process, heard.append)
    client.heard = heard
    yield client
    await client.quit()
    process.wait()


async def test_commands_side_by_side_get_their_own_events(station):
    assert (await station.ready)["station"] == "s1"

    two, three = await asyncio.gather(station.do("provision", count=2), station.do("provision", count=3))

    assert [each["event"] for each in two] == ["device", "device", "done"]
    assert len(three) == 4
    assert len([each for each in station.heard if each["event"] == "device"]) == 5


async def test_an_error_names_the_station_and_the_reason(station):
    with pytest.raises(DemoFailed, match="s1: fail: MALFORMED: no such thing"):
        await station.do("fail")


async def test_a_station_that_ends_fails_what_waits_for_it(station):
    with pytest.raises(DemoFailed, match="s1 has ended"):
        await station.do("die")
