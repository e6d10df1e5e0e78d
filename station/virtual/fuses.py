"""One-way memory: a fuse that holds a value keeps it for ever."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from hashlib import sha256


class FuseBurnt(Exception):
    """The fuse holds another value already."""


@dataclass
class Fuses:
    """What can be written once. Writing the same value again is no change; another value raises FuseBurnt."""

    secure_boot_spki: bytes = b""
    debug_spki: bytes = b""
    minimum_version: bytes = b""
    secure_boot: bytes = b""
    debug_locked: bytes = b""

    def burn(self, name: str, value: bytes) -> None:
        """Raises FuseBurnt; an empty value burns nothing."""
        held = getattr(self, name)
        if held and held != value:
            raise FuseBurnt(name)
        setattr(self, name, value)

    def digest(self) -> bytes:
        """SHA-256 over all of them, 32 bytes: what a read-back compares."""
        return sha256(json.dumps(self.as_hex(), sort_keys=True).encode()).digest()

    def as_hex(self) -> dict[str, str]:
        """All fuses, for the sealed state."""
        return {each.name: getattr(self, each.name).hex() for each in fields(self)}

    @classmethod
    def from_hex(cls, values: dict[str, str]) -> Fuses:
        """The fuses that `as_hex` told of."""
        return cls(**{name: bytes.fromhex(value) for name, value in values.items()})
