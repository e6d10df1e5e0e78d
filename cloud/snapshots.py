"""Product Versions through their life: cut, submitted, rejected, compared. Approval is a Grant's (`effects`).

1. ODM people write, each for their own organisation; the OEM reads all and rejects.
2. A draft is complete and checked when it is cut: manifest bytes never change afterwards.
3. Firmware is the organisation's own upload for this product.
"""

from __future__ import annotations

from secrets import token_bytes

from sqlmodel import Session, col, select

from cloud import certificates, version
from cloud.store.catalogue import ArtifactRow, FirmwareRow, VersionRow
from cloud.store.governance import GrantRow
from cloud.viewer import Viewer, find_product, find_version, not_found
from cloud.workspace import require_live
from obis.refusal import Refused
from obis.trust.envelope import digest
from obis.v1.package_pb2 import VersionManifest
from obis.v1.reason_pb2 import Reason
from obis.v1.versions_pb2 import FieldDiff, ProductVersion, VersionDraft, VersionState


def create(session: Session, viewer: Viewer, draft: VersionDraft, *, now: int) -> VersionRow:
    """Cut a draft. Raises Refused, with the field that is wrong."""
    viewer.require_odm()
    product = find_product(session, viewer, draft.product_id)
    rule = require_live(product)
    manifest = _complete(session, viewer, draft, now)
    version.check_manifest(manifest, rule, certificates.paa(session, product.paa_cert_digest))
    manifest_bytes = manifest.SerializeToString(deterministic=True)
    row = VersionRow(
        version_id=token_bytes(16),
        product_id=draft.product_id,
        organisation_id=viewer.organisation_id,
        state=VersionState.VERSION_STATE_DRAFT,
        label=draft.label,
        manifest=manifest_bytes,
        version_digest=digest(manifest_bytes),
        created_by=viewer.person_id,
        created_at=now,
    )
    _require_new_label(session, row)
    session.add(row)
    return row


def submit(session: Session, viewer: Viewer, version_id: bytes, *, now: int) -> VersionRow:
    """Draft to submitted. Raises Refused STATE_CONFLICT; submitted already is not one."""
    viewer.require_odm()
    row = find_version(session, viewer, version_id)
    if row.state not in (VersionState.VERSION_STATE_DRAFT, VersionState.VERSION_STATE_SUBMITTED):
        raise Refused(Reason.REASON_STATE_CONFLICT, "only a draft is submitted", "version_id")
    row.state, row.decided_at = VersionState.VERSION_STATE_SUBMITTED, now
    session.add(row)
    return row


def reject(session: Session, viewer: Viewer, version_id: bytes, why: str, *, now: int) -> VersionRow:
    """Submitted to rejected. Raises Refused STATE_CONFLICT."""
    viewer.require_oem()
    row = find_version(session, viewer, version_id)
    if row.state != VersionState.VERSION_STATE_SUBMITTED:
        raise Refused(Reason.REASON_STATE_CONFLICT, "only a submitted version is rejected", "version_id")
    row.state, row.rejection, row.decided_at = VersionState.VERSION_STATE_REJECTED, why, now
    session.add(row)
    return row


def list_of(session: Session, viewer: Viewer, product_id: bytes) -> list[VersionRow]:
    """Newest first; an ODM's own."""
    find_product(session, viewer, product_id)
    query = select(VersionRow).where(VersionRow.product_id == product_id)
    query = query.order_by(col(VersionRow.created_at).desc(), col(VersionRow.version_id))
    return [row for row in session.exec(query) if viewer.owns(row.organisation_id)]


def diff(session: Session, viewer: Viewer, version_id: bytes) -> tuple[list[FieldDiff], bytes]:
    """What changed against the last approved version the viewer may see, and that one's digest (or nothing)."""
    row = find_version(session, viewer, version_id)
    before = _last_approved(session, viewer, row)
    if before is None:
        return [], b""
    old, new = VersionManifest.FromString(before.manifest), VersionManifest.FromString(row.manifest)
    changed = [FieldDiff(path=path, before=was, after=now) for path, was, now in version.changes(old, new)]
    return changed, before.version_digest


def shown(row: VersionRow) -> ProductVersion:
    """As the contract shows it."""
    return ProductVersion(
        version_id=row.version_id,
        state=row.state,  # type: ignore[arg-type]  # an enum's number, as stored
        manifest=row.manifest,
        version_digest=row.version_digest,
        created_by=row.created_by,
        rejection=row.rejection,
    )


def _complete(session: Session, viewer: Viewer, draft: VersionDraft, now: int) -> VersionManifest:
    firmware = session.get(FirmwareRow, (draft.product_id, draft.firmware_digest, viewer.organisation_id))
    artifact = session.get(ArtifactRow, draft.firmware_digest)
    if firmware is None or artifact is None:
        raise not_found("firmware", "draft.firmware_digest")
    if len(draft.sbom_digest) not in (0, 32) or len(draft.agent_digest) not in (0, 32):
        raise Refused(Reason.REASON_MALFORMED, "a digest is 32 bytes, or empty", "draft.sbom_digest")
    return VersionManifest(
        product_id=draft.product_id,
        label=draft.label,
        soc=draft.soc,
        firmware_digest=draft.firmware_digest,
        firmware_size=artifact.size,
        firmware_version=draft.firmware_version,
        firmware_signature=firmware.signature,
        factory_data=draft.factory_data,
        certification_declaration=draft.certification_declaration,
        sbom_digest=draft.sbom_digest,
        chip_security=draft.chip_security,
        agent_digest=draft.agent_digest,
        organisation_id=viewer.organisation_id,
        created_at=now,
    )


def _require_new_label(session: Session, row: VersionRow) -> None:
    taken = session.exec(
        select(VersionRow.version_id).where(
            VersionRow.product_id == row.product_id,
            VersionRow.organisation_id == row.organisation_id,
            VersionRow.label == row.label,
            VersionRow.state != VersionState.VERSION_STATE_REJECTED,
        )
    ).first()
    if taken is not None:
        raise Refused(Reason.REASON_ALREADY_EXISTS, f"version {row.label} exists", "draft.label")


def _last_approved(session: Session, viewer: Viewer, row: VersionRow) -> VersionRow | None:
    query = (
        select(VersionRow)
        .join(GrantRow, col(GrantRow.version_id) == col(VersionRow.version_id))
        .where(GrantRow.product_id == row.product_id, VersionRow.version_id != row.version_id)
        .order_by(col(GrantRow.sequence).desc())
    )
    return next((each for each in session.exec(query) if viewer.owns(each.organisation_id)), None)
