"""What a chip family is: its flags, and how it writes Matter factory data. Pure; nothing here talks to a chip.

A family writes every field of FactoryData but the blinding, which a chip is told beside the data, uses for the digest it
reports and forgets. There is no field for a private key or a passcode, so no family can write one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from obis.matter.errors import MatterError
from obis.matter.factory_data import LIMITS, FactoryData

Value = int | str | bytes
WRITTEN: Final = {name: limit for name, limit in LIMITS.items() if name != "blinding"}


@dataclass(frozen=True)
class Capabilities:
    """What a family can do and insists on; a session asks these instead of knowing chips.

    `red_line_capable` is false for a chip that can only be given a secret in clear. `data_bytes` is what its partition
    for factory data holds.
    """

    uid_bytes: int
    key_in_secure_element: bool
    key_agreement: bool
    flash_encryption: bool
    debug_reopens: bool
    red_line_capable: bool = True
    data_bytes: int = 8192
    image_chunk_bytes: int = 65536


class Family(Protocol):
    """One chip family; a module of this package holds one."""

    @property
    def soc(self) -> str:
        """Its name in manifests: [a-z0-9-]{1,32}."""

    @property
    def capabilities(self) -> Capabilities:
        """Its flags."""

    def encode(self, data: FactoryData) -> bytes:
        """The factory data as this family's firmware reads it. Deterministic."""

    def decode(self, blob: bytes) -> dict[str, Value]:
        """The fields in a blob read back, without the blinding; raises ValueError where it is not this family's."""


def written(data: FactoryData) -> list[tuple[str, int, Value]]:
    """Name, tag and value of every field a family writes, by tag; empty texts are left out."""
    fields = ((name, limit.tag, getattr(data, name)) for name, limit in WRITTEN.items())
    return sorted((each for each in fields if each[2] != ""), key=lambda each: each[1])


def octets(value: Value) -> bytes:
    """A value as octets: numbers in four, most significant first; texts in UTF-8."""
    if isinstance(value, int):
        return value.to_bytes(4)
    return value.encode() if isinstance(value, str) else value


def value_of(name: str, read: bytes) -> Value:
    """The value that `octets` wrote for this field; raises ValueError."""
    kind = WRITTEN[name].kind
    if kind is int:
        return int.from_bytes(read)
    return read.decode() if kind is str else read


def names_by_tag(found: Iterable[tuple[int, bytes]]) -> dict[str, Value]:
    """Values by name from values by tag; raises ValueError for an unknown tag or one that comes twice."""
    names = {limit.tag: name for name, limit in WRITTEN.items()}
    read: dict[str, Value] = {}
    for tag, value in found:
        if tag not in names or names[tag] in read:
            raise ValueError("a tag is unknown or comes twice")
        read[names[tag]] = value_of(names[tag], value)
    return read


def factory_data(read: dict[str, Value], blinding: bytes) -> FactoryData:
    """The data of what `Family.decode` read; raises ValueError."""
    texts: dict[str, Value] = {name: "" for name, limit in WRITTEN.items() if limit.kind is str}
    try:
        return FactoryData(**{**texts, **read, "blinding": blinding})  # type: ignore[arg-type]  # it looks at every type
    except (MatterError, TypeError) as error:
        raise ValueError(f"the blob is not whole factory data: {type(error).__name__}") from None
