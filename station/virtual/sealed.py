"""Where units are between two visits to a socket: in memory, or sealed on disk for a rework weeks later.

A file holds one chip, AES-256-GCM under HKDF-SHA256(process secret, uid); the secret is handed to this process alone
and the uid is bound in, so files cannot be exchanged. A file is replaced in one step after every operation that
changes what flash or fuses hold.
"""

from __future__ import annotations

import json
import os
import secrets
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from station.silicon.frames import Op
from station.virtual.chip import Chip
from station.virtual.fuses import Fuses
from station.virtual.key import DeviceKey

LASTING: Final = frozenset(
    {Op.LOAD_AGENT, Op.MAKE_KEY, Op.WRITE_DATA, Op.END_IMAGE, Op.SET_ROOTS, Op.SECURE_BOOT, Op.LOCK}
)
IN_MEMORY: Final = 20_000  # units a process remembers


class Shelf:
    """Units by uid, in memory."""

    def __init__(self) -> None:
        self._units: OrderedDict[bytes, Chip] = OrderedDict()

    def first(self) -> Chip | None:
        """The unit a process without pool begins with, if it has been here before."""
        return None

    def put(self, chip: Chip) -> None:
        """A new unit."""
        self._units[chip.uid] = chip
        if len(self._units) > IN_MEMORY:
            self._units.popitem(last=False)

    def get(self, uid: bytes) -> Chip | None:
        """The unit with this uid, if it was here."""
        return self._units.get(uid)

    def changed(self, chip: Chip, op: Op) -> None:
        """Something was done to it."""


class SealedShelf(Shelf):
    """Units by uid, each in a sealed file of `folder`."""

    def __init__(self, folder: Path, secret: bytes) -> None:
        super().__init__()
        self._folder, self._secret = folder, secret
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def first(self) -> Chip | None:
        """The oldest unit on the disk."""
        files = sorted(self._folder.glob("*.sealed"), key=lambda path: path.stat().st_mtime)
        return self.get(bytes.fromhex(files[0].stem)) if files else None

    def get(self, uid: bytes) -> Chip | None:
        """From memory or disk; raises PermissionError where the secret is not the one it was sealed under."""
        path = self._path(uid)
        if (held := super().get(uid)) or not path.exists():
            return held
        sealed = path.read_bytes()
        try:
            opened = AESGCM(self._key(uid)).decrypt(sealed[:12], sealed[12:], uid)
        except InvalidTag:
            raise PermissionError(f"{path.name} was sealed under another secret, or altered") from None
        chip = _read(json.loads(opened))
        super().put(chip)
        return chip

    def changed(self, chip: Chip, op: Op) -> None:
        """Seals what flash and fuses hold now, durably, before the station is answered."""
        if op not in LASTING:
            return
        nonce = secrets.token_bytes(12)
        sealed = nonce + AESGCM(self._key(chip.uid)).encrypt(nonce, json.dumps(_written(chip)).encode(), chip.uid)
        fresh = self._path(chip.uid).with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(sealed)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path(chip.uid))

    def _path(self, uid: bytes) -> Path:
        return self._folder / f"{uid.hex()}.sealed"

    def _key(self, uid: bytes) -> bytes:
        return HKDF(hashes.SHA256(), 32, salt=uid, info=b"obis/virtual-chip/v1").derive(self._secret)


def _written(chip: Chip) -> dict[str, object]:
    return {
        "soc": chip.soc,
        "fuses": chip.fuses.as_hex(),
        "uid": chip.uid.hex(),
        "scalar": chip.key.scalar().hex() if chip.key else "",
        **{name: getattr(chip, name).hex() for name in _OCTETS},
    }


_OCTETS: Final = ("data", "data_digest", "image", "image_digest", "agent_digest")


def _read(written: dict[str, Any]) -> Chip:
    scalar = bytes.fromhex(written["scalar"])
    key = DeviceKey.from_scalar(scalar) if scalar else None
    chip = Chip(written["soc"], bytes.fromhex(written["uid"]), fuses=Fuses.from_hex(written["fuses"]), key=key)
    for name in _OCTETS:
        setattr(chip, name, bytes.fromhex(written[name]))
    return chip
