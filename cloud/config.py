"""The cloud's configuration: one TOML file, read once, public.

    data = "…"                      the one folder the cloud writes
    database = "sqlite:///…"        optional; default data/cloud.db
    listen = "127.0.0.1:7443"       mesh port
    enrolment_listen = "…:7444"     enrolment port (anonymous, server certificate only)
    vault = "127.0.0.1:7445"        the vault's address
    admin_listen = "127.0.0.1:0"    optional: reflection and channelz, loopback only
    [oem]
    organisation_id = "oem"
    name = "Acme Home"

`data` may be relative to the file.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path


class ConfigInvalid(Exception):
    """The file does not say what the cloud needs."""


@dataclass(frozen=True)
class CloudConfig:
    """What the file says."""

    data: Path
    database: str
    listen: str
    enrolment_listen: str
    vault: str
    oem_id: str
    oem_name: str
    admin_listen: str = ""

    @property
    def keys(self) -> Path:
        """Encrypted keys."""
        return self.data / "keys"

    @property
    def artifacts(self) -> Path:
        """Firmware and other files, by digest."""
        return self.data / "artifacts"

    @property
    def public(self) -> Path:
        """What `init` tells everybody."""
        return self.data / "public.json"


def read_config(path: Path) -> CloudConfig:
    """Raises ConfigInvalid with the name of what is missing."""
    try:
        found = tomllib.loads(path.read_text())
        data = path.parent / found["data"]
        return CloudConfig(
            data=data,
            database=found.get("database", f"sqlite:///{data / 'cloud.db'}"),
            listen=found["listen"],
            enrolment_listen=found["enrolment_listen"],
            vault=found["vault"],
            oem_id=found["oem"]["organisation_id"],
            oem_name=found["oem"]["name"],
            admin_listen=found.get("admin_listen", ""),
        )
    except KeyError as missing:
        raise ConfigInvalid(f"{path.name} does not say {missing.args[0]}") from None
    except (OSError, tomllib.TOMLDecodeError) as failure:
        raise ConfigInvalid(f"{path.name}: {failure}") from None
