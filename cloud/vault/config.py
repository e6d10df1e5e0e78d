"""The vault's configuration: one TOML file, read once, public.

data = "…"                   the one folder the vault writes; may be relative to the file
listen = "127.0.0.1:7445"    mesh port
vendor_id = 0xFFF1           Matter vendor id of the PAA, or
vendor_ids = [0xFFF1, …]     one PAA each
name = "Acme Home"           optional: stands in the PAA's subject
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path


class ConfigInvalid(Exception):
    """The file does not say what the vault needs."""


@dataclass(frozen=True)
class VaultConfig:
    """What the file says."""

    data: Path
    listen: str
    vendor_ids: tuple[int, ...]
    name: str

    @property
    def keys(self) -> Path:
        """Encrypted keys and their certificates."""
        return self.data / "keys"

    @property
    def ledger(self) -> Path:
        """What the vault did."""
        return self.data / "vault.db"

    @property
    def root(self) -> Path:
        """The pinned TrustRoot version 1."""
        return self.data / "root-0001.dsse"

    @property
    def public(self) -> Path:
        """What `init` tells everybody."""
        return self.data / "public.json"

    @property
    def request(self) -> Path:
        """PKCS#10 for the transport key, for `python -m cloud certify-vault`."""
        return self.data / "vault.csr"


def read_config(path: Path) -> VaultConfig:
    """Raises ConfigInvalid with the name of what is missing."""
    try:
        found = tomllib.loads(path.read_text())
        vendors = found.get("vendor_ids") or [found["vendor_id"]]
        return VaultConfig(
            data=path.parent / found["data"],
            listen=found["listen"],
            vendor_ids=tuple(int(each) for each in vendors),
            name=found.get("name", "OBIS"),
        )
    except KeyError as missing:
        raise ConfigInvalid(f"{path.name} does not say {missing.args[0]}") from None
    except (OSError, tomllib.TOMLDecodeError) as failure:
        raise ConfigInvalid(f"{path.name}: {failure}") from None
