"""Uploads and versions: what is not what was announced, signed or certified is refused and leaves nothing."""

from hashlib import sha256

import pytest

from obis.v1 import versions_pb2 as versions
from obis.v1.package_pb2 import VersionManifest
from obis.v1.reason_pb2 import Reason
from obis.v1.versions_pb2 import VersionState
from tests.cloud.refusals import refused
from tests.cloud.small_mesh import PRODUCT, Key

IMAGE = b"another image " * 700


@pytest.fixture(scope="module")
async def product_id(mesh):
    return await mesh.product(100, "Versioned")


def stored(mesh, image):
    return mesh.cloud.service.artifacts.path(sha256(image).digest()).exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"size": len(IMAGE) - 1}, Reason.REASON_TOO_LARGE),
        ({"size": len(IMAGE) + 1}, Reason.REASON_MALFORMED),
        ({"firmware_digest": sha256(b"else").digest()}, Reason.REASON_SIGNATURE_INVALID),
        ({"signature": b""}, Reason.REASON_SIGNATURE_INVALID),
        ({"signature": Key().sign(IMAGE)}, Reason.REASON_SIGNATURE_INVALID),
    ],
)
async def test_an_image_that_is_not_what_was_announced_is_not_kept(mesh, product_id, change, reason):
    with refused(reason):
        await mesh.callers["oda"].versions.UploadFirmware(mesh.upload(product_id, IMAGE, **change))

    assert not stored(mesh, IMAGE)
    assert list(mesh.config.artifacts.glob("*.part")) == []


async def test_an_image_with_another_digest_than_its_signed_one_is_not_kept(mesh, product_id):
    """The header is honest about the signed image; the bytes that follow are not that image."""
    signed, sent = b"x" * 9000, b"y" * 9000
    change = {"firmware_digest": sha256(signed).digest(), "signature": mesh.secure_boot.sign(signed)}

    with refused(Reason.REASON_DIGEST_MISMATCH):
        await mesh.callers["oda"].versions.UploadFirmware(mesh.upload(product_id, sent, **change))

    assert not stored(mesh, sent)
    assert not stored(mesh, signed)


async def test_an_upload_without_a_header_is_malformed(mesh):
    async def parts():
        yield versions.UploadFirmwareRequest(chunk=b"1")

    with refused(Reason.REASON_MALFORMED):
        await mesh.callers["oda"].versions.UploadFirmware(parts())


async def test_the_same_image_again_is_the_stored_one(mesh, product_id):
    oda = mesh.callers["oda"]

    first = await oda.versions.UploadFirmware(mesh.upload(product_id, b"twice" * 10))
    second = await oda.versions.UploadFirmware(mesh.upload(product_id, b"twice" * 10))

    assert first == second


async def drafted(mesh, product_id, label):
    uploaded = await mesh.callers["oda"].versions.UploadFirmware(mesh.upload(product_id))
    return versions.CreateVersionRequest(draft=mesh.draft(product_id, uploaded.firmware_digest, label))


@pytest.mark.parametrize(
    "declaration",
    [
        {"vendor_id": 0xFFF2},
        {"product_ids": (PRODUCT + 1,)},
        {"signer": Key()},
    ],
)
async def test_a_declaration_for_something_else_or_by_somebody_else_is_refused(mesh, product_id, declaration):
    request = await drafted(mesh, product_id, "cd")
    request.draft.certification_declaration = mesh.declaration(**declaration)

    with refused(Reason.REASON_CD_INVALID) as refusal:
        await mesh.callers["oda"].versions.CreateVersion(request)
    assert refusal.where == "certification_declaration"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("discovery_capabilities", 0),
        ("discovery_capabilities", 128),
        ("product_url", "ftp://x"),
        ("product_name", "a\nb"),
    ],
)
async def test_factory_data_a_device_could_not_say_is_refused(mesh, product_id, field, value):
    request = await drafted(mesh, product_id, "data")
    setattr(request.draft.factory_data, field, value)

    with refused(Reason.REASON_FACTORY_DATA_INVALID) as refusal:
        await mesh.callers["oda"].versions.CreateVersion(request)
    assert refusal.where == f"factory_data.{field}"


async def test_firmware_nobody_uploaded_is_not_found(mesh, product_id):
    request = versions.CreateVersionRequest(draft=mesh.draft(product_id, sha256(b"nothing").digest()))

    with refused(Reason.REASON_NOT_FOUND):
        await mesh.callers["oda"].versions.CreateVersion(request)


async def test_a_versions_digest_is_of_its_exact_bytes_and_the_cloud_completes_them(mesh, product_id):
    version = await mesh.version(product_id, label="complete")
    manifest = VersionManifest.FromString(version.manifest)

    assert version.version_digest == sha256(version.manifest).digest()
    assert manifest.organisation_id == "odm-a"
    assert manifest.firmware_size == len(b"firmware" * 1000)
    assert manifest.firmware_signature


async def test_a_label_is_used_once(mesh, product_id):
    await mesh.version(product_id, label="once")

    with refused(Reason.REASON_ALREADY_EXISTS):
        await mesh.version(product_id, label="once")


async def test_an_approved_version_is_neither_submitted_nor_rejected(mesh, ready):
    request = versions.RejectVersionRequest(version_id=ready.version.version_id, why="Too late.")

    with refused(Reason.REASON_STATE_CONFLICT):
        await mesh.callers["ann"].versions.RejectVersion(request)
    with refused(Reason.REASON_STATE_CONFLICT):
        await mesh.callers["oda"].versions.SubmitVersion(
            versions.SubmitVersionRequest(version_id=ready.version.version_id)
        )


async def test_a_draft_needs_submission_before_a_grant(mesh, product_id, edge):
    request = await drafted(mesh, product_id, "still a draft")
    made = await mesh.callers["oda"].versions.CreateVersion(request)
    assert made.version.state == VersionState.VERSION_STATE_DRAFT

    with refused(Reason.REASON_STATE_CONFLICT):
        await mesh.callers["ann"].grants.ProposeGrant(
            mesh.grant_request(made.version.version_id, [("th-01", edge.id, edge.epoch, 1)])
        )


async def test_a_diff_names_every_changed_field_and_nothing_else(mesh, ready):
    oda = mesh.callers["oda"]
    uploaded = await oda.versions.UploadFirmware(mesh.upload(ready.product_id, b"newer" * 100))
    request = versions.CreateVersionRequest(draft=mesh.draft(ready.product_id, uploaded.firmware_digest, "1.1"))
    request.draft.factory_data.product_label = "Warm"
    made = await oda.versions.CreateVersion(request)

    answer = await oda.versions.DiffVersion(versions.DiffVersionRequest(version_id=made.version.version_id))

    changed = {each.path: (each.before, each.after) for each in answer.changes}
    always = {"label", "firmware_digest", "firmware_size", "firmware_signature", "certification_declaration"}
    assert always | {"factory_data.product_label"} == changed.keys() - {"created_at"}
    assert changed["factory_data.product_label"] == ("", "Warm")
    assert changed["label"] == ("1.0", "1.1")
    assert answer.against_digest == ready.version.version_digest
