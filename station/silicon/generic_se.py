"""generic-se: a part with a secure element that holds objects by number, certificates on a page of their own.

    store = "OBJS" | u16 count | directory | objects | certificates, each from a multiple of 16
    directory entry = u16 id (0x8720 | tag) | u16 offset | u16 size                    (little-endian)
The key never has a file: the element signs.
"""

from __future__ import annotations

import struct
from typing import Final

from obis.matter.factory_data import FactoryData
from station.silicon.family import Capabilities, Value, names_by_tag, octets, written

_MAGIC: Final = b"OBJS"
_BASE: Final = 0x8720
_ENTRY: Final = struct.Struct("<HHH")
_ON_PAGE: Final = frozenset({"dac_der", "pai_der", "certification_declaration"})


class GenericSe:
    """Model of a SoC with a secure element."""

    soc = "generic-se"
    capabilities = Capabilities(
        uid_bytes=12, key_in_secure_element=True, key_agreement=True, flash_encryption=True, debug_reopens=True
    )

    def encode(self, data: FactoryData) -> bytes:
        """See Family."""
        fields = sorted(written(data), key=lambda each: (each[0] in _ON_PAGE, each[1]))
        at = len(_MAGIC) + 2 + _ENTRY.size * len(fields)
        directory, body = b"", b""
        for name, tag, value in fields:
            packed = octets(value)
            gap = -(at + len(body)) % 16 if name in _ON_PAGE else 0
            directory += _ENTRY.pack(_BASE + tag, at + len(body) + gap, len(packed))
            body += b"\xff" * gap + packed
        return _MAGIC + struct.pack("<H", len(fields)) + directory + body

    def decode(self, blob: bytes) -> dict[str, Value]:
        """See Family."""
        if not blob.startswith(_MAGIC) or len(blob) < 6:
            raise ValueError("not an object store")
        (count,) = struct.unpack_from("<H", blob, len(_MAGIC))
        if 6 + count * _ENTRY.size > len(blob):
            raise ValueError("the directory is cut short")
        found = []
        for index in range(count):
            number, at, size = _ENTRY.unpack_from(blob, 6 + index * _ENTRY.size)
            if at + size > len(blob):
                raise ValueError("an object is cut short")
            found.append((number - _BASE, blob[at : at + size]))
        return names_by_tag(found)


FAMILY: Final = GenericSe()
