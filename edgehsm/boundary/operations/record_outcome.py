"""How a unit ended, with who vouches for it. No window, quantity or revocation stops a record of what was made.

1. The device was made here under this Authorization, and the station may speak of it.
2. A report, if there is one, is the chip's and fits (`report`): CHIP_SIGNED; without one it is STATION_REPORTED.
3. A PASS needs the Grant's least evidence.
4. A PASS is final: the same outcome again gives the same index, another one is OUTCOME_CONFLICT. A failed unit may be
tried again, and has a leaf for each end.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgehsm.boundary.book import Book
from edgehsm.boundary.ledger import Device, Standing
from edgehsm.boundary.operations import Asker, made_device
from edgehsm.boundary.operations.report import read_report, require_as_granted
from obis.refusal import Refused
from obis.v1.envelope_pb2 import Envelope
from obis.v1.leaf_pb2 import LogLeaf, OutcomeLeaf
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import EvidenceLevel


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the station says."""

    passed: bool
    reason: Reason.ValueType
    report: Envelope | None
    duration_ms: int = 0
    test_result_digest: bytes = b""

    def __post_init__(self) -> None:
        """Raises Refused MALFORMED for a pass with a reason, a fail without one, or a digest that is none."""
        if self.passed == bool(self.reason) or self.reason not in Reason.values():
            raise Refused(Reason.REASON_MALFORMED, "a pass has no reason, a fail has one", "outcome.reason")
        if len(self.test_result_digest) not in (0, 32):
            raise Refused(Reason.REASON_MALFORMED, "not a SHA-256 digest", "outcome.test_result_digest")


def record_outcome(book: Book, asker: Asker, outcome: Outcome) -> tuple[int, EvidenceLevel.ValueType]:
    """Index of the leaf, and the evidence in it. Raises Refused."""
    standing, device = made_device(book, asker, stopped_too=True)
    leaf = OutcomeLeaf(
        auth_id=asker.auth_id,
        device=asker.device_id,
        passed=outcome.passed,
        reason=outcome.reason,
        evidence=_evidence(book, asker, standing, device, outcome),
        report=outcome.report,
        duration_ms=outcome.duration_ms,
        test_result_digest=outcome.test_result_digest,
    )
    index = _recorded(book, device, leaf)
    if index is None:
        index = book.write(LogLeaf(outcome=leaf), asker.station)
        book.note_outcome(standing, asker.device, index, passed=outcome.passed)
    return index, leaf.evidence


def _evidence(
    book: Book, asker: Asker, standing: Standing, device: Device, outcome: Outcome
) -> EvidenceLevel.ValueType:
    """Rules 2 and 3."""
    evidence = EvidenceLevel.EVIDENCE_LEVEL_STATION_REPORTED
    if outcome.report is not None:
        issued = book.leaf(device.issued_index).issued
        said = read_report(outcome.report, asker, issued, issued.boundary_nonce)
        if outcome.passed:
            manifest = book.holdings.grants[standing.grant_digest].manifest
            require_as_granted(said, standing.grant, manifest.chip_security)
        evidence = EvidenceLevel.EVIDENCE_LEVEL_CHIP_SIGNED
    if outcome.passed and evidence < standing.grant.minimum_evidence:
        raise Refused(Reason.REASON_EVIDENCE_TOO_LOW, "the grant asks for more evidence of a pass", "outcome.report")
    return evidence


def _recorded(book: Book, device: Device, leaf: OutcomeLeaf) -> int | None:
    """Rule 4: the index of the same outcome, None where a new leaf is due."""
    if device.outcome_index < 0:
        return None
    if book.leaf(device.outcome_index).outcome == leaf:
        return device.outcome_index
    if device.passed:
        raise Refused(Reason.REASON_OUTCOME_CONFLICT, "the unit has passed already, with another record", "outcome")
    return None
