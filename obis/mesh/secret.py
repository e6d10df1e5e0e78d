"""Start secrets: by an inherited descriptor or from $CREDENTIALS_DIRECTORY; never by argument, environment or plain file.

An argument is in every process list, the environment in every child, a plain file in every backup. A descriptor is
read once and closed; the service manager keeps $CREDENTIALS_DIRECTORY in memory, for one service alone.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

LONGEST_SECRET: Final = 4096  # bytes
_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")


class SecretUnavailable(Exception):
    """The secret was not handed over, or not in a way that keeps it one."""


def read_secret(name: str, descriptor: int | None = None) -> bytes:
    """The secret `name`, without a trailing newline, 1 to 4096 bytes.

    From `descriptor` if one is given, which is closed afterwards; else from the credentials directory. Raises
    SecretUnavailable with what to do.
    """
    secret = _from_descriptor(name, descriptor) if descriptor is not None else _from_credentials(name)
    secret = secret.removesuffix(b"\n")
    if not 0 < len(secret) <= LONGEST_SECRET:
        raise SecretUnavailable(f"secret {name} must be 1 to {LONGEST_SECRET} bytes")
    return secret


def read_secrets(names: Sequence[str], descriptor: int | None = None) -> dict[str, bytes]:
    """Several secrets at once: from one JSON object `{name: text}` on `descriptor`, or each from the credentials.

    Each is 1 to 4096 bytes. Raises SecretUnavailable; what else the object holds is not looked at.
    """
    if descriptor is None:
        return {name: read_secret(name) for name in names}
    try:
        found = json.loads(_from_descriptor(names[0], descriptor))
        secrets = {name: str(found[name]).encode() for name in names}
    except (ValueError, KeyError, TypeError):
        raise SecretUnavailable(f"descriptor {descriptor} gives no JSON object with {', '.join(names)}") from None
    for name, secret in secrets.items():
        if not 0 < len(secret) <= LONGEST_SECRET:
            raise SecretUnavailable(f"secret {name} must be 1 to {LONGEST_SECRET} bytes")
    return secrets


def _from_descriptor(name: str, descriptor: int) -> bytes:
    try:
        with os.fdopen(descriptor, "rb") as pipe:
            status = os.fstat(pipe.fileno())
            # A memory file has no name in any folder; a file that has one stays on the disk after we read it.
            if stat.S_ISREG(status.st_mode) and status.st_nlink:
                raise SecretUnavailable(f"secret {name} comes from a plain file; use a pipe")
            return pipe.read(LONGEST_SECRET + 2)
    except OSError as failure:
        raise SecretUnavailable(f"secret {name}: descriptor {descriptor} cannot be read: {failure.strerror}") from None


def _from_credentials(name: str) -> bytes:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not _NAME.fullmatch(name):
        raise SecretUnavailable(f"{name!r} is not the name of a secret")
    if not folder:
        raise SecretUnavailable(f"secret {name}: give a descriptor, or start under a service manager with credentials")
    try:
        with (Path(folder) / name).open("rb") as file:
            return file.read(LONGEST_SECRET + 2)
    except OSError as failure:
        raise SecretUnavailable(f"secret {name}: {failure.strerror} in the credentials directory") from None
