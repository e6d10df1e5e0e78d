"""Puts the cloud together: store, keys, servicers, ports, and the jobs beside them. Nothing here decides.

| port | serves | client certificates |
|---|---|---|
| listen | people's services, `Trace`, `FactoryLink`, `Enrolment.Renew` | by the transport CA |
| enrolment_listen | `Enrolment` but `Renew` (the access table sees to it) | none |

The cloud's own certificate is made at each start, for a key that is never written down, and renewed before it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cloud import beginning, roots
from cloud.artifacts import Artifacts
from cloud.certification import Certification
from cloud.config import CloudConfig
from cloud.keystore import load_keys
from cloud.link import FactoryLinkServicer
from cloud.logbook import link_parts, open_witness
from cloud.service import CloudService
from cloud.servicers.batches import BatchesServicer
from cloud.servicers.enrolment import EnrolmentServicer
from cloud.servicers.factories import FactoriesServicer
from cloud.servicers.grants import GrantsServicer
from cloud.servicers.keys import KeysServicer
from cloud.servicers.organisations import OrganisationsServicer
from cloud.servicers.products import ProductsServicer
from cloud.servicers.versions import VersionsServicer
from cloud.store import open_store
from cloud.trace import TraceServicer
from cloud.transport_ca import TransportCa
from cloud.vault_client import VAULT, VaultOverMesh
from cloud.witness import witness_url
from obis.mesh.authorities import Authorities
from obis.mesh.channel import open_channel
from obis.mesh.credentials import Credentials
from obis.mesh.identity import CLOUD_HOST, Identity, Role
from obis.mesh.server import MeshServer, Port, Register, start_admin
from obis.mesh.transport import OwnCertificate, TransportKey
from obis.v1 import (
    batches_pb2_grpc,
    enrolment_pb2_grpc,
    factories_pb2_grpc,
    factory_link_pb2_grpc,
    grants_pb2_grpc,
    keys_pb2_grpc,
    organisations_pb2_grpc,
    products_pb2_grpc,
    trace_pb2_grpc,
    versions_pb2_grpc,
)

IDENTITY: Final = Identity(Role.CLOUD, "main")
RENEW_SECONDS: Final = 86400.0
_log = structlog.get_logger("cloud")


@dataclass(frozen=True, repr=False)
class Cloud:
    """A cloud that is put together and not serving yet."""

    service: CloudService
    credentials: Credentials
    mesh: MeshServer
    enrolment: MeshServer
    certification: Certification
    admin: str

    async def serve(self) -> None:
        """Until SIGTERM; what was begun is finished, then the store is closed."""
        await self.start()
        jobs = [asyncio.create_task(self.certification.run()), asyncio.create_task(self._renew())]
        admin = await start_admin(self.admin, self.mesh.services) if self.admin else None
        try:
            await self.mesh.serve_until_signal(self.enrolment)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            if admin is not None:
                await admin.stop(None)
            self.service.store.close()

    async def start(self) -> None:
        """Bind both ports."""
        await self.mesh.start()
        await self.enrolment.start()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            self.credentials.replace(own=own_certificate(self.service.ca, self.service.now()))


def build(config: CloudConfig, secret: bytes, now: Callable[[], int]) -> Cloud:
    """The cloud of this configuration; call it inside a running event loop.

    Raises KeysUnusable, WrongRevision, WitnessMissing, or Refused where `init-root` has not been run.
    """
    keys = load_keys(config.keys, secret)
    ca = beginning.open_ca(config, keys)
    store = open_store(config.database)
    with store.reading() as session:
        fingerprint = roots.fingerprint(session)
    authorities = Authorities({CLOUD_HOST: [x509.load_der_x509_certificate(ca.cert_der)]})
    credentials = Credentials(authorities, own_certificate(ca, now()))
    vault = VaultOverMesh(open_channel(config.vault, VAULT, credentials))
    service = CloudService(store, Artifacts(config.artifacts), keys, ca, vault, now)
    witness = open_witness(store, witness_url(config.data), keys.witness, fingerprint)
    link = FactoryLinkServicer(link_parts(store, witness, keys.beacon, service.artifacts))
    enrolment = partial(enrolment_pb2_grpc.add_EnrolmentServicer_to_server, EnrolmentServicer(service))
    mesh: list[Register] = [
        *_people(service),
        enrolment,
        partial(factory_link_pb2_grpc.add_FactoryLinkServicer_to_server, link),
        partial(trace_pb2_grpc.add_TraceServicer_to_server, TraceServicer(service, witness)),
    ]
    return Cloud(
        service,
        credentials,
        MeshServer(Port(config.listen), credentials, mesh),
        MeshServer(Port(config.enrolment_listen, anonymous=True), credentials, [enrolment]),
        Certification(store, service.roots, ca, vault, now),
        config.admin_listen,
    )


def own_certificate(ca: TransportCa, now: int) -> OwnCertificate:
    """A fresh key with a certificate for the cloud's ports."""
    key = TransportKey.generate()
    return key.certified([ca.sign(IDENTITY, key.public_der, now).public_bytes(Encoding.DER), ca.cert_der])


def _people(service: CloudService) -> list[Register]:
    return [
        partial(organisations_pb2_grpc.add_OrganisationsServicer_to_server, OrganisationsServicer(service)),
        partial(products_pb2_grpc.add_ProductsServicer_to_server, ProductsServicer(service)),
        partial(versions_pb2_grpc.add_VersionsServicer_to_server, VersionsServicer(service)),
        partial(grants_pb2_grpc.add_GrantsServicer_to_server, GrantsServicer(service)),
        partial(factories_pb2_grpc.add_FactoriesServicer_to_server, FactoriesServicer(service)),
        partial(keys_pb2_grpc.add_KeysServicer_to_server, KeysServicer(service)),
        partial(batches_pb2_grpc.add_BatchesServicer_to_server, BatchesServicer(service)),
    ]
