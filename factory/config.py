"""What the Factory Service is told when it starts: one TOML file, and the public `mesh.json` it names.

    data = "/var/lib/obis/factory"        # the one folder it writes
    mesh = "mesh.json"                    # relative to the TOML file
    factory_id = "th-01"
    line = "10.0.0.5:7440"                # stations, supervisors and the MES
    enrolment = "10.0.0.5:7441"           # stations that have no certificate yet
    longest_backoff_seconds = 300         # between two tries to reach the cloud

    [[edgehsm]]
    id = "th-01-a"
    address = "10.0.0.9:7450"

The start secret is `factory`: the passphrase of the transport key.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class ConfigUnusable(Exception):
    """The configuration lacks something, or says something that cannot be."""


@dataclass(frozen=True)
class EdgeHsmAddress:
    """An EdgeHSM of this site."""

    edgehsm_id: str
    address: str  # host:port of its front


@dataclass(frozen=True)
class MeshFile:
    """The public description of the mesh."""

    fingerprint: bytes  # 32 bytes
    cloud: str  # host:port
    enrolment: str  # host:port
    transport_ca_pem: bytes

    @classmethod
    def read(cls, path: Path) -> MeshFile:
        """Raises ConfigUnusable."""
        try:
            told = json.loads(path.read_text())
            return cls(
                bytes.fromhex(told["fingerprint"]),
                told["cloud"],
                told["enrolment"],
                told["transport_ca_pem"].encode(),
            )
        except (OSError, ValueError, KeyError) as failure:
            raise ConfigUnusable(f"{path.name}: {failure}") from None


@dataclass(frozen=True)
class Config:
    """The configuration, checked."""

    data: Path
    mesh: MeshFile
    factory_id: str
    line: str
    enrolment: str
    edgehsms: tuple[EdgeHsmAddress, ...]
    longest_backoff_seconds: float = 300

    @classmethod
    def read(cls, path: Path) -> Config:
        """Raises ConfigUnusable."""
        try:
            told = tomllib.loads(path.read_text())
            return cls._of(told, path.parent)
        except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as failure:
            raise ConfigUnusable(f"{path.name}: {failure}") from None

    @classmethod
    def _of(cls, told: dict[str, Any], folder: Path) -> Config:
        return cls(
            data=folder / told["data"],
            mesh=MeshFile.read(folder / told["mesh"]),
            factory_id=told["factory_id"],
            line=told["line"],
            enrolment=told["enrolment"],
            edgehsms=tuple(EdgeHsmAddress(each["id"], each["address"]) for each in told.get("edgehsm", [])),
            longest_backoff_seconds=float(told.get("longest_backoff_seconds", 300)),
        )
