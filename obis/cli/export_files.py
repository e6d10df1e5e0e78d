"""The signed export, file by file, into a folder: what `obis verify` reads.

A name is taken from the server only if it stays inside the folder; the manifest comes last, so that a broken download
has none and does not verify.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from obis.cli.connection import Cloud
from obis.cli.exits import Usage
from obis.cli.files import write
from obis.refusal import Refused
from obis.v1.reason_pb2 import Reason
from obis.v1.trace_pb2 import ExportRequest, ExportResponse

_PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
MANIFEST = "manifest.dsse"


@dataclass(frozen=True)
class Exported:
    """What was written."""

    files: int
    octets: int


async def export_to(cloud: Cloud, folder: Path, product_id: bytes = b"") -> Exported:
    """Write the export below `folder`, which must be empty or absent. Raises Usage, or Refused for a bad answer."""
    _require_empty(folder)
    files, octets, path = 0, 0, ""
    async for path, content in _whole_files(cloud.trace.Export(ExportRequest(product_id=product_id))):
        write(folder / path, content)
        files, octets = files + 1, octets + len(content)
    if path != MANIFEST:
        raise Refused(Reason.REASON_BROKEN_CHAIN, "the export ended before its manifest", str(folder), "export again")
    return Exported(files, octets)


def _require_empty(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise Usage(
            f"{folder} is not empty", "choose a new folder: a file that does not belong makes the export refused"
        )


async def _whole_files(parts: AsyncIterable[ExportResponse]) -> AsyncIterator[tuple[str, bytes]]:
    path, chunks = "", bytearray()
    async for part in parts:
        if not _PATH.fullmatch(part.path) or (chunks and part.path != path):
            raise Refused(
                Reason.REASON_MALFORMED, "the cloud sent a file of a forbidden name or out of order", "Export"
            )
        path = part.path
        chunks += part.chunk
        if part.last:
            yield path, bytes(chunks)
            chunks = bytearray()
    if chunks:
        raise Refused(Reason.REASON_BROKEN_CHAIN, f"{path} is not whole", "Export", "export again")
