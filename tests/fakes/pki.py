"""A small mesh's transport certificates, made on the spot: one cloud CA, a site CA a factory, and names under them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from obis.mesh import certificate
from obis.mesh.authorities import Authorities
from obis.mesh.credentials import Credentials
from obis.mesh.identity import CLOUD_HOST, Identity
from obis.mesh.transport import OwnCertificate, TransportKey

DAY = timedelta(days=1)


@dataclass
class FakeCa:
    """A CA with its key; `names` says whom it may name, which a hostile one ignores."""

    host: str
    parent: FakeCa | None = None
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        now = datetime.now(UTC)
        builder = certificate.authority(
            self.host,
            self.key.public_key(),
            not_before=now - DAY,
            not_after=now + 30 * DAY,
            issuer=self.parent.certificate if self.parent else None,
        )
        self.certificate = builder.sign(self.parent.key if self.parent else self.key, hashes.SHA256())

    def certify(self, key: TransportKey, identity: Identity, *, begins=-DAY, lasts=2 * DAY) -> OwnCertificate:
        begin = datetime.now(UTC) + begins
        builder = certificate.leaf(
            identity, key.public_key, self.certificate, not_before=begin, not_after=begin + lasts
        )
        leaf = builder.sign(self.key, hashes.SHA256())
        return key.certified([leaf.public_bytes(Encoding.DER), self.certificate.public_bytes(Encoding.DER)])

    def name(self, identity: Identity, **validity) -> OwnCertificate:
        return self.certify(TransportKey.generate(), identity, **validity)


class FakeMesh:
    """CAs of the cloud and of some sites, and credentials for any name in it."""

    def __init__(self, *sites: str) -> None:
        self.cas = {CLOUD_HOST: FakeCa(CLOUD_HOST)}
        self.cas |= {f"{site}.site.obis": FakeCa(f"{site}.site.obis") for site in sites}
        self.authorities = Authorities({host: [ca.certificate] for host, ca in self.cas.items()})

    def credentials(self, identity: Identity | None = None) -> Credentials:
        own = self.cas[identity.host].name(identity) if identity else None
        return Credentials(self.authorities, own)


def leaf_pem(own: OwnCertificate) -> bytes:
    return x509.load_pem_x509_certificates(own.chain_pem)[0].public_bytes(Encoding.PEM)
