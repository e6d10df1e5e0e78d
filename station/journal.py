"""The journal: one small file a unit, so that a station that starts again goes on where it stopped.

It holds no passcode, no key and nothing that helps find one (`actions.Entry`). Each change replaces the file in one
step; what a unit's way on depends on is on the disk before the next action begins.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from obis.refusal import Refused
from obis.v1.reason_pb2 import Reason
from station.actions import Entry, Mark


class Journal:
    """Entries by uid, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def read(self, uid: bytes) -> Entry | None:
        """What is known of this unit."""
        path = self._path(uid)
        return _read(json.loads(path.read_text())) if path.exists() else None

    def write(self, entry: Entry, *, durable: bool = True) -> None:
        """On the disk when it returns; not so if the loss of it costs nothing (`durable` false).

        Raises Refused STORAGE_FULL.
        """
        values = ((each.name, getattr(entry, each.name)) for each in fields(entry))
        written = {name: value.hex() if isinstance(value, bytes) else value for name, value in values}
        path = f"{self._folder}/{entry.uid.hex()}"
        try:
            file = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.write(file, json.dumps(written).encode())  # far less than a page: whole or not at all
                if durable:
                    os.fdatasync(file)
            finally:
                os.close(file)
            os.replace(f"{path}.new", f"{path}.json")  # noqa: PTH105 (a dozen times a device: pathlib costs as much)
        except OSError as error:
            raise Refused(Reason.REASON_STORAGE_FULL, f"the journal cannot be written: {error.strerror}") from None

    def entries(self) -> Iterator[Entry]:
        """All units, in no order."""
        for path in self._folder.glob("*.json"):
            yield _read(json.loads(path.read_text()))

    def without(self, uid: bytes) -> Journal:
        """This journal for somebody who has not seen that unit."""
        return Blank(self._folder, uid)

    def _path(self, uid: bytes) -> Path:
        return self._folder / f"{uid.hex()}.json"


def _read(written: dict[str, str | int]) -> Entry:
    octets = {each.name for each in fields(Entry) if each.type == "bytes"}
    values = {name: bytes.fromhex(str(value)) if name in octets else value for name, value in written.items()}
    return Entry(**{**values, "mark": Mark(int(written["mark"]))})  # type: ignore[arg-type]  # our own file


class Blank(Journal):
    """A journal that has never seen one uid, and keeps nothing of it: for a unit that only claims to be that one."""

    def __init__(self, folder: Path, uid: bytes) -> None:
        super().__init__(folder)
        self._uid = uid

    def read(self, uid: bytes) -> Entry | None:
        """Nothing for the one uid."""
        return None if uid == self._uid else super().read(uid)

    def write(self, entry: Entry, *, durable: bool = True) -> None:
        """Nothing for the one uid."""
        if entry.uid != self._uid:
            super().write(entry, durable=durable)
