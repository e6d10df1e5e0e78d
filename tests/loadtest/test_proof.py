import json
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from loadtest.demo.incidents import Happened
from loadtest.demo.line import Floor, Made, interleavings
from loadtest.demo.plan import read_plan
from loadtest.demo.proof import Cloud, Summary, _percentile, failures, lost, summary_text

PLAN = read_plan().shortened(2)
WORDS = ["QUOTA_EXCEEDED", "WINDOW_CLOSED", "WRONG_FACTORY", "SIGNATURE_INVALID", "REPLAYED", "DEVICE_KEY_CHANGED"]


def device(number, auth="a"):
    return {"event": "device", "uid": f"{number:04x}", "soc": "generic-wifi", "auth_id": auth, "log_index": number}


def floor(*events):
    made = Floor(PLAN.factories[0], [])
    for each in events:
        made.hear(each)
    return made


def good():
    floors = [floor(*(device(n, auth="ab"[n % 2]) for n in range(42)))]
    cloud = Cloud(42, 0, frozenset(("generic-wifi", f"{n:04x}") for n in range(42)), 0, 1.0, 30.0)
    happened = Happened(Counter(WORDS), 5.0, 1.0, 3, same_dac=True, reworked=True)
    return floors, cloud, happened


def broken(floors, cloud, happened, *, issued=42, kills=("cn-01-boundary",), verified=True):
    stage = SimpleNamespace(plan=PLAN, processes=SimpleNamespace(kills=list(kills)))
    made = Made(issued, Counter(PASS=issued), 10.0)
    return failures(stage, made, cloud, happened, floors, verified=verified)


def test_a_run_where_all_holds_has_no_failures():
    assert broken(*good()) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"records": 41}, "41 records in the cloud for 42 devices"),
        ({"uids": frozenset()}, "42 records were lost"),
        ({"duplicated": 1}, "1 devices or serials stand twice"),
        ({"over_issued": 2}, "2 devices beyond their batches"),
        ({"lag_p99_seconds": 61.0}, "record lag p99 of 61.0 s"),
    ],
)
def test_what_the_cloud_lacks_is_named(change, sentence):
    floors, cloud, happened = good()

    assert broken(floors, replace(cloud, **change), happened) == [sentence]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"issued": 41}, "41 devices were issued, 42 were asked for"),
        ({"kills": ()}, "no boundary was killed"),
        ({"verified": False}, "the export does not verify"),
    ],
)
def test_what_did_not_happen_is_named(change, sentence):
    assert sentence in broken(*good(), **change)


def test_a_refusal_that_did_not_come_is_named():
    floors, cloud, happened = good()
    del happened.refusals["REPLAYED"]

    assert broken(floors, cloud, happened) == ["not every refusal was seen"]


def test_lines_that_ran_one_after_another_are_not_two_authorizations_at_once():
    one_by_one = floor(*(device(n, auth="a" if n < 21 else "b") for n in range(42)))

    assert interleavings(one_by_one) == 1
    assert "no EdgeHSM ran two authorizations at once" in broken([one_by_one], *good()[1:])


def test_a_unit_without_dac_is_not_counted_as_made():
    refused = device(1) | {"log_index": None}

    assert floor(refused).made == []
    assert lost([floor(refused)], good()[1]) == 0


def test_percentiles_are_nearest_rank():
    assert _percentile(list(range(1, 101)), 0.99) == 99
    assert _percentile([7], 0.99) == 7
    assert _percentile([], 0.99) == 0


def test_the_summary_fits_eighty_columns_and_is_json(tmp_path):
    numbers = {name: 12345 for name, kind in Summary.__annotations__.items() if kind in {"int", "float"}}
    flags = {name: True for name, kind in Summary.__annotations__.items() if kind == "bool"}
    summary = Summary(
        fingerprint="ab" * 32,
        export="build/demo/export",
        refusals=dict.fromkeys(WORDS, 1),
        results={"PASS": 1},
        interleavings=dict.fromkeys("abcde", 10_000),
        **numbers,
        **flags,
    )
    summary.write(tmp_path / "summary.json")

    assert max(map(len, summary_text(summary).splitlines())) <= 80
    assert json.loads((tmp_path / "summary.json").read_text())["devices_issued"] == 12345


def test_the_wrong_refusal_is_no_refusal():
    from loadtest.demo.failure import DemoFailed

    with pytest.raises(DemoFailed, match="WINDOW_CLOSED was to come, WINDOW_NOT_OPEN came"):
        Happened().refuse("WINDOW_CLOSED", "WINDOW_NOT_OPEN", "a device after the window")
