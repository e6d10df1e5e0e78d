"""obis batch: Production Batches."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

from obis.cli.desk import columns, show, with_cloud

if TYPE_CHECKING:
    from obis.cli.connection import Cloud
    from obis.v1.batches_pb2 import ProductionBatch

batch = typer.Typer(no_args_is_help=True, help="Production Batches: one run of an approved version at one EdgeHSM.")
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
BatchId = Annotated[str, typer.Argument(help="32 hex digits.")]


def mount(main: typer.Typer) -> None:
    """Put these commands on the main one."""
    main.add_typer(batch, name="batch")


@batch.command("create")
def batch_create(
    context: typer.Context,
    version_id: Annotated[str, typer.Argument(help="An approved version, 32 hex digits.")],
    factory_id: Annotated[str, typer.Option("--factory", help="Where.")],
    edgehsm_id: Annotated[str, typer.Option("--edgehsm", help="By which EdgeHSM.")],
    quantity: Annotated[int, typer.Option(help="Devices that may be made.")],
    hours: Annotated[float, typer.Option(help="Hours the window is open, from now on.")] = 24,
    request_id: Annotated[str | None, typer.Option(help="32 hex digits; the same again is the same batch.")] = None,
    as_json: Json = False,
) -> None:
    """Create a batch within the quota and the Grant."""
    from obis.cli.profile import octets
    from obis.v1.batches_pb2 import CreateBatchRequest
    from obis.v1.scope_pb2 import Window

    now = int(time.time())
    request = CreateBatchRequest(
        request_id=octets(request_id, 16, "request") if request_id else os.urandom(16),
        version_id=octets(version_id, 16, "version"),
        factory_id=factory_id,
        edgehsm_id=edgehsm_id,
        quantity=quantity,
        window=Window(starts_at=now, ends_at=now + int(hours * 3600)),
    )
    made = with_cloud(context, lambda cloud: cloud.batches.CreateBatch(request)).batch
    show(made, as_json=as_json, lines=columns([_row(made)]))


@batch.command("list")
def batch_list(
    context: typer.Context,
    product_id: Annotated[str, typer.Option("--product", help="Of this product.")] = "",
    as_json: Json = False,
) -> None:
    """Batches you may see, newest first."""
    from obis.cli.profile import octets
    from obis.v1.batches_pb2 import ListBatchesRequest

    request = ListBatchesRequest(product_id=octets(product_id, None, "product"))
    found = with_cloud(context, lambda cloud: cloud.batches.ListBatches(request))
    rows: list[tuple[str, ...]] = [("batch", "EdgeHSM", "state", "devices", "issued", "passed", "failed")]
    show(found, as_json=as_json, lines=columns([*rows, *(_row(each) for each in found.batches)]))


@batch.command("show")
def batch_show(context: typer.Context, batch_id: BatchId, as_json: Json = False) -> None:
    """One batch."""
    from obis.cli.profile import octets
    from obis.v1.batches_pb2 import GetBatchRequest

    request = GetBatchRequest(batch_id=octets(batch_id, 16, "batch"))
    show(with_cloud(context, lambda cloud: cloud.batches.GetBatch(request)).batch, as_json=as_json)


@batch.command("watch")
def batch_watch(context: typer.Context, batch_id: BatchId, as_json: Json = False) -> None:
    """The batch each time its counts or state change, until it ends."""
    from obis.cli.profile import octets
    from obis.v1.batches_pb2 import BatchState, WatchBatchRequest

    request = WatchBatchRequest(batch_id=octets(batch_id, 16, "batch"))
    over = {BatchState.BATCH_STATE_CLOSED, BatchState.BATCH_STATE_REFUSED}

    async def watch(cloud: Cloud) -> None:
        async for answer in cloud.batches.WatchBatch(request):
            show(answer.batch, as_json=as_json, lines=columns([_row(answer.batch)]))
            if answer.batch.state in over:
                return

    with_cloud(context, watch)


def _row(found: ProductionBatch) -> tuple[str, ...]:
    from obis.cli.plain import enum_word
    from obis.v1.batches_pb2 import BatchState

    state = enum_word(BatchState.DESCRIPTOR, found.state) + (f" {found.refusal}" if found.refusal else "")
    counts = (found.quantity, found.issued, found.passed, found.failed)
    return found.batch_id.hex(), found.edgehsm_id, state, *map(str, counts)
