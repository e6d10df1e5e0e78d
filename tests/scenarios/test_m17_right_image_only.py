"""M17: a chip is programmed under an authorization, and with the one image that was approved.

EdgeHSM gives leave for the granted digest alone, to a device that it made itself; the cloud takes no image that the product's
secure boot key did not sign, or that is not what its header says.
"""

import os
from hashlib import sha256

import pytest

from obis.cli.connection import answered
from obis.cli.firmware import upload_firmware
from obis.refusal import Refused
from obis.v1.versions_pb2 import FirmwareHeader, UploadFirmwareRequest
from tests.scenarios.devices import Device, new_key, reason
from tests.scenarios.mesh import HOME

SOC = "generic-thread"


async def test_leave_is_for_the_granted_image_and_a_device_made_here(mesh):
    batch, device = await mesh.batch(mesh.bulb, 1), Device(SOC)
    granted = (await mesh.manifest(mesh.bulb)).firmware_digest

    too_early = await mesh.step(HOME, device.firmware(batch.auth_id, granted))
    issued = await mesh.step(HOME, device.issue(batch.auth_id))
    wrong = await mesh.step(HOME, device.firmware(batch.auth_id, os.urandom(32)))
    right = await mesh.step(HOME, device.firmware(batch.auth_id, granted))
    strange = await mesh.step(HOME, Device(SOC).firmware(batch.auth_id, granted))

    assert reason(issued) == ""
    assert (reason(too_early), reason(wrong), reason(right)) == ("DEVICE_UNKNOWN", "FIRMWARE_NOT_GRANTED", "")
    assert reason(strange) == "DEVICE_UNKNOWN"


async def test_the_cloud_takes_no_image_that_another_key_signed(mesh):
    with pytest.raises(Refused, match="SIGNATURE_INVALID"), answered("cloud"):
        await upload_firmware(mesh.crew.odms[HOME], mesh.bulb.product_id, os.urandom(5000), new_key())


async def test_the_cloud_takes_no_image_that_is_not_what_its_header_says(mesh):
    image = os.urandom(5000)
    header = FirmwareHeader(
        product_id=mesh.bulb.product_id,
        firmware_digest=sha256(image).digest(),
        size=len(image),
        signature=mesh.keys.secure_boot.sign(image),
    )
    for sent, words in (
        (image[:-1] + bytes([image[-1] ^ 1]), {"DIGEST_MISMATCH"}),
        (image[:-1], {"MALFORMED", "DIGEST_MISMATCH"}),
    ):
        with pytest.raises(Refused) as refused, answered("cloud"):
            await mesh.crew.odms[HOME].versions.UploadFirmware(_parts(header, sent))
        assert refused.value.word in words


async def _parts(header, image):
    yield UploadFirmwareRequest(header=header)
    yield UploadFirmwareRequest(chunk=image)
