"""What the station keeps so that it goes on without Factory Service and cloud: work orders and artifacts.

Both are copies of signed or digest-named things, judged again whenever they are read; losing them costs a download.

    orders/<auth>.bin       exact WorkOrder bytes
    artifacts/<sha256>      firmware images and key agents; <sha256>.part while one is coming
    root_version            the newest trust root version seen
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError

from obis.v1.factory_link_pb2 import WorkOrder
from station.order import is_artifact


class Store:
    """One folder."""

    def __init__(self, folder: Path) -> None:
        self._orders, self._artifacts = folder / "orders", folder / "artifacts"
        self._root_version = folder / "root_version"
        for each in (self._orders, self._artifacts):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)

    def orders(self) -> Iterator[WorkOrder]:
        """Work orders kept; a damaged file is passed over, it will come again."""
        for path in sorted(self._orders.glob("*.bin")):
            try:
                yield WorkOrder.FromString(path.read_bytes())
            except DecodeError:
                path.unlink()

    def keep_order(self, work: WorkOrder) -> None:
        """Keeps it; an older one of the same id is replaced in one step."""
        _replace(self._orders / f"{work.auth_id.hex()}.bin", work.SerializeToString(deterministic=True))

    def drop_order(self, auth_id: bytes) -> None:
        """It ended."""
        (self._orders / f"{auth_id.hex()}.bin").unlink(missing_ok=True)

    def artifact(self, digest: bytes) -> bytes | None:
        """The octets, if they are here and still the ones of that name."""
        path = self._artifacts / digest.hex()
        octets = path.read_bytes() if path.exists() else None
        return octets if octets is not None and is_artifact(digest, octets) else None

    def partial(self, digest: bytes) -> bytes:
        """What came before a download broke off."""
        path = self._part(digest)
        return path.read_bytes() if path.exists() else b""

    def keep_partial(self, digest: bytes, octets: bytes) -> None:
        """To go on from."""
        self._part(digest).write_bytes(octets)

    def keep_artifact(self, digest: bytes, octets: bytes) -> bool:
        """Whether the octets are the ones of that name; if not, nothing is kept."""
        self._part(digest).unlink(missing_ok=True)
        if not is_artifact(digest, octets):
            return False
        _replace(self._artifacts / digest.hex(), octets)
        return True

    @property
    def root_version(self) -> int:
        """The newest trust root version seen; 1 before any."""
        return int(self._root_version.read_text()) if self._root_version.exists() else 1

    def saw_root_version(self, version: int) -> None:
        """Never goes back."""
        if version > self.root_version:
            _replace(self._root_version, str(version).encode())

    def _part(self, digest: bytes) -> Path:
        return self._artifacts / f"{digest.hex()}.part"


def _replace(path: Path, octets: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(octets)
    fresh.replace(path)
