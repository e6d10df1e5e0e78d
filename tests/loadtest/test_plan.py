from collections import Counter

import pytest

from loadtest.demo.plan import read_plan
from loadtest.demo.stage import Stage, write_toml


@pytest.fixture(scope="module")
def plan():
    return read_plan()


def test_the_case_study_is_all_there(plan):
    assert len(plan.products) == 21
    assert len(plan.factories) == 5
    assert {each.country for each in plan.factories} == {"TH", "VN", "CN"}
    assert len({each.odm.id for each in plan.factories}) == 5
    assert len({each.soc for each in plan.products}) == 5
    assert len(plan.products) * plan.devices_per_product >= 2100


def test_one_adapter_serves_products_of_two_odms(plan):
    odms = {soc: {each.factory for each in plan.products if each.soc == soc} for soc in {x.soc for x in plan.products}}

    assert all(len(factories) >= 2 for factories in odms.values())


def test_two_of_three_sign_and_the_proposer_never_counts(plan):
    assert (len(plan.people), plan.threshold) == (3, 2)
    assert plan.proposer not in plan.signers
    assert len(plan.signers) == plan.threshold


def test_no_product_code_stands_twice(plan):
    assert Counter(each.product_code for each in plan.products).most_common(1)[0][1] == 1


def test_every_incident_has_its_place(plan):
    factories = {each.id for each in plan.factories}

    assert {getattr(plan.incidents, name) for name in plan.incidents.__dataclass_fields__} <= factories
    assert plan.incidents.closed_window != plan.incidents.wrong_factory


def test_the_short_edition_changes_the_quantity_alone(plan):
    short = plan.shortened(4)

    assert short.devices_per_product == 4
    assert short.products == plan.products


def test_a_written_configuration_is_read_back(tmp_path):
    import tomllib

    told = {
        "data": 'a "quoted" \\ path',
        "port": 5,
        "keep": True,
        "oem": {"name": "Acme"},
        "socket": [{"n": 1}, {"n": 2}],
    }

    assert tomllib.loads(write_toml(tmp_path / "x.toml", told).read_text()) == told


def test_the_stage_wipes_no_folder_of_somebody_else(plan, tmp_path):
    from loadtest.demo.board import Board
    from loadtest.demo.failure import DemoFailed

    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(DemoFailed, match="not the demo's"):
        Stage.empty(plan, Board(), tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_every_server_of_the_demo_has_a_port_of_its_own(plan, tmp_path):
    from loadtest.demo.board import Board

    stage = Stage.empty(plan, Board(), tmp_path / "demo")

    assert len(set(stage.ports.values())) == len(stage.ports) == 3 + 3 * 5
    assert stage.passphrase("anna") == stage.passphrase("anna") != stage.passphrase("boris")
