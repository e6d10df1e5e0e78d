"""M18, and with it every row the demo shows: 21 products of 5 ODMs made at 5 factories at once, through a cut link and a
killed boundary, and a proof at the end that anybody can check. The short edition: fewer devices, all else the same.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

DEVICES = 4
REFUSALS = {
    "QUOTA_EXCEEDED",
    "WINDOW_CLOSED",
    "WRONG_FACTORY",
    "SIGNATURE_INVALID",
    "REPLAYED",
    "DEVICE_KEY_CHANGED",
}


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "d"
    command = [sys.executable, "-m", "loadtest.demo", "--devices", str(DEVICES), "--folder", str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    return ran, folder


@pytest.mark.ci
@pytest.mark.serial
@pytest.mark.timeout(300)
def test_the_demo_holds_every_invariant(played):
    ran, folder = played
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]

    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["products"], summary["factories"]) == (21, 5)
    assert summary["devices_issued"] == summary["records_in_cloud"] == summary["devices_requested"] == 21 * DEVICES
    assert (summary["lost"], summary["duplicated"], summary["over_issued"]) == (0, 0, 0)
    assert summary["refusals"].keys() == REFUSALS
    assert summary["outage_seconds"] > 0
    assert summary["kills"] == 1
    assert summary["verified"] is summary["same_dac"] is summary["reworked"] is True
    assert summary["record_lag_p99_seconds"] <= 60


@pytest.mark.ci
@pytest.mark.timeout(300)
def test_its_output_fits_eighty_columns(played):
    ran, _ = played

    assert [line for line in ran.stdout.splitlines() if len(line) > 80] == []


@pytest.mark.ci
@pytest.mark.timeout(300)
def test_nothing_of_it_is_left_running(played):
    _, folder = played
    left = [path.name for path in Path("/proc").glob("[0-9]*/cmdline") if str(folder).encode() in _text(path)]

    assert left == []


def _text(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""
