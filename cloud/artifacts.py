"""Files by the SHA-256 of their content: written once, never changed, served from any offset.

A file that is being received has another name and is gone when it does not become what was announced. It is in its
place, durably, before the transaction that names it commits.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from obis.refusal import Refused
from obis.v1.reason_pb2 import Reason


class Artifacts:
    """The folder `data/artifacts`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob("*.part"):
            leftover.unlink()

    def path(self, digest: bytes) -> Path:
        """Where a digest's file is, or would be."""
        return self._folder / digest.hex()

    def read(self, digest: bytes, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`. Raises Refused NOT_FOUND."""
        try:
            with self.path(digest).open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except FileNotFoundError:
            raise Refused(Reason.REASON_NOT_FOUND, "no such artifact", "digest") from None

    def size(self, digest: bytes) -> int:
        """Octets. Raises Refused NOT_FOUND."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            raise Refused(Reason.REASON_NOT_FOUND, "no such artifact", "digest") from None

    @contextmanager
    def receiving(self, digest: bytes, size: int) -> Iterator[Receiver]:
        """Receive a file of this digest and size; what is not finished by `keep` leaves nothing."""
        part = self._folder / f"{token_hex(8)}.part"
        with part.open("xb") as file:
            try:
                yield Receiver(file, part, self.path(digest), digest, size)
            finally:
                part.unlink(missing_ok=True)


class Receiver:
    """One file on its way in."""

    def __init__(self, file: BinaryIO, part: Path, place: Path, digest: bytes, size: int) -> None:
        self._file, self._part, self._place = file, part, place
        self._digest, self._size = digest, size
        self._hash, self._received = sha256(), 0

    def write(self, chunk: bytes) -> None:
        """The next bytes. Raises Refused TOO_LARGE beyond the announced size, STORAGE_FULL where there is no room."""
        self._received += len(chunk)
        if self._received > self._size:
            raise Refused(Reason.REASON_TOO_LARGE, f"more than the {self._size} octets announced", "chunk")
        self._hash.update(chunk)
        with _room_needed():
            self._file.write(chunk)

    def check(self) -> None:
        """Raises Refused MALFORMED or DIGEST_MISMATCH unless all of it came, and as announced."""
        if self._received != self._size:
            what = f"{self._received} octets came, {self._size} were announced"
            raise Refused(Reason.REASON_MALFORMED, what, "header.size")
        if self._hash.digest() != self._digest:
            raise Refused(Reason.REASON_DIGEST_MISMATCH, "the image has another digest", "header.firmware_digest")

    def keep(self) -> None:
        """Put the checked file in its place, durably."""
        with _room_needed():
            self._file.flush()
            os.fsync(self._file.fileno())
        self._part.replace(self._place)
        folder = os.open(self._place.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def _room_needed() -> Iterator[None]:
    try:
        yield
    except OSError as failure:
        if failure.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Refused(Reason.REASON_STORAGE_FULL, "the cloud has no room for this image", "chunk") from failure
