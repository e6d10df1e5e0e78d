"""Firmware and other blobs: fetched once from the cloud by digest, served to stations from here.

1. A file under its digest is whole and has that digest: it is verified, made durable, then renamed.
2. What is on the way is in a `.part` file; after a cut or a restart the fetch goes on where that file ends.
3. Bytes that do not have the digest are thrown away, and never served.
4. One fetch a digest at a time, however many stations ask.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from obis.refusal import Refused
from obis.v1.factory_link_pb2 import FetchArtifactResponse
from obis.v1.reason_pb2 import Reason

CHUNK_BYTES: Final = 256 * 1024

# A stream of parts of a digest, from an offset on.
Fetch = Callable[[bytes, int], AsyncIterator[FetchArtifactResponse]]


class Artifacts:
    """The folder of blobs."""

    def __init__(self, folder: Path, fetch: Fetch) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._fetch = fetch
        self._one_at_a_time: defaultdict[bytes, asyncio.Lock] = defaultdict(asyncio.Lock)

    def has(self, digest: bytes) -> bool:
        """Whether the whole blob is here."""
        return self._path(digest).exists()

    def count(self) -> int:
        """Whole blobs held."""
        return sum(1 for each in self._folder.iterdir() if each.suffix != ".part")

    async def ensure(self, digest: bytes) -> None:
        """Return once the blob is here. Raises what the cloud answered, or Refused with DIGEST_MISMATCH."""
        async with self._one_at_a_time[digest]:
            if not self.has(digest):
                await self._download(digest)

    async def read(self, digest: bytes, offset: int) -> AsyncIterator[tuple[int, bytes, int]]:
        """(offset, chunk of up to 256 KiB, octets in all), from `offset` to the end."""
        path = self._path(digest)
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(offset)
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield offset, chunk, size
                offset += len(chunk)

    def _path(self, digest: bytes) -> Path:
        return self._folder / digest.hex()

    async def _download(self, digest: bytes) -> None:
        part = self._path(digest).with_suffix(".part")
        offset = part.stat().st_size if part.exists() else 0
        with part.open("ab") as file:
            async for piece in self._fetch(digest, offset):
                if piece.offset != offset:
                    raise Refused(Reason.REASON_SEQUENCE_GAP, f"part at {piece.offset}, expected {offset}", "offset")
                await asyncio.to_thread(file.write, piece.chunk)
                offset += len(piece.chunk)
        await asyncio.to_thread(self._accept, part, digest)

    def _accept(self, part: Path, digest: bytes) -> None:
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").digest()
            os.fsync(file.fileno())
        if found != digest:
            part.unlink()
            raise Refused(Reason.REASON_DIGEST_MISMATCH, "the bytes fetched do not have the digest asked for", "chunk")
        part.rename(self._path(digest))
        folder = os.open(self._folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
