"""Where the demo plays: one folder, the ports, the processes, and a passphrase for everybody who needs one.

build/demo/ports.json          who listens where
build/demo/mesh.json           the public facts of the mesh
build/demo/cloud/ vault/       data of the cloud and of the vault
build/demo/sites/<factory>/    data of a Factory Service, an EdgeHSM, a station, its chips
build/demo/people/<person>/    profiles of the obis command, with approvers' keys
build/demo/logs/               what every process said
build/demo/export/             the signed export
build/demo/summary.json        how it went
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadtest.demo.board import Board
from loadtest.demo.failure import DemoFailed
from loadtest.demo.plan import Plan
from loadtest.demo.ports import choose_ports
from loadtest.demo.processes import Processes
from obis.cli.profile import Profile

ROOT: Final = Path("build/demo")
PORTS: Final = "ports.json"


@dataclass
class Stage:
    """Everything a step of the story needs."""

    plan: Plan
    folder: Path
    ports: dict[str, str]
    processes: Processes
    board: Board
    began_at: int = field(default_factory=lambda: int(time.time()))
    _passphrases: dict[str, str] = field(default_factory=dict)

    @classmethod
    def empty(cls, plan: Plan, board: Board, folder: Path = ROOT) -> Stage:
        """A fresh folder; what an earlier run left there is wiped. Raises DemoFailed for a folder of something else."""
        if folder.exists() and any(folder.iterdir()) and not (folder / PORTS).exists():
            raise DemoFailed(f"{folder} holds something that is not the demo's", "--folder")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        names = ["cloud", "cloud-enrolment", "vault"]
        for each in plan.factories:
            names += [f"{each.id}-line", f"{each.id}-enrolment", f"{each.id}-front"]
        ports = choose_ports(names, folder / PORTS)
        return cls(plan, folder.absolute(), ports, Processes(folder.absolute() / "logs"), board)

    def passphrase(self, name: str) -> str:
        """The passphrase of a person or a process, drawn once a run and kept in memory alone."""
        return self._passphrases.setdefault(name, secrets.token_urlsafe(24))

    def profile(self, person_id: str) -> Profile:
        """A person's profile folder."""
        return Profile(self.folder / "people" / person_id)

    def site(self, factory_id: str) -> Path:
        """A factory's folder."""
        return self.folder / "sites" / factory_id

    @property
    def mesh_path(self) -> Path:
        """The public facts."""
        return self.folder / "mesh.json"


def write_toml(path: Path, values: Mapping[str, object]) -> Path:
    """Write a configuration: scalars, one table a mapping, one array of tables a list."""
    tables = {name: value for name, value in values.items() if isinstance(value, Mapping | list)}
    lines = [f"{name} = {_literal(value)}" for name, value in values.items() if name not in tables]
    for name, value in tables.items():
        for each in value if isinstance(value, list) else [value]:
            head = f"[[{name}]]" if isinstance(value, list) else f"[{name}]"
            lines += ["", head, *(f"{key} = {_literal(found)}" for key, found in each.items())]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
