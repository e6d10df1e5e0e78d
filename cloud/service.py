"""What every servicer of the cloud stands on: one value with the store, the keys, the clock and the caller's view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from sqlmodel import Session

from cloud.artifacts import Artifacts
from cloud.keystore import Keystore
from cloud.roots import Roots
from cloud.store import Store
from cloud.transport_ca import TransportCa
from cloud.vault_client import Vault
from cloud.viewer import Viewer, viewer_of
from obis.mesh.identity import calling_peer

_T = TypeVar("_T")


@dataclass(frozen=True, repr=False)
class CloudService:
    """The running cloud, without its ports."""

    store: Store
    artifacts: Artifacts
    keys: Keystore
    ca: TransportCa
    vault: Vault
    now: Callable[[], int]
    roots: Roots = field(default_factory=Roots)

    async def write(self, work: Callable[[Session, Viewer], _T]) -> _T:
        """`work(session, viewer)` in one transaction, for whoever is calling."""
        peer = calling_peer()
        return await self.store.write(lambda session: work(session, viewer_of(session, peer)))

    async def read(self, work: Callable[[Session, Viewer], _T]) -> _T:
        """`work(session, viewer)` over one snapshot, for whoever is calling."""
        peer = calling_peer()
        return await self.store.read(lambda session: work(session, viewer_of(session, peer)))
