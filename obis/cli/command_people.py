"""obis mesh, obis login, obis organisation: who is who."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from obis.cli.desk import columns, desk_of, show, with_cloud
from obis.cli.exits import Usage

mesh = typer.Typer(no_args_is_help=True, help="Which mesh this profile talks to.")
organisation = typer.Typer(no_args_is_help=True, help="The OEM, its ODMs, and invitations for their people.")
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def mount(main: typer.Typer) -> None:
    """Put these commands on the main one."""
    main.add_typer(mesh, name="mesh")
    main.command("login")(login)
    main.command("whoami")(whoami)
    main.add_typer(organisation, name="organisation")


@mesh.command("join")
def mesh_join(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="mesh.json, as the owner hands it out.")],
    fingerprint: Annotated[str | None, typer.Option(help="As the owner read it to you; else you are asked.")] = None,
) -> None:
    """Pin a mesh: the fingerprint is what you compare, by a way other than the file's."""
    from obis.cli.profile import Mesh, fingerprint_of

    found = Mesh.read(path)
    if fingerprint is None:
        print(f"fingerprint  {found.fingerprint.hex()}")
        if not typer.confirm("Is this what the owner read to you?"):
            raise Usage("not joined")
    elif fingerprint_of(fingerprint) != found.fingerprint:
        raise Usage("the file's fingerprint is another", "ask the owner for the right file")
    found.write(desk_of(context).profile.mesh_path)


@mesh.command("show")
def mesh_show(context: typer.Context) -> None:
    """The pinned fingerprint and the addresses."""
    found = desk_of(context).profile.mesh()
    print(f"fingerprint  {found.fingerprint.hex()}\ncloud        {found.cloud}\nenrolment    {found.enrolment}")


def login(
    context: typer.Context,
    person_id: Annotated[str, typer.Argument(help="Your person id.")],
    key_path: Annotated[
        Path | None, typer.Option("--key", help="Your approver key, if the trust root names you.")
    ] = None,
    token: Annotated[bool, typer.Option("--token", help="You were invited: the token is asked for.")] = False,
) -> None:
    """Get your certificate. Your transport key is made here and sealed under your passphrase."""
    from obis.cli.approver_key import ApproverKey
    from obis.cli.login import login_by_key, login_by_token

    if (key_path is None) != token:
        raise Usage("give --key FILE, or --token", "approvers have a key, invited people a token")
    desk = desk_of(context)
    passphrase = desk.passphrases.chosen_for(person_id)
    if key_path is None:
        invitation = desk.passphrases.of("invitation-token").decode()
        person = asyncio.run(login_by_token(desk.profile, person_id, invitation, passphrase))
    else:
        approver = ApproverKey.open(key_path, desk.passphrases.of(key_path.stem))
        now = int(time.time())
        person = asyncio.run(login_by_key(desk.profile, person_id, approver, passphrase, now=now))
    print(f"logged in as {person.person_id} of {person.organisation_id}")


def whoami(context: typer.Context) -> None:
    """Who this profile speaks for."""
    person = desk_of(context).profile.person()
    print(f"{person.person_id} of {person.organisation_id}")


@organisation.command("create")
def organisation_create(
    context: typer.Context,
    organisation_id: Annotated[str, typer.Argument(help="[a-z0-9-], up to 32.")],
    name: Annotated[str, typer.Option(help="Name for people.")],
    factory: Annotated[list[str] | None, typer.Option(help="Factory it runs; repeat.")] = None,
    as_json: Json = False,
) -> None:
    """Add an ODM."""
    from obis.v1.organisations_pb2 import CreateOrganisationRequest, Organisation, OrganisationKind

    odm = OrganisationKind.ORGANISATION_KIND_ODM
    made = Organisation(organisation_id=organisation_id, name=name, kind=odm, factory_ids=factory or [])
    request = CreateOrganisationRequest(organisation=made)
    show(with_cloud(context, lambda cloud: cloud.organisations.CreateOrganisation(request)), as_json=as_json)


@organisation.command("list")
def organisation_list(context: typer.Context, as_json: Json = False) -> None:
    """Organisations you may see."""
    from obis.v1.organisations_pb2 import ListOrganisationsRequest

    found = with_cloud(context, lambda cloud: cloud.organisations.ListOrganisations(ListOrganisationsRequest()))
    rows = ((each.organisation_id, each.name, " ".join(each.factory_ids)) for each in found.organisations)
    show(found, as_json=as_json, lines=columns(rows))


@organisation.command("invite")
def organisation_invite(
    context: typer.Context,
    organisation_id: Annotated[str, typer.Argument(help="Of which organisation.")],
    person_id: Annotated[str, typer.Argument(help="[a-z0-9.-], up to 64.")],
    as_json: Json = False,
) -> None:
    """Make a single-use invitation token for a person. It is shown once."""
    from obis.v1.organisations_pb2 import InvitePersonRequest

    request = InvitePersonRequest(organisation_id=organisation_id, person_id=person_id)
    show(with_cloud(context, lambda cloud: cloud.organisations.InvitePerson(request)), as_json=as_json)
