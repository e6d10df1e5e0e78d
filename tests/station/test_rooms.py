"""Who in the station may know whom: chips are other processes, adapters hold no key and no policy."""

import re
from pathlib import Path

import pytest

from tests.tree import imported, sources, text, within

STATION = [path for path in sources() if within(path, "station")]
VIRTUAL = [path for path in STATION if within(path, "station/virtual")]
SILICON = [path for path in STATION if within(path, "station/silicon")]
PRODUCTS = r"espress|nordic|nrf\d|nxp|silabs|silicon.?labs|esp32|efr32|mcx|k32w|infineon|telink|st(m32|micro)"


@pytest.mark.parametrize("path", [path for path in STATION if path not in VIRTUAL], ids=str)
def test_a_station_knows_no_chip_s_inside(path):
    assert not [name for name in imported(path) if name.startswith("station.virtual")]


@pytest.mark.parametrize("path", VIRTUAL, ids=str)
def test_a_chip_knows_no_station(path):
    known = {"station.silicon.frames", "station.silicon.family", "station.silicon.registry"}
    names = {name for name in imported(path) if name.startswith("station.") and not name.startswith("station.virtual")}

    assert {".".join(name.split(".")[:3]) for name in names} <= known


@pytest.mark.parametrize("path", SILICON, ids=str)
def test_an_adapter_holds_no_key_no_policy_and_no_product(path):
    forbidden = ("grpc", "obis.trust", "obis.mesh", "station.session", "station.order", "cryptography")

    assert not [name for name in imported(path) if name.startswith(forbidden)]
    assert not re.search(PRODUCTS, text(path), re.IGNORECASE)


def test_a_session_does_nothing_itself():
    names = imported(Path("station/session.py"))

    assert not [
        name for name in names if name.startswith(("grpc", "asyncio", "os", "time", "secrets", "station.stream"))
    ]
