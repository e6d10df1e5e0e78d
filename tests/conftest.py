"""What every test gets: back ends that are asked for by name, and an end of the run that says what was not tested."""

from __future__ import annotations

import time
import tomllib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.back_ends import BACK_ENDS, required
from tests.tree import sources, text

TESTS = Path(__file__).parent
BUDGET = tomllib.loads((TESTS / "budget.toml").read_text())
LONG_FILE = 300  # lines; tests/test_architecture.py fails a little later
_spent: dict[str, float] = defaultdict(float)


def pytest_configure(config: pytest.Config) -> None:
    required()  # a misspelt OBIS_REQUIRE stops the run before it can look green


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            missing = BACK_ENDS[name]()
            if missing and name in required():
                pytest.fail(f"OBIS_REQUIRE={name}: {missing}", pytrace=False)
            if missing:
                pytest.skip(f"{name}: {missing}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item):
    started = time.monotonic()
    try:
        return (yield)
    finally:
        _spent[programme(item.path)] += time.monotonic() - started


def programme(path: Path) -> str:
    """The row of budget.toml that a test file counts on: its first folder under tests/."""
    parts = path.relative_to(TESTS).parts
    return parts[0] if len(parts) > 1 else "top"


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    _say_what_was_skipped(terminalreporter)
    for path in sources():
        lines = len(text(path).splitlines())
        if lines > LONG_FILE:
            terminalreporter.write_line(f"long: {path} has {lines} lines", yellow=True)
    rows = BUDGET["ci" if config.option.markexpr == "ci" else "test"]
    for name, seconds in sorted(_spent.items()):
        if seconds > rows.get(name, 0):
            terminalreporter.write_line(
                f"over budget: {name} took {seconds:.0f} s of {rows.get(name, 0)} s", yellow=True
            )


def _say_what_was_skipped(terminalreporter) -> None:
    why: dict[str, int] = defaultdict(int)
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        why[reason.removeprefix("Skipped: ")] += 1
    for reason, count in sorted(why.items()):
        terminalreporter.write_line(f"not tested: {count} skipped, {reason}", yellow=True)
    if not why:
        terminalreporter.write_line("nothing was skipped")


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> Callable[[float], float]:
    """How long a time-boxed test may run: `seconds(0.2)` is a fifth of its programme's row."""
    table = BUDGET["ci" if request.node.get_closest_marker("ci") else "test"]
    return lambda share: table[programme(request.path)] * share
