"""obis factory, obis station-ticket: the sites."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from obis.cli.desk import columns, desk_of, show, with_cloud

factory = typer.Typer(no_args_is_help=True, help="Sites, their EdgeHSMs, links and counts.")
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def mount(main: typer.Typer) -> None:
    """Put these commands on the main one."""
    main.add_typer(factory, name="factory")
    main.command("station-ticket")(station_ticket)


@factory.command("list")
def factory_list(context: typer.Context, as_json: Json = False) -> None:
    """Sites you may see."""
    from obis.cli.judgement import colons
    from obis.cli.plain import enum_word
    from obis.v1.factories_pb2 import EdgeHsmState, ListFactoriesRequest

    found = with_cloud(context, lambda cloud: cloud.factories.ListFactories(ListFactoriesRequest()))
    lines: list[str] = []
    for each in found.factories:
        link = "link up" if each.connected else "link down"
        lines.append(f"{each.factory_id}  {each.country}  {each.name}  {link}  {each.issued} devices")
        for hsm in each.edgehsms:
            state = enum_word(EdgeHsmState.DESCRIPTOR, hsm.state)
            lines.append(f"  {hsm.edgehsm_id}  epoch {hsm.epoch}  {state}  {hsm.log_size} leaves in the cloud")
            lines.append(f"    keys {colons(hsm.key_fingerprint)}")
    show(found, as_json=as_json, lines=lines)


def station_ticket(
    context: typer.Context,
    factory_id: Annotated[str, typer.Argument(help="The site.")],
    station_id: Annotated[str, typer.Argument(help="[a-z0-9-], up to 32.")],
    key_digest: Annotated[str, typer.Option(help="SHA-256 of the station's public key, as `keygen` there shows it.")],
    key_path: Annotated[Path, typer.Option("--key", help="Your SITE key.")],
    line_id: Annotated[str, typer.Option("--line", help="Line within the factory.")] = "line-1",
    product: Annotated[list[str] | None, typer.Option(help="Only this product; repeat. Else all of the site.")] = None,
    supervisor: Annotated[bool, typer.Option("--supervisor", help="For a supervisor's client, not a station.")] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="The ticket file.")] = Path("station.ticket"),
) -> None:
    """Let one station into the site. Needs no connection."""
    from obis.cli.approver_key import ApproverKey
    from obis.cli.files import write_envelope
    from obis.cli.profile import octets
    from obis.cli.station_ticket import make_station_ticket
    from obis.v1.enrolment_objects_pb2 import SiteRole

    role = SiteRole.SITE_ROLE_SUPERVISOR if supervisor else SiteRole.SITE_ROLE_STATION
    made = make_station_ticket(
        ApproverKey.open(key_path, desk_of(context).passphrases.of(key_path.stem)),
        factory_id=factory_id,
        station_id=station_id,
        line_id=line_id,
        spki_digest=octets(key_digest, 32, "key digest"),
        now=int(time.time()),
        role=role,
        product_ids=[octets(each, 16, "product") for each in product or []],
    )
    write_envelope(out, made)
    print("\n".join(columns([("ticket", str(out)), ("for", f"{station_id} at {factory_id}")])))
