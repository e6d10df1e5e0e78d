"""What the verifier found, for people and for programs: nothing in it is taken on anybody's word but its signers'."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Unit:
    """A device that was issued and is not a good one: it failed, was scrapped, or nobody said what became of it."""

    soc: str
    uid: str
    edgehsm_id: str
    epoch: int
    auth_id: str
    reason: str


@dataclass(frozen=True)
class LogLine:
    """One EdgeHSM's log in one epoch: leaves, devices, and when the witness last saw it (Unix seconds)."""

    edgehsm_id: str
    epoch: int
    factory_id: str
    leaves: int
    issued: int
    replaced: int
    passed: int
    failed: int
    abandoned: int
    cosigned_at: int


@dataclass(frozen=True)
class ProductLine:
    """One product: devices made, authorized (of what is closed, made), granted, and that may ever be made."""

    product_id: str
    name: str
    issued: int
    authorized: int
    granted: int
    lifetime_quantity: int


@dataclass(frozen=True)
class Verdict:
    """An export that holds. `is_confirmed` is False where no fingerprint was given: then only the export says so."""

    is_confirmed: bool
    fingerprint: str
    mesh_name: str
    root_version: int
    exported_at: int
    organisation_id: str
    files: int
    rules: int
    grants: int
    approvals: int
    authorizations: int
    pais: int
    vault_acts: int
    under_older_roots: int
    products: list[ProductLine] = field(default_factory=list)
    logs: list[LogLine] = field(default_factory=list)
    failed_units: list[Unit] = field(default_factory=list)
    abandoned_units: list[Unit] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)
    time_quality: dict[str, int] = field(default_factory=dict)
    evidence: dict[str, int] = field(default_factory=dict)

    def total(self, name: str) -> int:
        """A column of `logs` summed up."""
        return sum(getattr(line, name) for line in self.logs)

    def as_dict(self) -> dict[str, object]:
        """For --json."""
        totals = {name: self.total(name) for name in ("leaves", "issued", "replaced", "passed", "failed", "abandoned")}
        return {"verdict": "confirmed" if self.is_confirmed else "root not confirmed", **asdict(self), **totals}


@dataclass
class Tally:
    """What is counted on the way through the logs."""

    refusals: Counter[str] = field(default_factory=Counter)
    time_quality: Counter[str] = field(default_factory=Counter)
    evidence: Counter[str] = field(default_factory=Counter)
