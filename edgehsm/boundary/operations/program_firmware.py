"""PROGRAM_FIRMWARE: leave to write the one image the Grant names into one device made here.

Asked again for the same image before the unit has an outcome, the answer is the same leaf and nothing is counted: a
station, or the front, that lost the reply may ask twice.
"""

from __future__ import annotations

from edgehsm.boundary.book import Book
from edgehsm.boundary.changes import ActKind
from edgehsm.boundary.gate import Ask, admit
from edgehsm.boundary.operations import Asker, made_device
from obis.refusal import Refused
from obis.v1.leaf_pb2 import FirmwareAuthorizedLeaf, LogLeaf
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import Operation


def program_firmware(book: Book, asker: Asker, firmware_digest: bytes) -> int:
    """Index of the leaf that allows it. Raises Refused."""
    standing, device = made_device(book, asker)
    if firmware_digest != standing.grant.firmware_digest:
        raise Refused(Reason.REASON_FIRMWARE_NOT_GRANTED, "the grant names another image", "firmware_digest")
    if device.firmware_index >= 0:
        return device.firmware_index
    ask = Ask(Operation.OPERATION_PROGRAM_FIRMWARE, asker.device, asker.device_id.soc)
    permit = admit(ask, standing, book.station(asker.station), book.scene)
    leaf = FirmwareAuthorizedLeaf(auth_id=asker.auth_id, device=asker.device_id, firmware_digest=firmware_digest)
    index = book.write(LogLeaf(firmware_authorized=leaf), asker.station)
    book.spend(permit, ActKind.PROGRAM_FIRMWARE, index)
    return index
