"""The test programmes together stay inside what `make test` and `.ci/run` may take."""

from tests.conftest import BUDGET, TESTS, programme


def test_make_test_fits_its_limit():
    assert sum(BUDGET["test"].values()) <= BUDGET["limits"]["test"]


def test_the_whole_ci_run_fits_its_limit():
    every = (BUDGET[table].values() for table in ("set_up", "test", "ci"))

    assert sum(map(sum, every)) <= BUDGET["limits"]["ci_run"]


def test_every_programme_has_its_row():
    programmes = {programme(path) for path in TESTS.rglob("test_*.py")}

    assert programmes <= BUDGET["test"].keys() & BUDGET["ci"].keys()
