"""generic-thread: a Thread part whose firmware reads one CBOR map from a partition (RFC 8949, deterministic encoding).

Keys are texts, numbers are unsigned, texts and octets are byte strings; `version` 1 stands with the rest. Key in a key
management unit that exports nothing.
"""

from __future__ import annotations

from typing import Final

from obis.matter.factory_data import FactoryData
from station.silicon.family import WRITTEN, Capabilities, Value, octets, value_of, written

_VERSION: Final = ("version", 1)
_UNSIGNED, _BYTES, _TEXT, _MAP = 0, 2, 3, 5  # RFC 8949 3.1


class GenericThread:
    """Model of a Thread and BLE SoC."""

    soc = "generic-thread"
    capabilities = Capabilities(
        uid_bytes=8, key_in_secure_element=True, key_agreement=True, flash_encryption=False, debug_reopens=True
    )

    def encode(self, data: FactoryData) -> bytes:
        """See Family."""
        items = [_VERSION, *((name, value) for name, _, value in written(data))]
        pairs = sorted(_head(_TEXT, len(name)) + name.encode() + _item(value) for name, value in items)
        return _head(_MAP, len(pairs)) + b"".join(pairs)

    def decode(self, blob: bytes) -> dict[str, Value]:
        """See Family."""
        try:
            kind, count, at = _read_head(blob, 0)
            pairs, at = _read_pairs(blob, at, count if kind == _MAP else -1)
        except IndexError:
            raise ValueError("the map is cut short") from None
        if at != len(blob) or pairs.pop("version", None) != 1:
            raise ValueError("octets follow the map, or the version is not 1")
        if not pairs.keys() <= WRITTEN.keys():
            raise ValueError("a key is unknown")
        return {name: value if isinstance(value, int) else value_of(name, value) for name, value in pairs.items()}


def _head(kind: int, count: int) -> bytes:
    """RFC 8949 4.2.1: the shortest form."""
    if count < 24:
        return bytes([kind << 5 | count])
    size = 1 if count < 1 << 8 else 2 if count < 1 << 16 else 4
    return bytes([kind << 5 | {1: 24, 2: 25, 4: 26}[size]]) + count.to_bytes(size)


def _item(value: Value) -> bytes:
    if isinstance(value, int):
        return _head(_UNSIGNED, value)
    return _head(_BYTES, len(octets(value))) + octets(value)


def _read_head(blob: bytes, at: int) -> tuple[int, int, int]:
    kind, low = blob[at] >> 5, blob[at] & 0x1F
    if low < 24:
        return kind, low, at + 1
    size = {24: 1, 25: 2, 26: 4}.get(low)
    if size is None:
        raise ValueError("a head is not one that we write")
    return kind, int.from_bytes(blob[at + 1 : at + 1 + size]), at + 1 + size


def _read_pairs(blob: bytes, at: int, count: int) -> tuple[dict[str, int | bytes], int]:
    if count < 0:
        raise ValueError("not a map")
    pairs: dict[str, int | bytes] = {}
    for _ in range(count):
        kind, length, at = _read_head(blob, at)
        name, at = blob[at : at + length].decode(), at + length
        value_kind, value, at = _read_head(blob, at)
        if kind != _TEXT or value_kind not in (_UNSIGNED, _BYTES) or name in pairs:
            raise ValueError("a pair is not text and value, or comes twice")
        pairs[name] = value if value_kind == _UNSIGNED else blob[at : at + value]
        at += value if value_kind == _BYTES else 0
    return pairs, at


FAMILY: Final = GenericThread()
