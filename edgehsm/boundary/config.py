"""The boundary's configuration: who it is and where it keeps what. Paths are relative to the file. No secret is in it.

data = "/var/lib/obis/boundary"          # ledger, element, cosigned.note; this process' user alone
socket = "/run/obis/boundary.sock"       # at most 107 bytes
fingerprint = "<64 hex digits>"          # SHA-256 of the mesh's first TrustRoot payload
factory_id = "th-01"
edgehsm_id = "th-01-edge"
front_uid = 991                          # the only user whose connections are answered
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgehsm.boundary.holdings import Place

_ID: Final = re.compile(r"[a-z0-9-]{1,32}")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")
_MAX_SOCKET_PATH: Final = 107  # sun_path, unix(7)


class ConfigInvalid(Exception):
    """The file is missing, or says what cannot be."""


@dataclass(frozen=True, slots=True)
class BoundaryConfig:
    """What the file says."""

    data: Path
    socket: Path
    place: Place
    front_uid: int

    @property
    def ledger(self) -> Path:
        """The SQLite file."""
        return self.data / "ledger.db"

    @property
    def element(self) -> Path:
        """The software element's folder."""
        return self.data / "element"

    @property
    def cosigned(self) -> Path:
        """The highest cosigned checkpoint, beside the ledger and not in it."""
        return self.data / "cosigned.note"


def read_config(path: Path) -> BoundaryConfig:
    """Raises ConfigInvalid."""
    try:
        said = tomllib.loads(path.read_text())
        place = Place(_match(_ID, said, "factory_id"), _match(_ID, said, "edgehsm_id"), _fingerprint(said))
        socket = path.parent / said["socket"]
        if len(str(socket).encode()) > _MAX_SOCKET_PATH:
            raise ConfigInvalid(f"{path}: socket: more than {_MAX_SOCKET_PATH} bytes")
        return BoundaryConfig(path.parent / said["data"], socket, place, int(said["front_uid"]))
    except OSError as error:
        raise ConfigInvalid(f"{path}: {error.strerror}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigInvalid(f"{path}: {error}") from None


def _fingerprint(said: dict[str, object]) -> bytes:
    return bytes.fromhex(_match(_FINGERPRINT, said, "fingerprint"))


def _match(pattern: re.Pattern[str], said: dict[str, object], name: str) -> str:
    value = said[name]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{name} must match {pattern.pattern}")
    return value
