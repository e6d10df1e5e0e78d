"""`obis verify DIR --fingerprint HEX`: judge an export with no server, no account and no other key.

Exit status 0: everything holds, under the trust root you named. 3: everything holds, but you named no fingerprint, so
nothing but the export itself says whose it is. 1: refused; the reason, what is wrong and where. 2: wrong usage.
All bytes are read once, before anything is judged, so that what was hashed is what was read.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from obis.refusal import Refused, word
from obis.trust.verify import Verdict, verify_export
from obis.v1.reason_pb2 import Reason

REFUSED: Final = 1
NOT_CONFIRMED: Final = 3
WIDTH: Final = 80
LISTED_UNITS: Final = 10


def verify(
    directory: Annotated[
        Path, typer.Argument(help="The export: a folder with manifest.dsse.", exists=True, file_okay=False)
    ],
    fingerprint: Annotated[
        str | None, typer.Option(help="SHA-256 of the first trust root, 64 hex digits, from somebody you trust.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> None:
    """Check an export offline: signatures, certificates, logs and counts."""
    pinned = None if fingerprint is None else parse_fingerprint(fingerprint)
    console = Console(width=WIDTH, highlight=False)
    try:
        verdict = verify_export(read_export(directory), pinned)
    except Refused as refused:
        show_refusal(console, refused, as_json=as_json)
        raise typer.Exit(REFUSED) from refused
    if as_json:
        typer.echo(json.dumps(verdict.as_dict(), indent=2))
    else:
        show(console, verdict)
    if not verdict.is_confirmed:
        raise typer.Exit(NOT_CONFIRMED)


def parse_fingerprint(text: str) -> bytes:
    """32 bytes from 64 hex digits, which may be grouped by colons or spaces. Raises typer.BadParameter."""
    digits = re.sub(r"[\s:]", "", text)
    if not re.fullmatch(r"[0-9a-fA-F]{64}", digits):
        raise typer.BadParameter("a fingerprint is 64 hex digits", param_hint="--fingerprint")
    return bytes.fromhex(digits)


def read_export(directory: Path) -> dict[str, bytes]:
    """Every file below the folder, by its path in it. Raises Refused for a link or a device: an export has none."""
    files: dict[str, bytes] = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise Refused(Reason.REASON_DIGEST_MISMATCH, "neither a file nor a folder", name)
        if path.is_file():
            files[name] = path.read_bytes()
    return files


def show_refusal(console: Console, refused: Refused, *, as_json: bool) -> None:
    """Say what is wrong, where, and what to do."""
    reason = word(refused.reason)
    if as_json:
        said = {"verdict": "refused", "reason": reason, "what": refused.what, "where": refused.where}
        typer.echo(json.dumps(said, indent=2))
        return
    console.print(f"[bold red]REFUSED[/]  {reason}")
    console.print(f"  what   {refused.what}", markup=False, soft_wrap=False)
    console.print(f"  where  {refused.where}", markup=False, soft_wrap=False)
    console.print("This export does not prove what it claims. Trust nothing in it.")


def show(console: Console, verdict: Verdict) -> None:
    """The verdict in at most 80 columns."""
    if verdict.is_confirmed:
        console.print(f"[bold green]VERIFIED[/]  {verdict.mesh_name}")
    else:
        console.print(f"[bold yellow]ROOT NOT CONFIRMED[/]  {verdict.mesh_name}")
        console.print("All of it fits together, but only the export says whose it is: compare the")
        console.print("fingerprint below with one from somebody you trust (--fingerprint).")
    for table in (_facts(verdict), _products(verdict), _logs(verdict)):
        console.print()
        console.print(table)
    _show_units(console, verdict)


def _facts(verdict: Verdict) -> Table:
    table = Table.grid(padding=(0, 2))
    issued, replaced = verdict.total("issued"), verdict.total("replaced")
    rows = {
        "fingerprint": verdict.fingerprint,
        "trust root": f"version {verdict.root_version}",
        "exported": f"{_time(verdict.exported_at)}, {_many(verdict.files, 'file')}",
        "covers": verdict.organisation_id or "every organisation",
        "signed": _signed(verdict),
        "certified": f"{_many(verdict.pais, 'PAI')}, {_many(issued + replaced, 'DAC')} ({replaced} replacements)",
        "devices": f"{issued} issued, {verdict.total('passed')} passed",
        "refused": _counted(verdict.refusals),
        "time": _counted(verdict.time_quality),
        "evidence": _counted(verdict.evidence),
    }
    if verdict.under_older_roots:
        rows["older roots"] = f"{_many(verdict.under_older_roots, 'object')} signed by keys that have left since"
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _signed(verdict: Verdict) -> str:
    counts = {"rule": verdict.rules, "Grant": verdict.grants, "approval": verdict.approvals}
    counts["Authorization"] = verdict.authorizations
    return ", ".join(_many(count, name) for name, count in counts.items())


def _many(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


def _products(verdict: Verdict) -> Table:
    table = Table("product", title="Products", title_justify="left", box=None)
    for column in ("issued", "authorized", "granted", "ever"):
        table.add_column(column, justify="right")
    for line in verdict.products:
        table.add_row(
            line.name[:32], str(line.issued), str(line.authorized), str(line.granted), str(line.lifetime_quantity)
        )
    return table


def _logs(verdict: Verdict) -> Table:
    """What came after the witness last saw a log is not in it: so its time stands beside it."""
    table = Table("EdgeHSM", "epoch", title="Logs", title_justify="left", box=None)
    for column in ("leaves", "issued", "passed", "failed", "no outcome"):
        table.add_column(column, justify="right")
    table.add_column("witnessed (UTC)", no_wrap=True)
    for line in verdict.logs:
        counts = (line.leaves, line.issued, line.passed, line.failed, line.abandoned)
        seen = _time(line.cosigned_at).removesuffix(" UTC").removeprefix(_time(verdict.exported_at)[:10] + " ")
        table.add_row(line.edgehsm_id, str(line.epoch), *map(str, counts), seen)
    return table


def _show_units(console: Console, verdict: Verdict) -> None:
    units = [*verdict.failed_units, *verdict.abandoned_units]
    if units:
        console.print("\nDevices that failed, or of which nobody said what became", style="italic")
    for unit in units[:LISTED_UNITS]:
        line = f" {unit.soc} {unit.uid}  {unit.edgehsm_id}/{unit.epoch}  {unit.reason}"
        console.print(line, markup=False, overflow="ellipsis", no_wrap=True)
    if len(units) > LISTED_UNITS:
        console.print(f"and {len(units) - LISTED_UNITS} more that failed or have no outcome (--json lists them)")


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
