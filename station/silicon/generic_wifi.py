"""generic-wifi: a Wi-Fi part whose firmware reads a key-value partition, as NVS-like stores do.

    partition = "OBKV" | u8 version 1 | entries | u32 CRC-32 of all before
    entry     = name, 16 octets, zero-padded | u8 type (1 number, 2 text, 3 octets) | u16 length | value
Numbers little-endian; a name is the first letters of its words where it would be too long. Key in flash encrypted by a
fuse key made on the chip.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from obis.matter.factory_data import FactoryData
from station.silicon.family import WRITTEN, Capabilities, Value, value_of, written

_MAGIC: Final = b"OBKV\x01"
_ENTRY: Final = struct.Struct("<16sBH")
_TYPES: Final = {int: 1, str: 2, bytes: 3}


def key(name: str) -> str:
    """A name of at most 15 characters, as such stores allow."""
    return name if len(name) <= 15 else "-".join(word[:4] for word in name.split("_"))[:15]


_NAMES: Final = {key(name): name for name in WRITTEN}


class GenericWifi:
    """Model of a Wi-Fi SoC."""

    soc = "generic-wifi"
    capabilities = Capabilities(
        uid_bytes=6, key_in_secure_element=False, key_agreement=True, flash_encryption=True, debug_reopens=True
    )

    def encode(self, data: FactoryData) -> bytes:
        """See Family."""
        body = _MAGIC + b"".join(_entry(name, value) for name, _, value in written(data))
        return body + struct.pack("<I", zlib.crc32(body))

    def decode(self, blob: bytes) -> dict[str, Value]:
        """See Family."""
        body = blob[:-4]
        if not body.startswith(_MAGIC) or blob[-4:] != struct.pack("<I", zlib.crc32(body)):
            raise ValueError("not a key-value partition")
        read, at = {}, len(_MAGIC)
        while at < len(body):
            try:
                packed, kind, length = _ENTRY.unpack_from(body, at)
                name = _NAMES[packed.rstrip(b"\0").decode()]
            except (struct.error, KeyError):
                raise ValueError("an entry cannot be read") from None
            at += _ENTRY.size + length
            value = body[at - length : at]
            if len(value) != length or kind != _TYPES[WRITTEN[name].kind]:
                raise ValueError("an entry is cut short or of another type")
            read[name] = value_of(name, value[::-1] if kind == _TYPES[int] else value)
        return read


def _entry(name: str, value: Value) -> bytes:
    packed = (
        struct.pack("<I", value) if isinstance(value, int) else value if isinstance(value, bytes) else value.encode()
    )
    return _ENTRY.pack(key(name).encode(), _TYPES[WRITTEN[name].kind], len(packed)) + packed


FAMILY: Final = GenericWifi()
