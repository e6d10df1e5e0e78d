"""One station, one EdgeHSM, chips: all real processes, mutual TLS between them. No cloud, no Factory Service."""

import pytest

from tests.station.conftest import ChipProcess
from tests.station.site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    running = Site(tmp_path_factory.mktemp("site"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    chips = ChipProcess(tmp_path_factory.mktemp("pool"), "generic-wifi", "--slots", "4", "--pool", "--faults")
    yield chips
    chips.stop()


@pytest.fixture(scope="module")
def orders(site):
    return (
        site.batch(auth_id=b"a" * 16, quantity=12),
        site.batch(auth_id=b"b" * 16, quantity=3, sequence=2),
        site.batch(auth_id=b"c" * 16, quantity=30, sequence=3),
    )


@pytest.fixture(scope="module")
def station(site, pool, orders):
    sockets = "".join(
        f'[[socket]]\nname = "a{slot}"\nsoc = "generic-wifi"\naddress = "{pool.address}"\nslot = {slot}\npool = true\n'
        for slot in range(4)
    )
    return site.station(sockets, *orders)


def test_the_story_of_one_line(station, orders, site):
    """Units, a lost answer, a clone, faults, the quantity's end, rework; and the log tells the same."""
    first, second, third = (each.auth_id.hex() for each in orders)
    assert station.do(do="provision", auth_id=first, count=6)["counts"] == {"PASS": 6}
    devices = station.of("device")
    assert [each["trips"] for each in devices] == [2] * 6
    assert {each["evidence"] for each in devices} == {"CHIP_SIGNED"}

    assert station.do(do="retry_same", auth_id=first)["counts"] == {"PASS": 1}
    assert station.of("device")[-1]["repeated"]
    assert station.of("device")[-1]["same_dac"]

    assert station.do(do="other_key", auth_id=first)["counts"] == {"REFUSED": 1}
    assert station.of("device")[-1]["reason"] == "DEVICE_KEY_CHANGED"

    assert station.do(do="fault", auth_id=first, kind="power_cut", after=4)["counts"] == {"PASS": 1}
    assert station.do(do="fault", auth_id=first, kind="flipped_frame", after=3)["counts"] == {"PASS": 1}

    assert station.do(do="provision", auth_id=second, count=5)["counts"] == {"PASS": 3, "REFUSED": 2}
    assert {each["reason"] for each in station.of("device")[-5:]} == {"", "QUANTITY_SPENT"}

    assert station.do(do="rework", auth_id=first, reason="LED dead", operator="badge 7")["counts"] == {"PASS": 1}
    kill_in_mid_issue(station, site, third)

    end = station.quit()
    assert end["counts"] == {"PASS": 42, "REFUSED": 3}

    leaves = {kind: site.leaves(kind) for kind in ("issued", "outcome", "debug_opened", "debug_closed")}
    (opened,), (closed,) = leaves["debug_opened"], leaves["debug_closed"]
    assert (opened.rework_reason, opened.session_id) == ("LED dead", closed.session_id)
    assert len({each.device.uid for each in leaves["issued"]}) == len(leaves["issued"]) == 42
    assert sum(each.passed for each in leaves["outcome"]) == 42


def kill_in_mid_issue(station, site, auth_id: str) -> None:
    """The boundary dies by SIGKILL and comes back; units in flight wait, and each is made once."""
    station.tell(do="provision", auth_id=auth_id, count=30)
    for _ in range(6):
        station.wait("device")
    site.boundary.restart()
    site.boundary.connection.close()  # the front wants its place back
    assert station.wait("done")["counts"] == {"PASS": 30}
