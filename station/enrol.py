"""The station's own identity: a transport key made here, and a certificate that a supervisor's ticket and EdgeHSM give it.

    keygen    makes the key and says its digest; the supervisor signs a StationTicket that names it
    enrol     hands ticket and request to the Factory Service, which passes them to EdgeHSM; what comes back is checked:
              the certificate is for this key and this station, by a site CA under the site root in the answer; whether
              that is the mesh's is seen with the first work order, which carries the trust root

Files of `data/identity`: transport.key (encrypted under the start secret), chain.pem, site_root.der.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from obis.mesh.authorities import Authorities
from obis.mesh.channel import open_channel
from obis.mesh.credentials import Credentials
from obis.mesh.identity import CLOUD_HOST
from obis.mesh.status import understood
from obis.mesh.transport import TransportKey, keep_chain, read_chain
from obis.refusal import Refused
from obis.trust.envelope import parse_envelope
from obis.v1.reason_pb2 import Reason
from obis.v1.supervisor_pb2 import EnrolStationRequest, EnrolStationResponse
from obis.v1.supervisor_pb2_grpc import SupervisorStub
from station.config import Config, Mesh

CALL_SECONDS: Final = 20.0


def keygen(config: Config, passphrase: bytes) -> bytes:
    """SHA-256 of the key's DER SubjectPublicKeyInfo, 32 bytes; the key there is already, or a new one."""
    path = _folder(config) / "transport.key"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        TransportKey.generate().seal(path, passphrase)
    return sha256(TransportKey.unseal(path, passphrase).public_der).digest()


async def enrol(config: Config, passphrase: bytes, ticket: bytes) -> datetime:
    """Until when the certificate holds, in UTC. Raises Refused, or OSError where `keygen` has not been run."""
    folder = _folder(config)
    key = TransportKey.unseal(folder / "transport.key", passphrase)
    mesh = Mesh.read(config.mesh)
    asked = EnrolStationRequest(
        ticket=parse_envelope(ticket), csr_der=key.request(config.identity), edgehsm_id=config.edgehsm_id
    )
    nobody = Credentials(Authorities({CLOUD_HOST: [mesh.transport_ca]}))
    async with open_channel(config.factory_enrolment, config.factory_identity, nobody) as channel:
        with understood("factory"):
            answer = await SupervisorStub(channel).EnrolStation(asked, timeout=CALL_SECONDS)
    require_ours(config, key, answer)
    keep_chain(folder / "chain.pem", list(answer.certificate_chain_der))
    (folder / "site_root.der").write_bytes(answer.site_root_cert_der)
    return key.certified(list(answer.certificate_chain_der)).not_after


def credentials(config: Config, passphrase: bytes) -> Credentials:
    """What this station shows and whom it believes; raises OSError where it is not enrolled yet."""
    folder = _folder(config)
    chain = read_chain(folder / "chain.pem")
    own = TransportKey.unseal(folder / "transport.key", passphrase).certified(chain)
    site_ca = x509.load_der_x509_certificate(chain[1])
    host = config.identity.host
    return Credentials(Authorities({host: [site_ca], CLOUD_HOST: [Mesh.read(config.mesh).transport_ca]}), own)


def site_root_spki(config: Config) -> bytes:
    """DER SubjectPublicKeyInfo of the site root that the answer named; the first work order proves it or not."""
    root = x509.load_der_x509_certificate((_folder(config) / "site_root.der").read_bytes())
    return root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _folder(config: Config) -> Path:
    return config.data / "identity"


def require_ours(config: Config, key: TransportKey, answer: EnrolStationResponse) -> None:
    """Raises Refused IDENTITY_UNKNOWN for an answer that is not this station's certificate."""
    try:
        leaf, site_ca = (x509.load_der_x509_certificate(each) for each in answer.certificate_chain_der)
        root = x509.load_der_x509_certificate(answer.site_root_cert_der)
        site_ca.verify_directly_issued_by(root)
        peer = Authorities({config.identity.host: [site_ca]}).identify(
            leaf.public_bytes(Encoding.PEM), datetime.now(UTC)
        )
    except (ValueError, TypeError, InvalidSignature):
        raise Refused(Reason.REASON_IDENTITY_UNKNOWN, "the answer is no certificate chain of a site CA") from None
    if peer.name != config.identity.uri or leaf.public_key() != key.public_key:
        raise Refused(Reason.REASON_IDENTITY_UNKNOWN, "the certificate is another station's, or for another key")
