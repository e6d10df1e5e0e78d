"""obis product, obis firmware, obis version: what may be made, and the snapshots of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from obis.cli.desk import columns, desk_of, show, with_cloud

if TYPE_CHECKING:
    from obis.cli.connection import Cloud
    from obis.v1.versions_pb2 import ProductVersion, UploadFirmwareResponse

product = typer.Typer(no_args_is_help=True, help="Products and their workspaces.")
firmware = typer.Typer(no_args_is_help=True, help="Firmware images.")
version = typer.Typer(no_args_is_help=True, help="Product Versions: immutable snapshots, one digest each.")
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
ProductId = Annotated[str, typer.Argument(help="32 hex digits.")]
VersionId = Annotated[str, typer.Argument(help="32 hex digits.")]


def mount(main: typer.Typer) -> None:
    """Put these commands on the main one."""
    main.add_typer(product, name="product")
    main.add_typer(firmware, name="firmware")
    main.add_typer(version, name="version")
    main.command("certificates")(certificates)


@product.command("create")
def product_create(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="TOML with the fields of CreateProductRequest.")],
    as_json: Json = False,
) -> None:
    """Propose a product. It exists once the GRANT quorum signed its rule (`obis approve`)."""
    from obis.cli.files import read_toml
    from obis.cli.plain import from_plain
    from obis.v1.products_pb2 import CreateProductRequest

    request = from_plain(CreateProductRequest, read_toml(path), "product")
    show(with_cloud(context, lambda cloud: cloud.products.CreateProduct(request)), as_json=as_json)


@product.command("list")
def product_list(context: typer.Context, as_json: Json = False) -> None:
    """Products you may see."""
    from obis.v1.products_pb2 import ListProductsRequest

    found = with_cloud(context, lambda cloud: cloud.products.ListProducts(ListProductsRequest()))
    rows: list[tuple[str, ...]] = [("product", "name", "vid/pid", "ever", "granted", "batched", "issued")]
    for each in found.products:
        ids = f"{each.vendor_id:04X}/{each.product_code:04X}"
        counts = (each.lifetime_quantity, each.granted_quantity, each.batched_quantity, each.issued_quantity)
        rows.append((each.product_id.hex(), each.name, ids, *map(str, counts)))
    show(found, as_json=as_json, lines=columns(rows))


@product.command("show")
def product_show(context: typer.Context, product_id: ProductId, as_json: Json = False) -> None:
    """One product."""
    from obis.cli.profile import octets
    from obis.v1.products_pb2 import GetProductRequest

    request = GetProductRequest(product_id=octets(product_id, 16, "product"))
    show(with_cloud(context, lambda cloud: cloud.products.GetProduct(request)).product, as_json=as_json)


@product.command("invite")
def product_invite(
    context: typer.Context,
    product_id: ProductId,
    organisation_id: Annotated[str, typer.Argument(help="The ODM.")],
    as_json: Json = False,
) -> None:
    """Invite an ODM into the product's workspace."""
    from obis.cli.profile import octets
    from obis.v1.products_pb2 import InviteOrganisationRequest

    wanted = octets(product_id, 16, "product")
    request = InviteOrganisationRequest(product_id=wanted, organisation_id=organisation_id)
    show(with_cloud(context, lambda cloud: cloud.products.InviteOrganisation(request)), as_json=as_json)


@product.command("accept")
def product_accept(context: typer.Context, product_id: ProductId, as_json: Json = False) -> None:
    """Accept the invitation for your organisation."""
    from obis.cli.profile import octets
    from obis.v1.products_pb2 import AcceptInvitationRequest

    request = AcceptInvitationRequest(product_id=octets(product_id, 16, "product"))
    show(with_cloud(context, lambda cloud: cloud.products.AcceptInvitation(request)), as_json=as_json)


@firmware.command("upload")
def firmware_upload(
    context: typer.Context,
    product_id: ProductId,
    path: Annotated[Path, typer.Argument(help="The image.")],
    key_path: Annotated[Path | None, typer.Option("--key", help="Secure boot key to sign the image with.")] = None,
    as_json: Json = False,
) -> None:
    """Upload an image. The same again changes nothing."""
    from obis.cli.approver_key import ApproverKey
    from obis.cli.files import read_bytes
    from obis.cli.firmware import upload_firmware
    from obis.cli.profile import octets

    image, wanted = read_bytes(path), octets(product_id, 16, "product")
    signer = ApproverKey.open(key_path, desk_of(context).passphrases.of(key_path.stem)) if key_path else None

    async def upload(cloud: Cloud) -> UploadFirmwareResponse:
        return await upload_firmware(cloud, wanted, image, signer)

    show(with_cloud(context, upload), as_json=as_json)


@version.command("create")
def version_create(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="TOML with the fields of VersionDraft.")],
    declaration: Annotated[Path | None, typer.Option(help="Certification declaration, DER file.")] = None,
    as_json: Json = False,
) -> None:
    """Cut a draft of a Product Version."""
    from obis.cli.files import read_bytes, read_toml
    from obis.cli.plain import from_plain
    from obis.v1.versions_pb2 import CreateVersionRequest, VersionDraft

    draft = from_plain(VersionDraft, read_toml(path), "version")
    if declaration:
        draft.certification_declaration = read_bytes(declaration)
    request = CreateVersionRequest(draft=draft)
    show(with_cloud(context, lambda cloud: cloud.versions.CreateVersion(request)).version, as_json=as_json)


@version.command("submit")
def version_submit(context: typer.Context, version_id: VersionId, as_json: Json = False) -> None:
    """Hand a draft to the OEM; from here on its bytes are fixed."""
    from obis.cli.profile import octets
    from obis.v1.versions_pb2 import SubmitVersionRequest

    request = SubmitVersionRequest(version_id=octets(version_id, 16, "version"))
    show(with_cloud(context, lambda cloud: cloud.versions.SubmitVersion(request)).version, as_json=as_json)


@version.command("reject")
def version_reject(
    context: typer.Context,
    version_id: VersionId,
    why: Annotated[str, typer.Option(help="A sentence.")],
    as_json: Json = False,
) -> None:
    """Send a submitted version back."""
    from obis.cli.profile import octets
    from obis.v1.versions_pb2 import RejectVersionRequest

    request = RejectVersionRequest(version_id=octets(version_id, 16, "version"), why=why)
    show(with_cloud(context, lambda cloud: cloud.versions.RejectVersion(request)).version, as_json=as_json)


@version.command("list")
def version_list(context: typer.Context, product_id: ProductId, as_json: Json = False) -> None:
    """A product's versions, newest first."""
    from obis.cli.profile import octets
    from obis.v1.versions_pb2 import ListVersionsRequest

    request = ListVersionsRequest(product_id=octets(product_id, 16, "product"))
    found = with_cloud(context, lambda cloud: cloud.versions.ListVersions(request))
    show(found, as_json=as_json, lines=columns(_row(each) for each in found.versions))


@version.command("show")
def version_show(context: typer.Context, version_id: VersionId, as_json: Json = False) -> None:
    """One version, its manifest field by field."""
    from obis.cli.plain import lines
    from obis.cli.profile import octets
    from obis.v1.package_pb2 import VersionManifest
    from obis.v1.versions_pb2 import GetVersionRequest

    request = GetVersionRequest(version_id=octets(version_id, 16, "version"))
    found = with_cloud(context, lambda cloud: cloud.versions.GetVersion(request)).version
    manifest = [f"{path}  {text}" for path, text in lines(VersionManifest.FromString(found.manifest))]
    show(found, as_json=as_json, lines=["  ".join(_row(found)), *manifest])


@version.command("diff")
def version_diff(context: typer.Context, version_id: VersionId, as_json: Json = False) -> None:
    """What changed against the product's last approved version."""
    from obis.cli.profile import octets
    from obis.v1.versions_pb2 import DiffVersionRequest

    request = DiffVersionRequest(version_id=octets(version_id, 16, "version"))
    found = with_cloud(context, lambda cloud: cloud.versions.DiffVersion(request))
    against = f"against {found.against_digest.hex()}" if found.against_digest else "no version was approved before"
    changes = [f"{each.path}: {each.before or '(nothing)'} -> {each.after or '(nothing)'}" for each in found.changes]
    show(found, as_json=as_json, lines=[against, *changes])


def certificates(context: typer.Context, product_id: ProductId, as_json: Json = False) -> None:
    """The PAA and the PAIs behind a product, and the Grant that ordered each."""
    from obis.cli.profile import octets
    from obis.v1.keys_pb2 import ListCertificatesRequest

    request = ListCertificatesRequest(product_id=octets(product_id, 16, "product"))
    found = with_cloud(context, lambda cloud: cloud.keys.ListCertificates(request))
    rows: list[tuple[str, ...]] = [("EdgeHSM", "epoch", "PAI", "ordered by Grant")]
    for each in found.pais:
        ready = "certified" if each.pai_cert_der else "waits for the vault"
        rows.append((each.edgehsm_id, str(each.epoch), ready, each.grant_digest.hex()[:32]))
    show(found, as_json=as_json, lines=columns(rows))


def _row(found: ProductVersion) -> tuple[str, ...]:
    from obis.cli.plain import enum_word
    from obis.v1.package_pb2 import VersionManifest
    from obis.v1.versions_pb2 import VersionState

    manifest = VersionManifest.FromString(found.manifest)
    state = enum_word(VersionState.DESCRIPTOR, found.state)
    return found.version_id.hex(), manifest.label, manifest.soc, state, found.version_digest.hex()[:16]
