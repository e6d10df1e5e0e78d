"""The cloud transport CA: who gets a certificate, for how long, and the record of each.

1. A name comes from a proof the cloud checked (ticket, invitation, PersonRequest, approval), never from the request:
   of a PKCS#10 only the key counts, and that its holder signed it.
2. Every certificate is noted in the transaction that used up its proof.
3. The CA's own certificate is made once, at `init`; its key is named by the trust root.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from sqlmodel import Session

from cloud.keystore import P256Signer
from cloud.store.people import TransportCertificateRow
from obis.matter.csr import PublicKey, parse_csr
from obis.matter.errors import MatterError
from obis.mesh import certificate
from obis.mesh.identity import CLOUD_HOST, Identity, Role
from obis.refusal import Refused, reason_of

DAY: Final = timedelta(days=1)
CA_LIFETIME: Final = 3650 * DAY
# How long a stolen transport key is worth something. A third of it is what an outage may last (renewal at two thirds).
LIFETIMES: Final = {
    Role.PERSON: 7 * DAY,
    Role.BACKEND: 30 * DAY,
    Role.FACTORY: 90 * DAY,
    Role.EDGEHSM: 90 * DAY,
    Role.VAULT: 365 * DAY,
    Role.CLOUD: 30 * DAY,
}
_SKEW: Final = timedelta(minutes=5)


def read_request(csr_der: bytes) -> PublicKey:
    """The P-256 key of a PKCS#10 whose holder proved possession; raises Refused with the CSR_ reasons."""
    try:
        return parse_csr(csr_der)
    except MatterError as error:
        raise Refused(reason_of(error.reason), error.what, "csr_der") from error


def make_ca(signer: P256Signer, now: datetime) -> bytes:
    """The CA's own certificate, DER."""
    builder = certificate.authority(CLOUD_HOST, signer.public_key, not_before=now - _SKEW, not_after=now + CA_LIFETIME)
    return signer.sign_certificate(builder).public_bytes(Encoding.DER)


@dataclass(frozen=True)
class TransportCa:
    """The CA at work."""

    signer: P256Signer
    cert_der: bytes

    def issue(self, session: Session, identity: Identity, key: PublicKey, *, proof: str, now: int) -> bytes:
        """A leaf for this name and key, DER; noted in the session's transaction with its `proof`."""
        leaf = self.sign(identity, key.spki_der, now)
        session.add(
            TransportCertificateRow(
                serial=f"{leaf.serial_number:x}",
                uri=identity.uri,
                spki_digest=sha256(key.spki_der).digest(),
                not_after=int(leaf.not_valid_after_utc.timestamp()),
                issued_at=now,
                proof=proof,
            )
        )
        return leaf.public_bytes(Encoding.DER)

    def sign(self, identity: Identity, spki_der: bytes, now: int) -> x509.Certificate:
        """A leaf that is noted nowhere: for the cloud's and the vault's own ports."""
        at = datetime.fromtimestamp(now, UTC)
        public_key = load_der_public_key(spki_der)
        if not isinstance(public_key, ec.EllipticCurvePublicKey):
            raise TypeError("a transport key is on P-256")
        builder = certificate.leaf(
            identity,
            public_key,
            x509.load_der_x509_certificate(self.cert_der),
            not_before=at - _SKEW,
            not_after=at + LIFETIMES[identity.role],
        )
        return self.signer.sign_certificate(builder)
