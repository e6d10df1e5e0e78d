"""generic-ble: a BLE and Thread part whose firmware reads a hashed TLV block.

    block = u32 magic | u32 size | first 4 octets of SHA-256(payload) | payload       (little-endian)
    payload = (u8 tag | u16 length | value)*, by tag, ascending
Key in an enclave, kept outside as a blob only that chip can open.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import Final

from obis.matter.factory_data import FactoryData
from station.silicon.family import Capabilities, Value, names_by_tag, octets, written

_MAGIC: Final = 0x4F424C45
_HEAD: Final = struct.Struct("<II4s")
_ENTRY: Final = struct.Struct("<BH")


class GenericBle:
    """Model of a BLE SoC with an enclave."""

    soc = "generic-ble"
    capabilities = Capabilities(
        uid_bytes=16, key_in_secure_element=True, key_agreement=False, flash_encryption=False, debug_reopens=True
    )

    def encode(self, data: FactoryData) -> bytes:
        """See Family."""
        fields = [(tag, octets(value)) for _, tag, value in written(data)]
        payload = b"".join(_ENTRY.pack(tag, len(value)) + value for tag, value in fields)
        return _HEAD.pack(_MAGIC, len(payload), sha256(payload).digest()[:4]) + payload

    def decode(self, blob: bytes) -> dict[str, Value]:
        """See Family."""
        payload = blob[_HEAD.size :]
        if blob[: _HEAD.size] != _HEAD.pack(_MAGIC, len(payload), sha256(payload).digest()[:4]):
            raise ValueError("not a factory data block")
        found, at = [], 0
        while at < len(payload):
            if at + _ENTRY.size > len(payload):
                raise ValueError("an entry is cut short")
            tag, length = _ENTRY.unpack_from(payload, at)
            at += _ENTRY.size + length
            found.append((tag, payload[at - length : at]))
        if at != len(payload):
            raise ValueError("an entry is cut short")
        return names_by_tag(found)


FAMILY: Final = GenericBle()
