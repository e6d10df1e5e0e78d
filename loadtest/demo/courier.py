"""A hostile courier: somebody at a site who holds the Factory Service's identity and every package it ever carried.

It is no back door: it enrols with a quorum-signed ticket like any Factory Service, reads its own site's deliveries from
the cloud, and hands what it likes to an EdgeHSM through the ordinary RPC. What it cannot do is what the demo shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import grpc
from cryptography import x509

from loadtest.demo.failure import CALL_SECONDS, DemoFailed
from loadtest.demo.plan import Factory
from obis.cli.connection import CLOUD, answered, connect_enrolment, credentials
from obis.cli.profile import Mesh
from obis.mesh.authorities import Authorities
from obis.mesh.channel import open_channel
from obis.mesh.credentials import Credentials
from obis.mesh.identity import Identity, Role
from obis.mesh.transport import OwnCertificate, TransportKey
from obis.v1.authorization_pb2 import Authorization
from obis.v1.custody_pb2 import DeliverRequest
from obis.v1.custody_pb2_grpc import CustodyStub
from obis.v1.delivery_pb2 import Delivery, DeliveryResult
from obis.v1.enrolment_pb2 import EnrolFactoryRequest, GetEdgeHsmEnrolmentRequest
from obis.v1.envelope_pb2 import Envelope
from obis.v1.factory_link_pb2 import EdgeHsmCursor, FactoryHello, SyncRequest
from obis.v1.factory_link_pb2_grpc import FactoryLinkStub

PATIENCE_SECONDS: Final = 15.0
EPOCH: Final = 1


@dataclass(frozen=True)
class Courier:
    """One site's identity in the wrong hands."""

    mesh: Mesh
    factory: Factory
    own: OwnCertificate
    site_ca: x509.Certificate

    @classmethod
    async def enrolled(cls, mesh: Mesh, factory: Factory, ticket: Envelope) -> Courier:
        """By a ticket of its own."""
        key = TransportKey.generate()
        asked = EnrolFactoryRequest(ticket=ticket, csr_der=key.request(Identity(Role.FACTORY, factory.id)))
        async with connect_enrolment(mesh) as enrolment:
            answer = await enrolment.EnrolFactory(asked, timeout=CALL_SECONDS)
            wanted = GetEdgeHsmEnrolmentRequest(edgehsm_id=factory.edgehsm, epoch=EPOCH)
            site = await enrolment.GetEdgeHsmEnrolment(wanted, timeout=CALL_SECONDS)
        own = key.certified(answer.certificate_chain_der)
        return cls(mesh, factory, own, x509.load_der_x509_certificate(site.site_ca_cert_der))

    async def packages(self, auth_id: bytes) -> Delivery:
        """The delivery of this Authorization, as the cloud sends it to this site."""
        async with open_channel(self.mesh.cloud, CLOUD, credentials(self.mesh, self.own)) as channel:
            with answered("cloud"):
                try:
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        while not (found := await self._find(channel, auth_id)):
                            pass  # the real Factory Service came back, and its stream ended ours
                        return found
                except TimeoutError:
                    raise DemoFailed("the cloud did not send the courier what it sends its site", "cloud.log") from None

    async def _find(self, channel: grpc.aio.Channel, auth_id: bytes) -> Delivery | None:
        cursor = EdgeHsmCursor(edgehsm_id=self.factory.edgehsm, epoch=EPOCH, size=0, delivered_up_to=0)
        done = asyncio.Event()
        call = FactoryLinkStub(channel).Sync(_hello(FactoryHello(edgehsms=[cursor]), done))
        try:
            async for answer in call:
                content = answer.delivery
                if content.HasField("authorization") and _auth_id(content.authorization.authorization) == auth_id:
                    return content
        finally:
            done.set()
            call.cancel()
        return None

    @asynccontextmanager
    async def at_the_front(self, address: str) -> AsyncIterator[grpc.aio.Channel]:
        """A connection to this site's EdgeHSM."""
        host = f"{self.factory.id}.site.obis"
        believed = Credentials(Authorities({host: [self.site_ca]}), self.own)
        async with open_channel(
            address, Identity(Role.FRONT, self.factory.edgehsm, self.factory.id), believed
        ) as channel:
            with answered(address):
                yield channel


async def deliver(channel: grpc.aio.Channel, delivery: Delivery) -> DeliveryResult:
    """Hand it over; what became of it."""
    return (await CustodyStub(channel).Deliver(DeliverRequest(delivery=delivery), timeout=CALL_SECONDS)).result


def tampered(delivery: Delivery) -> Delivery:
    """The same with ten times the quantity: one field of the signed Authorization changed."""
    altered = Delivery()
    altered.CopyFrom(delivery)
    envelope = altered.authorization.authorization
    authorization = Authorization.FromString(envelope.payload)
    authorization.quantity *= 10
    envelope.payload = authorization.SerializeToString(deterministic=True)
    return altered


def readdressed(delivery: Delivery, factory: Factory) -> Delivery:
    """The same in an outer wrapper for another site's EdgeHSM."""
    altered = Delivery()
    altered.CopyFrom(delivery)
    altered.edgehsm_id = factory.edgehsm
    altered.epoch = EPOCH
    return altered


async def _hello(hello: FactoryHello, done: asyncio.Event) -> AsyncIterator[SyncRequest]:
    yield SyncRequest(hello=hello)
    await done.wait()


def _auth_id(envelope: Envelope) -> bytes:
    return Authorization.FromString(envelope.payload).auth_id
