"""What the lint says: a finding, and the form of a check."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from obis.matter.certificate import Certificate
from obis.matter.errors import MatterError


class Kind(StrEnum):
    """Which certificate of the chain is judged."""

    PAA = "PAA"
    PAI = "PAI"
    DAC = "DAC"


class Severity(StrEnum):
    """An error is never issued; a warning is allowed by the specification and not how we do it."""

    ERROR = "ERROR"
    WARNING = "WARNING"


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule: its id in docs/matter.md, how grave, and what is wrong in words."""

    rule: str
    severity: Severity
    what: str

    def __str__(self) -> str:
        """The rule and the words, for a log or a refusal."""
        return f"{self.rule}: {self.what}"


Check: TypeAlias = Callable[[Certificate, Kind], Iterator[str]]
"""Yields what is wrong, once per fault; yields nothing for a certificate that obeys."""


def errors_of(findings: Iterable[Finding]) -> list[Finding]:
    """The findings for which nothing may be issued."""
    return [finding for finding in findings if finding.severity is Severity.ERROR]


def finding_of(error: MatterError) -> Finding:
    """A reader's refusal, whose text begins with its rule id, as a finding."""
    rule, _, what = error.what.partition(": ")
    return Finding(rule, Severity.ERROR, what)
