"""How it went: the invariants, the summary, and the proof that anybody can check without this runner.

The counts come from three places that share no code path: what stations reported, what the cloud recorded, and what
`obis verify` finds in the export.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from loadtest.demo.failure import CALL_SECONDS
from loadtest.demo.incidents import Happened
from loadtest.demo.line import Floor, Made, interleavings
from loadtest.demo.people import Crew
from loadtest.demo.processes import python
from loadtest.demo.stage import Stage
from obis.v1.batches_pb2 import ListBatchesRequest
from obis.v1.trace_pb2 import ProductionRecord, StreamRecordsRequest, SummarizeRequest

LONGEST_LAG_SECONDS = 60.0


@dataclass(frozen=True)
class Summary:
    """build/demo/summary.json."""

    fingerprint: str
    products: int
    factories: int
    devices_requested: int
    devices_issued: int
    records_in_cloud: int
    lost: int
    duplicated: int
    over_issued: int
    refusals: dict[str, int]
    outage_seconds: float
    drain_seconds: float
    record_lag_p99_seconds: float
    record_lag_p99_all_seconds: float
    kills: int
    devices_per_second: float
    verified: bool
    results: dict[str, int]
    made_in_outage: int
    same_dac: bool
    reworked: bool
    interleavings: dict[str, int]
    seconds: float
    export: str
    failures: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


@dataclass(frozen=True)
class Cloud:
    """What the cloud has."""

    records: int
    duplicated: int
    uids: frozenset[tuple[str, str]]
    over_issued: int
    lag_p99_seconds: float  # of the factories whose link stayed up
    lag_p99_all_seconds: float  # of all


async def ask_cloud(crew: Crew, cut: str) -> Cloud:
    """Count the records one by one. `cut` is the factory whose link was cut."""
    summary = await crew.oem.trace.Summarize(SummarizeRequest(), timeout=CALL_SECONDS)
    batches = (await crew.oem.batches.ListBatches(ListBatchesRequest(), timeout=CALL_SECONDS)).batches
    devices: Counter[tuple[str, str]] = Counter()
    serials: Counter[bytes] = Counter()
    lags: list[int] = []
    async for record in _records(crew, summary.records):
        devices[record.device.soc, record.device.uid.hex()] += 1
        serials[record.dac_serial] += 1
        if record.factory_id != cut:
            lags.append(record.recorded_at - record.issued_at)
    repeated = sum(count - 1 for count in devices.values()) + sum(count - 1 for count in serials.values())
    over = sum(max(0, each.issued - each.quantity) for each in batches)
    return Cloud(
        sum(devices.values()),
        repeated,
        frozenset(devices),
        over,
        _percentile(lags, 0.99),
        summary.record_lag_p99_ms / 1000,
    )


def _percentile(values: list[int], share: float) -> float:
    """The nearest-rank percentile; 0 for no values."""
    return float(sorted(values)[math.ceil(share * len(values)) - 1]) if values else 0.0


async def _records(crew: Crew, count: int) -> AsyncIterator[ProductionRecord]:
    """The first `count` records."""
    stream = crew.oem.trace.StreamRecords(StreamRecordsRequest(), timeout=60)
    answers = aiter(stream)
    for _ in range(count):
        answer = await anext(answers)
        yield answer.record
    stream.cancel()


async def export_and_verify(stage: Stage, fingerprint: str) -> tuple[bool, str]:
    """`obis export` by the OEM's proposer, then `obis verify` by nobody in particular."""
    person = stage.plan.proposer.id
    folder = str(stage.folder / "export")
    home = str(stage.profile(person).home)
    secret = {person: stage.passphrase(person)}
    await stage.processes.run(python("obis-export", "obis.cli", "export", folder, secrets=secret, OBIS_HOME=home))
    status, said = await stage.processes.run_any(
        python("obis-verify", "obis.cli", "verify", folder, "--fingerprint", fingerprint)
    )
    return status == 0, said


async def trace_one(stage: Stage, device: str) -> str:
    """`obis trace` of one device, as the OEM's proposer sees it."""
    person = stage.plan.proposer.id
    home = str(stage.profile(person).home)
    secret = {person: stage.passphrase(person)}
    command = python("obis-trace", "obis.cli", "trace", "--device", device, secrets=secret, OBIS_HOME=home)
    return await stage.processes.run(command)


def lost(floors: list[Floor], cloud: Cloud) -> int:
    """Devices a station was given a DAC for, and the cloud has no record of."""
    issued = {(event["soc"], event["uid"]) for floor in floors for event in floor.made}
    return len(issued - cloud.uids)


def failures(
    stage: Stage, made: Made, cloud: Cloud, happened: Happened, floors: list[Floor], *, verified: bool
) -> list[str]:
    """Every invariant that does not hold, as a sentence."""
    wanted = len(stage.plan.products) * stage.plan.devices_per_product
    rules = {
        f"{made.issued} devices were issued, {wanted} were asked for": made.issued == wanted,
        f"{cloud.records} records in the cloud for {made.issued} devices": cloud.records == made.issued,
        f"{lost(floors, cloud)} records were lost": lost(floors, cloud) == 0,
        f"{cloud.duplicated} devices or serials stand twice": cloud.duplicated == 0,
        f"{cloud.over_issued} devices beyond their batches": cloud.over_issued == 0,
        f"record lag p99 of {cloud.lag_p99_seconds:.1f} s": cloud.lag_p99_seconds <= LONGEST_LAG_SECONDS,
        "no boundary was killed": bool(stage.processes.kills),
        "no link was cut": happened.outage_seconds > 0,
        "not every refusal was seen": len(happened.refusals) >= 6,
        "the same device and key did not get the same DAC": happened.same_dac,
        "Secure Debug was not opened and closed": happened.reworked,
        "no EdgeHSM ran two authorizations at once": any(interleavings(each) > 1 for each in floors),
        "the export does not verify": verified,
    }
    return [sentence for sentence, holds in rules.items() if not holds]


def summary_text(summary: Summary) -> str:
    """The summary for people, within 80 columns."""
    words = ", ".join(f"{word} {count}" for word, count in sorted(summary.refusals.items()))
    rows = [
        ("products, factories", f"{summary.products}, {summary.factories}"),
        ("devices requested, issued", f"{summary.devices_requested}, {summary.devices_issued}"),
        ("records in the cloud", f"{summary.records_in_cloud}"),
        ("lost, duplicated, over-issued", f"{summary.lost}, {summary.duplicated}, {summary.over_issued}"),
        ("refused", words),
        ("outage, drain", f"{summary.outage_seconds:.1f} s, {summary.drain_seconds:.1f} s"),
        ("made while the link was cut", f"{summary.made_in_outage}"),
        (
            "record lag, p99",
            f"{summary.record_lag_p99_seconds:.1f} s with the link up, {summary.record_lag_p99_all_seconds:.1f} s in all",
        ),
        ("boundaries killed with -9", f"{summary.kills}"),
        ("authorizations interleaved", ", ".join(f"{name} {n}" for name, n in summary.interleavings.items())),
        ("devices per second", f"{summary.devices_per_second:.1f}"),
        ("in all", f"{summary.seconds:.0f} s"),
        ("export verified", "yes" if summary.verified else "NO"),
    ]
    lines = [line for label, text in rows for line in _row(label, text)]
    return "\n".join([*lines, f"  fingerprint {summary.fingerprint}"])  # whole, to be copied


def _row(label: str, text: str) -> list[str]:
    import textwrap

    first, *rest = textwrap.wrap(text, 80 - 34) or [""]
    return [f"  {label:<32}{first}", *(f"{'':34}{each}" for each in rest)]


async def settle(seconds: float = 0.3) -> None:
    """A moment for what is on its way."""
    await asyncio.sleep(seconds)
