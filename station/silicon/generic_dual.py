"""generic-dual: a dual-radio part that keeps factory data twice, as Matter TLV, and boots from the newer good bank.

    bank = u32 counter | u32 length | TLV, anonymous structure by our field tags | u32 CRC-32 of all before
    partition = bank with counter 1 | bank with counter 2                              (big-endian)
Key in a trusted execution environment, so this family vouches least for it.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from obis.matter import tlv
from obis.matter.factory_data import FactoryData
from station.silicon.family import Capabilities, Value, names_by_tag, octets, written

_HEAD: Final = struct.Struct(">II")


class GenericDual:
    """Model of a Wi-Fi and Thread SoC."""

    soc = "generic-dual"
    capabilities = Capabilities(
        uid_bytes=10, key_in_secure_element=False, key_agreement=True, flash_encryption=True, debug_reopens=True
    )

    def encode(self, data: FactoryData) -> bytes:
        """See Family."""
        body = tlv.encode({tag: value for _, tag, value in written(data)})
        return b"".join(_bank(counter, body) for counter in (1, 2))

    def decode(self, blob: bytes) -> dict[str, Value]:
        """See Family; the second bank where the first is damaged."""
        half = len(blob) // 2
        bodies = [body for body in (_body(blob[:half]), _body(blob[half:])) if body is not None]
        if not bodies:
            raise ValueError("no bank is whole")
        try:
            found = tlv.decode(bodies[-1])
        except tlv.TlvError:
            raise ValueError("a bank holds no TLV") from None
        return names_by_tag(
            (tag, octets(value)) for tag, value in found.items() if isinstance(value, int | str | bytes)
        )


def _bank(counter: int, body: bytes) -> bytes:
    whole = _HEAD.pack(counter, len(body)) + body
    return whole + struct.pack(">I", zlib.crc32(whole))


def _body(bank: bytes) -> bytes | None:
    whole = len(bank) > _HEAD.size + 4 and bank[-4:] == struct.pack(">I", zlib.crc32(bank[:-4]))
    return bank[_HEAD.size : -4] if whole else None


FAMILY: Final = GenericDual()
