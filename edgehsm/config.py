"""What the front is told when it starts: one TOML file, and the public `mesh.json` it names for enrolment.

    mesh = "mesh.json"                       # relative to the TOML file; `enrol` alone reads it
    socket = "/run/obis/boundary.sock"       # the boundary's
    listen = "10.0.0.9:7450"                 # stations, and the Factory Service
    factory_id = "th-01"
    edgehsm_id = "th-01-a"
    steps_per_second = 5000                  # of one station; more are refused RATE_LIMITED

It has no secret: its transport key is made in memory at each start and certified by the boundary for a day.
"""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

STEPS_PER_SECOND: Final = 5000
DEADLINE_SECONDS: Final = 20.0


class ConfigUnusable(Exception):
    """The configuration lacks something, or says something that cannot be."""


@dataclass(frozen=True, slots=True)
class MeshFile:
    """The public description of the mesh, as far as enrolment needs it."""

    enrolment: str  # host:port of the cloud's enrolment port
    transport_ca_pem: bytes


@dataclass(frozen=True, slots=True)
class FrontConfig:
    """What the file says."""

    mesh: Path
    socket: Path
    listen: str
    factory_id: str
    edgehsm_id: str
    steps_per_second: int = STEPS_PER_SECOND
    deadline_seconds: float = DEADLINE_SECONDS  # for one answer of the boundary, a restart of it included


def read_config(path: Path) -> FrontConfig:
    """Raises ConfigUnusable."""
    said = _read(path, tomllib.loads)
    try:
        return FrontConfig(
            mesh=path.parent / said["mesh"],
            socket=path.parent / said["socket"],
            listen=str(said["listen"]),
            factory_id=str(said["factory_id"]),
            edgehsm_id=str(said["edgehsm_id"]),
            steps_per_second=int(said.get("steps_per_second", STEPS_PER_SECOND)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigUnusable(f"{path}: {error}") from None


def read_mesh(path: Path) -> MeshFile:
    """Raises ConfigUnusable."""
    said = _read(path, json.loads)
    try:
        return MeshFile(str(said["enrolment"]), str(said["transport_ca_pem"]).encode())
    except KeyError as error:
        raise ConfigUnusable(f"{path}: {error} is missing") from None


def say(line: str) -> None:
    """A line for whoever started the process, on standard output; the log goes to standard error."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _read(path: Path, parse: Any) -> dict[str, Any]:
    try:
        return dict(parse(path.read_text()))
    except (OSError, ValueError) as error:
        raise ConfigUnusable(f"{path}: {error}") from None
