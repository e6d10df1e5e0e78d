"""The client side of an EdgeHSM's enrolment: the front carries, the boundary makes the keys and judges the result.

Ticket to the boundary, its EnrolRequest to the cloud, then the fingerprint people compare is shown and the cloud is asked
until enough of them have signed the approval. Interrupted at any point, it is run again with the same ticket.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Final

from cryptography import x509

from edgehsm.boundary_link import BoundaryLink
from edgehsm.config import FrontConfig, read_mesh, say
from obis.mesh.authorities import Authorities
from obis.mesh.channel import open_channel
from obis.mesh.credentials import Credentials
from obis.mesh.identity import CLOUD_HOST, Identity, Role
from obis.mesh.status import understood
from obis.refusal import Kind, Refused
from obis.trust.envelope import parse_envelope
from obis.trust.payload import ENROL_REQUEST, ENROL_TICKET, parse_closed
from obis.v1.boundary_pb2 import BeginEnrolment, BoundaryRequest, EnrolmentFinished
from obis.v1.enrolment_pb2 import (
    EnrolEdgeHsmRequest,
    GetEdgeHsmEnrolmentRequest,
    GetEdgeHsmEnrolmentResponse,
)
from obis.v1.enrolment_pb2_grpc import EnrolmentStub
from obis.v1.envelope_pb2 import Envelope

CLOUD: Final = Identity(Role.CLOUD, "main")
ASK_EVERY_SECONDS: Final = 1.0
CALL_SECONDS: Final = 10.0


async def enrol(config: FrontConfig, ticket: bytes) -> EnrolmentFinished:
    """Enrol by this signed ticket (an Envelope's bytes). Raises Refused, ConfigUnusable."""
    envelope = parse_envelope(ticket)
    epoch = parse_closed(ENROL_TICKET, envelope.payload).epoch
    link = BoundaryLink(config.socket)
    keeping = asyncio.create_task(link.run())
    try:
        begun = await link.ask(BoundaryRequest(begin_enrolment=BeginEnrolment(ticket=envelope)))
        say(f"key fingerprint {key_fingerprint(begun.enrol_request).hex()}")
        answer = await _approved(config, begun.enrol_request, epoch)
        return (await link.ask(BoundaryRequest(finish_enrolment=answer))).finished
    finally:
        keeping.cancel()


def key_fingerprint(request: Envelope) -> bytes:
    """SHA-256 over the five key digests in field order, 32 bytes: taken from the boundary's own words, because people
    compare it with what the cloud says.
    """
    keys = parse_closed(ENROL_REQUEST, request.payload).keys
    shown = (
        keys.identity_spki_der,
        keys.log_spki_der,
        keys.hpke_spki_der,
        keys.site_ca_spki_der,
        keys.wrap_spki_der,
    )
    return sha256(b"".join(sha256(each).digest() for each in shown)).digest()


async def _approved(config: FrontConfig, request: Envelope, epoch: int) -> GetEdgeHsmEnrolmentResponse:
    """The cloud's answer, however long people take."""
    mesh = read_mesh(config.mesh)
    transport_ca = x509.load_pem_x509_certificate(mesh.transport_ca_pem)
    credentials = Credentials(Authorities({CLOUD_HOST: [transport_ca]}))
    async with open_channel(mesh.enrolment, CLOUD, credentials) as channel:
        stub, noted = EnrolmentStub(channel), False
        while True:
            try:
                with understood("cloud"):
                    if not noted:
                        await stub.EnrolEdgeHsm(EnrolEdgeHsmRequest(request=request), timeout=CALL_SECONDS)
                        noted = True
                    wanted = GetEdgeHsmEnrolmentRequest(edgehsm_id=config.edgehsm_id, epoch=epoch)
                    return await stub.GetEdgeHsmEnrolment(wanted, timeout=CALL_SECONDS)
            except Refused as refused:
                if refused.kind not in (Kind.NOT_YET, Kind.UNREACHABLE, Kind.TIMED_OUT):
                    raise
            await asyncio.sleep(ASK_EVERY_SECONDS)
