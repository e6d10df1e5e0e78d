"""How a Factory Service comes into the mesh: a quorum-signed ticket for a certificate, once.

1. The cloud is believed because mesh.json pins its transport CA; the trust root is walked from the pinned fingerprint
   and must name that CA, so neither file alone can lead to another mesh.
2. The key is made here and never leaves; the ticket says who it may be.
"""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from google.protobuf.message import DecodeError

from factory.config import Config
from factory.site import CLOUD, keep_file, keep_identity, spki_der
from obis.mesh.authorities import Authorities
from obis.mesh.channel import open_channel
from obis.mesh.credentials import Credentials
from obis.mesh.identity import CLOUD_HOST, Identity, Role
from obis.mesh.status import understood
from obis.mesh.transport import TransportKey
from obis.refusal import Refused
from obis.trust.trust_root import walk
from obis.v1.enrolment_pb2 import EnrolFactoryRequest, GetTrustRequest, GetTrustResponse
from obis.v1.enrolment_pb2_grpc import EnrolmentStub
from obis.v1.envelope_pb2 import Envelope
from obis.v1.reason_pb2 import Reason

_CALL_SECONDS = 30


async def enrol(config: Config, ticket: Path, passphrase: bytes) -> None:
    """Make `data/identity`. Raises Refused: what the cloud refuses, or a trust root of another mesh."""
    folder = config.data / "identity"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = x509.load_pem_x509_certificate(config.mesh.transport_ca_pem)
    credentials = Credentials(Authorities({CLOUD_HOST: [authority]}))
    key = TransportKey.generate()
    request = EnrolFactoryRequest(
        ticket=_read_ticket(ticket), csr_der=key.request(Identity(Role.FACTORY, config.factory_id))
    )
    async with open_channel(config.mesh.enrolment, CLOUD, credentials) as channel:
        with understood("cloud"):
            stub = EnrolmentStub(channel)
            trust = await stub.GetTrust(GetTrustRequest(), timeout=_CALL_SECONDS)
            require_own_mesh(trust, config.mesh.fingerprint, authority)
            response = await stub.EnrolFactory(request, timeout=_CALL_SECONDS)
    keep_file(folder / "transport_ca.der", trust.transport_ca_cert_der)
    keep_file(folder / "site_root.der", trust.site_root_cert_der)
    keep_identity(folder, key, list(response.certificate_chain_der), passphrase)


def require_own_mesh(trust: GetTrustResponse, fingerprint: bytes, pinned: x509.Certificate) -> None:
    """Raises Refused unless the roots follow from the fingerprint and name the pinned CA and the site root given."""
    view = walk(list(trust.trust_roots), fingerprint)
    site_root = x509.load_der_x509_certificate(trust.site_root_cert_der)
    named = (view.root.transport_ca_spki_der, view.root.site_root_spki_der)
    if named != (spki_der(pinned), spki_der(site_root)):
        raise Refused(Reason.REASON_TRUST_ROOT_INVALID, "the trust root names other CAs than those shown", "mesh.json")


def _read_ticket(path: Path) -> Envelope:
    try:
        return Envelope.FromString(path.read_bytes())
    except (OSError, DecodeError) as failure:
        raise Refused(Reason.REASON_MALFORMED, f"the ticket cannot be read: {failure}", path.name) from None
