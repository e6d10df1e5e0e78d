"""obis key, obis root, obis declaration: what is made away from every server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from obis.cli.desk import desk_of
from obis.cli.exits import Usage

if TYPE_CHECKING:
    from obis.cli.root_draft import DraftPerson, DraftRole, DraftSite

key = typer.Typer(no_args_is_help=True, help="Keys of approvers and supervisors, sealed under a passphrase.")
root = typer.Typer(no_args_is_help=True, help="The trust root: drafted from public halves, signed by its ROOT quorum.")


def mount(main: typer.Typer) -> None:
    """Put these commands on the main one."""
    main.add_typer(key, name="key")
    main.add_typer(root, name="root")
    main.command("declaration")(declaration)


@key.command("new")
def key_new(
    context: typer.Context, path: Annotated[Path, typer.Argument(help="NAME.key; NAME.pub is its public half.")]
) -> None:
    """Make a P-256 key, sealed under a passphrase that is asked for by the file's name."""
    from obis.cli.approver_key import make_key

    made = make_key(path, desk_of(context).passphrases.chosen_for(path.stem)).public
    print(f"key id  {made.key_id}\npublic  {made.spki_der.hex()}")


@key.command("show")
def key_show(path: Annotated[Path, typer.Argument(help="NAME.pub")]) -> None:
    """The id and the public half of a key."""
    from obis.cli.approver_key import read_public

    found = read_public(path)
    print(f"key id  {found.key_id}\npublic  {found.spki_der.hex()}")


@root.command("draft")
def root_draft(
    name: Annotated[str, typer.Option(help="Name of the mesh for people.")],
    cloud: Annotated[Path, typer.Option(help="public.json of `python -m cloud init`.")],
    vault: Annotated[Path, typer.Option(help="public.json of `python -m cloud.vault init`.")],
    person: Annotated[list[str], typer.Option(help="ID=FILE.pub or ID:NAME=FILE.pub; repeat.")],
    role: Annotated[list[str], typer.Option(help="ROLE=THRESHOLD:ID,ID…; ROOT, GRANT, ENROLMENT; repeat.")],
    site: Annotated[list[str] | None, typer.Option(help="ID:COUNTRY:NAME=FILE.pub[,FILE.pub…]; repeat.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the unsigned root.")] = Path("root.bin"),
) -> None:
    """Draft TrustRoot version 1. It holds public halves only."""
    from obis.cli.files import read_json, write_envelope
    from obis.cli.root_draft import MachineKeys, draft_root, fingerprint, missing_signatures

    machines = MachineKeys.parse(read_json(cloud), read_json(vault))
    people, roles, sites = [_person(each) for each in person], [_role(each) for each in role], site or []
    drafted = draft_root(name, people, roles, [_site(each) for each in sites], machines, now=int(time.time()))
    write_envelope(out, drafted)
    print(f"fingerprint  {fingerprint(drafted).hex()}\nsignatures wanted  {missing_signatures(drafted)}")


@root.command("sign")
def root_sign(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="The drafted root; the signature is added to it.")],
    key_path: Annotated[Path, typer.Option("--key", help="The signer's NAME.key.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Show the root in full, then sign it."""
    from obis.cli.approver_key import ApproverKey
    from obis.cli.files import read_envelope, write_envelope
    from obis.cli.rendering import render
    from obis.cli.root_draft import fingerprint, missing_signatures, sign_root

    drafted = read_envelope(path)
    print(render(drafted))
    if not yes and not typer.confirm("Sign this trust root?"):
        raise Usage("not signed")
    signed = sign_root(drafted, ApproverKey.open(key_path, desk_of(context).passphrases.of(key_path.stem)))
    write_envelope(path, signed)
    print(f"fingerprint  {fingerprint(signed).hex()}\nsignatures wanted  {missing_signatures(signed)}")


@root.command("show")
def root_show(path: Annotated[Path, typer.Argument(help="A root file.")]) -> None:
    """A root in full, its fingerprint and what is still to be signed."""
    from obis.cli.files import read_envelope
    from obis.cli.rendering import render
    from obis.cli.root_draft import fingerprint, missing_signatures

    found = read_envelope(path)
    print(render(found))
    print(f"fingerprint  {fingerprint(found).hex()}\nsignatures wanted  {missing_signatures(found)}")


def declaration(
    context: typer.Context,
    key_path: Annotated[Path, typer.Option("--key", help="The development signer's NAME.key.")],
    vendor_id: Annotated[str, typer.Option(help="Hex, for example FFF1.")],
    product_code: Annotated[str, typer.Option(help="Hex, for example 8001.")],
    device_type: Annotated[int, typer.Option(help="Matter device type id.")],
    certificate_id: Annotated[str, typer.Option(help="19 characters.")] = "OBIS0000000000DEV-1",
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the CMS file.")] = Path("cd.der"),
) -> None:
    """Make a certification declaration of type test, for development. The Alliance signs real ones."""
    from obis.cli.approver_key import ApproverKey
    from obis.cli.declaration import development_declaration
    from obis.cli.files import write

    signer = ApproverKey.open(key_path, desk_of(context).passphrases.of(key_path.stem))
    made = development_declaration(
        signer,
        vendor_id=int(vendor_id, 16),
        product_code=int(product_code, 16),
        device_type=device_type,
        certificate_id=certificate_id,
    )
    write(out, made)
    print(f"{out}  {len(made)} bytes, signed by {signer.key_id}")


def _person(text: str) -> DraftPerson:
    from obis.cli.approver_key import read_public
    from obis.cli.root_draft import DraftPerson

    who, path = _halves(text, "=", "--person is ID=FILE.pub or ID:NAME=FILE.pub")
    person_id, _, name = who.partition(":")
    return DraftPerson(person_id, name or person_id, read_public(Path(path)))


def _role(text: str) -> DraftRole:
    from obis.cli.root_draft import DraftRole

    form = "--role is ROLE=THRESHOLD:ID,ID"
    role, rest = _halves(text, "=", form)
    threshold, people = _halves(rest, ":", form)
    if not threshold.isdecimal():
        raise Usage(f"{text!r}: {form}")
    return DraftRole(role, int(threshold), tuple(people.split(",")))


def _site(text: str) -> DraftSite:
    from obis.cli.approver_key import read_public
    from obis.cli.root_draft import DraftSite

    form = "--site is ID:COUNTRY:NAME=FILE.pub,FILE.pub"
    who, paths = _halves(text, "=", form)
    factory_id, rest = _halves(who, ":", form)
    country, _, name = rest.partition(":")
    return DraftSite(factory_id, country, name, tuple(read_public(Path(each)) for each in paths.split(",")))


def _halves(text: str, mark: str, form: str) -> tuple[str, str]:
    left, found, right = text.partition(mark)
    if not (left and found and right):
        raise Usage(f"{text!r}: {form}")
    return left, right
