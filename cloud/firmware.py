"""Firmware uploads: an image is kept only when all of it is what the header announced and what the product's key signed.

1. Only a member ODM of a live product uploads; the check comes before the first chunk is written.
2. Size and SHA-256 are the header's; the signature verifies under the rule's secure boot key, where it has one.
3. The same image again is the stored one; nothing of a failed upload stays.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from sqlmodel import Session

from cloud.artifacts import Artifacts
from cloud.product import secure_boot_key
from cloud.store import Store
from cloud.store.catalogue import ArtifactRow, FirmwareRow
from cloud.viewer import Viewer, find_product, viewer_of
from cloud.workspace import require_live
from obis.mesh.identity import Peer
from obis.refusal import Refused
from obis.trust.signature import load_public_key
from obis.v1.envelope_pb2 import SigScheme
from obis.v1.reason_pb2 import Reason
from obis.v1.versions_pb2 import FirmwareHeader, UploadFirmwareRequest


async def upload(
    store: Store, artifacts: Artifacts, peer: Peer, messages: AsyncIterator[UploadFirmwareRequest], *, now: int
) -> FirmwareHeader:
    """Receive one image; returns its header. Raises Refused."""
    header = await _header(messages)
    viewer = await store.read(lambda session: _may_upload(session, peer, header))
    with artifacts.receiving(header.firmware_digest, header.size) as receiver:
        async for message in messages:
            if message.WhichOneof("part") != "chunk":
                raise Refused(Reason.REASON_MALFORMED, "a second header", "header")
            receiver.write(message.chunk)
        receiver.check()
        receiver.keep()
    await store.write(lambda session: _note(session, viewer, header, now))
    return header


async def _header(messages: AsyncIterator[UploadFirmwareRequest]) -> FirmwareHeader:
    async for message in messages:
        if message.WhichOneof("part") == "header":
            return message.header
        break
    raise Refused(Reason.REASON_MALFORMED, "the first message is the header", "header")


def _may_upload(session: Session, peer: Peer, header: FirmwareHeader) -> Viewer:
    viewer = viewer_of(session, peer)
    viewer.require_odm()
    rule = require_live(find_product(session, viewer, header.product_id))
    _require_signed(secure_boot_key(rule), header)
    return viewer


def _require_signed(spki_der: bytes, header: FirmwareHeader) -> None:
    """ECDSA over the image means over its SHA-256, which the header announces and the upload must then have."""
    if not spki_der:
        return
    key = load_public_key(spki_der, SigScheme.SIG_SCHEME_P256)
    if not isinstance(key, EllipticCurvePublicKey):
        raise Refused(Reason.REASON_SCHEME_MISMATCH, "the secure boot key is not on P-256", "keys")
    try:
        key.verify(header.signature, header.firmware_digest, ECDSA(Prehashed(hashes.SHA256())))
    except InvalidSignature:
        raise Refused(
            Reason.REASON_SIGNATURE_INVALID,
            "the product's secure boot key did not sign this image",
            "header.signature",
        ) from None


def _note(session: Session, viewer: Viewer, header: FirmwareHeader, now: int) -> None:
    find_product(session, viewer, header.product_id)
    if session.get(ArtifactRow, header.firmware_digest) is None:
        session.add(ArtifactRow(digest=header.firmware_digest, size=header.size, stored_at=now))
        session.flush()
    if session.get(FirmwareRow, (header.product_id, header.firmware_digest, viewer.organisation_id)) is None:
        session.add(
            FirmwareRow(
                product_id=header.product_id,
                digest=header.firmware_digest,
                signature=header.signature,
                organisation_id=viewer.organisation_id,
                uploaded_by=viewer.person_id,
                uploaded_at=now,
            )
        )
