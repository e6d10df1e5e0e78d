"""The station's configuration file (TOML) and its one start secret.

    factory_id = "th-1"                 station_id = "line-a-1"        line_id = "line-a"
    data = "…/station"                  the one folder it writes
    mesh = "…/mesh.json"                fingerprint and transport CA, public
    factory = "127.0.0.1:7501"          the Factory Service's line port
    factory_enrolment = "127.0.0.1:7502"
    edgehsm = "127.0.0.1:7601"          the front's line port
    edgehsm_id = "th-1-a"
    chip_patience_seconds = 5           optional
    patience_seconds = 60               optional: how long a unit waits for EdgeHSM before it is HELD

    [[socket]]
    name = "a0"    soc = "generic-wifi"    address = "unix:…/chips.sock"    slot = 0    pool = true

The secret is `transport`, the passphrase of the transport key at rest: JSON {"transport": text} on --secrets-fd, or a
file of $CREDENTIALS_DIRECTORY.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from obis.mesh.identity import Identity, Role
from station.silicon.link import Place
from station.sockets import SocketPlan


@dataclass(frozen=True)
class Mesh:
    """What mesh.json says: the pinned fingerprint (32 bytes) and the cloud's transport CA."""

    fingerprint: bytes
    transport_ca: x509.Certificate

    @classmethod
    def read(cls, path: Path) -> Mesh:
        """Raises OSError, KeyError or ValueError."""
        said = json.loads(path.read_text())
        authority = x509.load_pem_x509_certificate(said["transport_ca_pem"].encode())
        return cls(bytes.fromhex(said["fingerprint"]), authority)


@dataclass(frozen=True)
class Config:
    """The file, read."""

    factory_id: str
    station_id: str
    line_id: str
    data: Path
    mesh: Path
    factory: str
    factory_enrolment: str
    edgehsm: str
    edgehsm_id: str
    sockets: tuple[SocketPlan, ...]
    chip_patience_seconds: float = 5.0
    patience_seconds: float = 60.0

    @classmethod
    def read(cls, path: Path) -> Config:
        """Raises OSError, KeyError or ValueError; relative paths are below the file's folder."""
        said: dict[str, Any] = tomllib.loads(path.read_text())
        here = path.resolve().parent
        sockets = tuple(_socket(each) for each in said.pop("socket", []))
        folders = {name: here / said.pop(name) for name in ("data", "mesh")}
        return cls(**said, **folders, sockets=sockets)

    @property
    def identity(self) -> Identity:
        """This station's name."""
        return Identity(Role.STATION, self.station_id, self.factory_id)

    @property
    def factory_identity(self) -> Identity:
        """The Factory Service's name, which its certificate must carry."""
        return Identity(Role.FACTORY, self.factory_id)

    @property
    def front_identity(self) -> Identity:
        """The front's name, which its certificate must carry."""
        return Identity(Role.FRONT, self.edgehsm_id, self.factory_id)


def _socket(said: dict[str, Any]) -> SocketPlan:
    place = Place(said["address"], said.get("slot", 0))
    return SocketPlan(said["name"], said["soc"], place, said.get("pool", False))
