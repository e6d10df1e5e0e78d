"""obis trace, obis records, obis summary, obis export, obis verify: what was made, and the proof of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from obis.cli.desk import columns, desk_of, show, with_cloud
from obis.cli.exits import Usage

if TYPE_CHECKING:
    from obis.cli.connection import Cloud
    from obis.cli.export_files import Exported
    from obis.v1.trace_pb2 import FindRequest, FindResponse

T = TypeVar("T")
QUIET_SECONDS: Final = 2.0  # without a record, end a listing
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def mount(main: typer.Typer) -> None:
    """Put these commands on the main one."""
    main.command("trace")(trace)
    main.command("records")(records)
    main.command("summary")(summary)
    main.command("export")(export)
    main.command("verify")(verify)


def trace(
    context: typer.Context,
    device: Annotated[str, typer.Option(help="soc:uid, the uid in hex.")] = "",
    serial: Annotated[str, typer.Option(help="A DAC's serial in hex.")] = "",
    batch: Annotated[str, typer.Option(help="A batch, 32 hex digits.")] = "",
    authorization: Annotated[str, typer.Option(help="An Authorization, 32 hex digits.")] = "",
    limit: Annotated[int, typer.Option(help="Most records.")] = 100,
    as_json: Json = False,
) -> None:
    """Everything tied to a device, a serial, a batch or an Authorization."""
    from obis.cli.approval import fetch_root
    from obis.cli.trace_tree import draw, trace_tree

    request = _query(device, serial, batch, authorization)
    request.limit = limit
    mesh = desk_of(context).profile.mesh()

    async def find(cloud: Cloud) -> tuple[FindResponse, str]:
        found = await cloud.trace.Find(request, timeout=30)
        return found, "" if as_json else draw(trace_tree(found, await fetch_root(mesh)))

    found, tree = with_cloud(context, find)
    show(found, as_json=as_json, lines=[tree])


def records(
    context: typer.Context,
    after: Annotated[int, typer.Option(help="Cursor of the last record seen.")] = 0,
    batch: Annotated[str, typer.Option(help="Only this batch, 32 hex digits.")] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Go on as new ones come.")] = False,
    as_json: Json = False,
) -> None:
    """Production Records in the order they came. With --json one object a line."""
    from obis.cli import plain
    from obis.cli.profile import octets
    from obis.v1.trace_pb2 import RecordState, StreamRecordsRequest

    request = StreamRecordsRequest(after_cursor=after, batch_id=octets(batch, None, "batch"))

    async def stream(cloud: Cloud) -> None:
        async for answer in _until_quiet(cloud.trace.StreamRecords(request), None if follow else QUIET_SECONDS):
            if as_json:
                print(json.dumps(plain.to_plain(answer)))
                continue
            record = answer.record
            state = plain.enum_word(RecordState.DESCRIPTOR, record.state)
            print(
                f"{answer.cursor:>7}  {record.device.soc}:{record.device.uid.hex()}  {state}  {record.dac_serial.hex()}"
            )

    with_cloud(context, stream)


def summary(context: typer.Context, as_json: Json = False) -> None:
    """Counts per factory and product."""
    from obis.v1.trace_pb2 import SummarizeRequest

    found = with_cloud(context, lambda cloud: cloud.trace.Summarize(SummarizeRequest()))
    rows: list[tuple[str, ...]] = [("factory", "product", "authorized", "issued", "passed", "failed", "refused")]
    for each in found.counts:
        counts = (each.authorized, each.issued, each.passed, each.failed, each.refused)
        rows.append((each.factory_id, each.product_id.hex()[:16], *map(str, counts)))
    tail = f"{found.records} records, {found.leaves} leaves, p99 {found.record_lag_p99_ms} ms from EdgeHSM to here"
    show(found, as_json=as_json, lines=[*columns(rows), tail])


def export(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    product: Annotated[str, typer.Option(help="Only this product, 32 hex digits.")] = "",
    as_json: Json = False,
) -> None:
    """Write the signed export: everything `obis verify` needs, without any server."""
    from obis.cli.export_files import export_to
    from obis.cli.profile import octets

    wanted = octets(product, None, "product")

    async def fetch(cloud: Cloud) -> Exported:
        return await export_to(cloud, folder, wanted)

    made = with_cloud(context, fetch)
    told = {"folder": str(folder), "files": made.files, "bytes": made.octets}
    print(json.dumps(told) if as_json else f"{made.files} files, {made.octets} bytes in {folder}")


def verify(
    directory: Annotated[Path, typer.Argument(help="The export: a folder.", exists=True, file_okay=False)],
    fingerprint: Annotated[str | None, typer.Option(help="Of the trust root, from somebody you trust.")] = None,
    as_json: Json = False,
) -> None:
    """Check an export offline: signatures, certificates, logs and counts. Needs no server and no profile."""
    from obis.cli import verify as offline  # the verifier is heavy, and no other command needs it

    offline.verify(directory, fingerprint, as_json)


async def _until_quiet(answers: AsyncIterable[T], quiet_seconds: float | None) -> AsyncIterator[T]:
    """The stream goes on for ever; a listing ends when nothing has come for a while."""
    waiting = aiter(answers)
    while True:
        try:
            yield await asyncio.wait_for(anext(waiting), quiet_seconds)
        except (StopAsyncIteration, TimeoutError):
            return


def _query(device: str, serial: str, batch: str, authorization: str) -> FindRequest:
    from obis.cli.profile import octets
    from obis.v1.scope_pb2 import DeviceId
    from obis.v1.trace_pb2 import FindRequest

    if sum(map(bool, (device, serial, batch, authorization))) != 1:
        raise Usage("ask for one thing", "--device SOC:UID, --serial HEX, --batch HEX or --authorization HEX")
    if device:
        soc, found, uid = device.partition(":")
        if not found:
            raise Usage(f"{device!r} is not soc:uid", "for example generic-wifi:0123456789abcdef")
        return FindRequest(device=DeviceId(soc=soc, uid=octets(uid, None, "uid")))
    if serial:
        return FindRequest(dac_serial=octets(serial, None, "serial"))
    if batch:
        return FindRequest(batch_id=octets(batch, 16, "batch"))
    return FindRequest(auth_id=octets(authorization, 16, "authorization"))
