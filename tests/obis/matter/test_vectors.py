"""The public vectors of the Matter SDK: what they accept we accept, what they refuse we refuse, and what is excused."""

import pytest

from obis.matter.findings import errors_of
from obis.matter.lint_chain import lint_chain
from tests.obis.matter.agreement import BEGIN, END, EXCUSED, NOW, PAGE, table, verdict
from tests.obis.matter.vectors import cases, chain

CHAINS = [
    ("PAA-FFF1", "PAI-FFF1-8000", "DAC-FFF1-8000-0000"),
    ("PAA-FFF1", "PAI-FFF1-8000", "DAC-FFF1-8000-0001"),
    ("PAA-NoVID", "PAI-FFF2-8001", "DAC-FFF2-8001-0008"),
]


def test_all_cases_are_here():
    assert (len(cases()), sum(case.accepted for case in cases())) == (68, 21)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_our_verdict_is_the_vectors(case):
    assert verdict(case).agrees != (case.name in EXCUSED)


@pytest.mark.parametrize("names", CHAINS, ids=lambda names: names[-1])
def test_the_sdks_own_chains_have_no_error(names):
    assert errors_of(lint_chain(*map(chain, names), NOW)) == []


def test_a_chain_under_the_wrong_root_is_refused():
    findings = lint_chain(chain("PAA-NoVID"), chain("PAI-FFF1-8000"), chain("DAC-FFF1-8000-0000"), NOW)

    assert sorted({finding.rule for finding in findings}) == ["X01", "X04", "X05"]


def test_the_page_shows_the_table():
    shown = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]

    assert shown == table(), "run python -m tests.obis.matter.agreement"
