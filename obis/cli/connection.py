"""Connections of a person: to the cloud by certificate, to an enrolment port without one.

The CA comes from the person's mesh.json; the server must carry the cloud's own name under it. What a call raises leaves
here as `Refused`, with the peer's reason.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc
from cryptography import x509

from obis.cli.exits import Usage
from obis.cli.profile import Mesh, Profile
from obis.mesh.authorities import Authorities
from obis.mesh.channel import open_channel
from obis.mesh.credentials import Credentials
from obis.mesh.identity import CLOUD_HOST, Identity, Role
from obis.mesh.status import understand
from obis.mesh.transport import OwnCertificate, TransportKey, TransportKeyUnusable, read_chain
from obis.refusal import Refused
from obis.v1 import (
    batches_pb2_grpc,
    enrolment_pb2_grpc,
    factories_pb2_grpc,
    grants_pb2_grpc,
    keys_pb2_grpc,
    organisations_pb2_grpc,
    products_pb2_grpc,
    trace_pb2_grpc,
    versions_pb2_grpc,
)

if TYPE_CHECKING:
    from obis.v1.batches_pb2_grpc import BatchesAsyncStub
    from obis.v1.enrolment_pb2_grpc import EnrolmentAsyncStub
    from obis.v1.factories_pb2_grpc import FactoriesAsyncStub
    from obis.v1.grants_pb2_grpc import GrantsAsyncStub
    from obis.v1.keys_pb2_grpc import KeysAsyncStub
    from obis.v1.organisations_pb2_grpc import OrganisationsAsyncStub
    from obis.v1.products_pb2_grpc import ProductsAsyncStub
    from obis.v1.trace_pb2_grpc import TraceAsyncStub
    from obis.v1.versions_pb2_grpc import VersionsAsyncStub

CLOUD: Final = Identity(Role.CLOUD, "main")


@dataclass(frozen=True)
class Cloud:
    """The services of the cloud that people call, on one connection."""

    organisations: OrganisationsAsyncStub
    products: ProductsAsyncStub
    versions: VersionsAsyncStub
    grants: GrantsAsyncStub
    batches: BatchesAsyncStub
    factories: FactoriesAsyncStub
    keys: KeysAsyncStub
    trace: TraceAsyncStub

    @classmethod
    def over(cls, channel: grpc.aio.Channel) -> Cloud:
        """All stubs of one channel."""
        return cls(
            organisations_pb2_grpc.OrganisationsStub(channel),
            products_pb2_grpc.ProductsStub(channel),
            versions_pb2_grpc.VersionsStub(channel),
            grants_pb2_grpc.GrantsStub(channel),
            batches_pb2_grpc.BatchesStub(channel),
            factories_pb2_grpc.FactoriesStub(channel),
            keys_pb2_grpc.KeysStub(channel),
            trace_pb2_grpc.TraceStub(channel),
        )


@asynccontextmanager
async def connect(profile: Profile, passphrase: bytes) -> AsyncIterator[Cloud]:
    """The cloud, as the person of this profile. Raises Usage for a profile that cannot connect, Refused for the rest."""
    mesh = profile.mesh()
    own = _own_certificate(profile, passphrase)
    with answered(mesh.cloud):
        async with open_channel(mesh.cloud, CLOUD, credentials(mesh, own)) as channel:
            yield Cloud.over(channel)


@asynccontextmanager
async def connect_enrolment(mesh: Mesh) -> AsyncIterator[EnrolmentAsyncStub]:
    """The cloud's enrolment port, as nobody."""
    with answered(mesh.enrolment):
        async with open_channel(mesh.enrolment, CLOUD, credentials(mesh)) as channel:
            yield enrolment_pb2_grpc.EnrolmentStub(channel)


@contextmanager
def answered(peer: str) -> Iterator[None]:
    """Around calls: what comes out is the peer's own refusal, or UNREACHABLE where there was no answer."""
    try:
        yield
    except grpc.RpcError as failure:
        told = understand(failure, peer=peer)
        raise Refused(told.reason, told.what, told.where, told.next_step) from failure


def credentials(mesh: Mesh, own: OwnCertificate | None = None) -> Credentials:
    """What is shown, and whom it believes: the transport CA of mesh.json for the cloud, nobody for anything else."""
    try:
        authority = x509.load_pem_x509_certificate(mesh.transport_ca_pem.encode())
    except ValueError:
        raise Usage("transport_ca_pem of mesh.json is no certificate", "ask the mesh's owner for the file") from None
    return Credentials(Authorities({CLOUD_HOST: [authority]}), own)


def _own_certificate(profile: Profile, passphrase: bytes) -> OwnCertificate:
    profile.person()
    try:
        key = TransportKey.unseal(profile.key_path, passphrase)
        return key.certified(read_chain(profile.chain_path))
    except (TransportKeyUnusable, OSError, ValueError) as failure:
        raise Usage(
            f"the transport key of this profile does not open: {failure}", "log in again with `obis login`"
        ) from None
