"""What an EdgeHSM does for a device, one file an operation: decided here, recorded in the book, answered after commit.

No gRPC, no SQL, no clock: values in, values out. Every operation takes the `Asker` first and raises Refused.
"""

from __future__ import annotations

from typing import NamedTuple

from edgehsm.boundary.book import Book
from edgehsm.boundary.changes import DeviceKey, device_key
from edgehsm.boundary.gate import require_open, require_station
from edgehsm.boundary.ledger import Device, Standing
from obis.refusal import Refused
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import DeviceId


class Asker(NamedTuple):
    """Who asks for which device under which Authorization; `device_id` keeps its documented rules."""

    station: bytes  # SHA-256 of the station key's SubjectPublicKeyInfo, 32 bytes
    auth_id: bytes
    device_id: DeviceId
    device: DeviceKey  # its one name


def asker_of(station: bytes, auth_id: bytes, device_id: DeviceId) -> Asker:
    """Named once: the device's key is asked for at every step of an operation."""
    return Asker(station, auth_id, device_id, device_key(device_id.soc, device_id.uid))


def made_device(book: Book, asker: Asker, *, stopped_too: bool = False) -> tuple[Standing, Device]:
    """The device as it was made under this Authorization, for a station that may ask about it: no window, no count.

    Gate rules 1 to 4 and 11; `stopped_too` leaves out 2 and 3, for what only records or closes. Raises Refused.
    """
    standing = book.standing(asker.auth_id)
    if standing is None:
        raise Refused(Reason.REASON_AUTHORIZATION_UNKNOWN, "no such authorization was admitted here", "gate rule 1")
    if not stopped_too:
        require_open(standing, book.scene)
    require_station(book.station(asker.station), standing)
    device = book.ledger.by_device.get(asker.device)
    if device is None or device.sequence != standing.sequence:
        raise Refused(Reason.REASON_DEVICE_UNKNOWN, "the device was not made under this authorization", "gate rule 11")
    return standing, device
