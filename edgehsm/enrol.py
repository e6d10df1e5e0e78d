"""The client side of an EdgeHSM's enrolment: the front carries, the boundary makes the keys and judges the result.

Ticket to the boundary, its EnrolRequest to the cloud, then the fingerprint people compare is shown and the cloud is asked
until enough of them have signed the approval. Interrupted at any point, it is run again with the same ticket.
"""

from __future__ import annotations

import asyncio
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
from obis.trust.payload import ENROL_TICKET, parse_closed
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
        answer = await _approved(config, begun.enrol_request, epoch)
        return (await link.ask(BoundaryRequest(finish_enrolment=answer))).finished
    finally:
        keeping.cancel()


async def _approved(config: FrontConfig, request: Envelope, epoch: int) -> GetEdgeHsmEnrolmentResponse:
    """The cloud's answer, however long people take."""
    mesh = read_mesh(config.mesh)
    transport_ca = x509.load_pem_x509_certificate(mesh.transport_ca_pem)
    credentials = Credentials(Authorities({CLOUD_HOST: [transport_ca]}))
    async with open_channel(mesh.enrolment, CLOUD, credentials) as channel:
        stub, shown = EnrolmentStub(channel), False
        while True:
            try:
                with understood("cloud"):
                    if not shown:
                        noted = await stub.EnrolEdgeHsm(EnrolEdgeHsmRequest(request=request), timeout=CALL_SECONDS)
                        say(f"key fingerprint {noted.key_fingerprint.hex()}")
                        shown = True
                    wanted = GetEdgeHsmEnrolmentRequest(edgehsm_id=config.edgehsm_id, epoch=epoch)
                    return await stub.GetEdgeHsmEnrolment(wanted, timeout=CALL_SECONDS)
            except Refused as refused:
                if refused.kind not in (Kind.NOT_YET, Kind.UNREACHABLE):
                    raise
            await asyncio.sleep(ASK_EVERY_SECONDS)
