"""A firmware image on its way to the cloud: header first, then chunks in order; its digest is what everything names."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from obis.cli.approver_key import ApproverKey
from obis.cli.connection import Cloud
from obis.v1.versions_pb2 import FirmwareHeader, UploadFirmwareRequest, UploadFirmwareResponse

CHUNK_BYTES: Final = 256 * 1024


async def upload_firmware(
    cloud: Cloud, product_id: bytes, image: bytes, signer: ApproverKey | None = None
) -> UploadFirmwareResponse:
    """Upload the image, signed by the product's secure boot key where `signer` is given. The same again is harmless."""
    signature = signer.sign(image) if signer else b""
    header = FirmwareHeader(
        product_id=product_id, firmware_digest=sha256(image).digest(), size=len(image), signature=signature
    )
    return await cloud.versions.UploadFirmware(iter(list(_parts(header, image))), timeout=600)


def _parts(header: FirmwareHeader, image: bytes) -> Iterator[UploadFirmwareRequest]:
    yield UploadFirmwareRequest(header=header)
    for at in range(0, len(image), CHUNK_BYTES):
        yield UploadFirmwareRequest(chunk=image[at : at + CHUNK_BYTES])
