"""Files of the command line: signed objects, and what a JSON file says. Every failure is a sentence with the path in it."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

from obis.cli.exits import Usage
from obis.v1.envelope_pb2 import Envelope


def read_envelope(path: Path) -> Envelope:
    """The signed object in a file (trust root, ticket). Raises Usage for no file, Refused for other bytes."""
    from obis.trust.envelope import parse_envelope

    return parse_envelope(read_bytes(path))


def write_envelope(path: Path, envelope: Envelope) -> None:
    """Keep a signed object, in the one form `read_envelope` accepts."""
    write(path, envelope.SerializeToString(deterministic=True))


def read_bytes(path: Path) -> bytes:
    """The file's octets. Raises Usage."""
    try:
        return path.read_bytes()
    except OSError as failure:
        raise Usage(f"{path}: {failure.strerror}") from None


def read_json(path: Path) -> dict[str, object]:
    """A JSON object. Raises Usage."""
    try:
        found = json.loads(read_bytes(path))
    except ValueError as failure:
        raise Usage(f"{path} is not JSON: {failure}") from None
    if not isinstance(found, dict):
        raise Usage(f"{path} holds no JSON object")
    return found


def read_toml(path: Path) -> dict[str, object]:
    """A TOML table. Raises Usage."""
    try:
        return tomllib.loads(read_bytes(path).decode())
    except ValueError as failure:
        raise Usage(f"{path} is not TOML: {failure}") from None


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write the whole file or none of it. Raises Usage."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(content)
        fresh.replace(path)
    except OSError as failure:
        raise Usage(f"{path}: {failure.strerror}") from None
