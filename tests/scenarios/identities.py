"""Certificates that a mesh would never give out: the right CA's key in the wrong hands, and CAs of nobody.

The keys of the transport CA and of a site's CA are opened with the secrets the fixture started their rooms with. That is
what makes these cases sharp: an expired or a wrong-role certificate is otherwise perfect.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cloud.keystore import Keystore, load_keys
from edgehsm.boundary.element.software import SoftwareElement
from edgehsm.boundary.signer import ElementSigner, EpochKeys
from obis.mesh import certificate
from obis.mesh.identity import CLOUD_ROLES, SITE_ROLES, Identity, Role
from obis.mesh.transport import OwnCertificate, TransportKey
from tests.fakes.pki import FakeCa
from tests.scenarios.mesh import RunningMesh

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Forge:
    """Makes any certificate."""

    mesh: RunningMesh
    keys: Keystore

    @classmethod
    def of(cls, mesh: RunningMesh) -> Forge:
        stage = mesh.stage
        return cls(mesh, load_keys(stage.folder / "cloud" / "data" / "keys", stage.passphrase("cloud").encode()))

    def by_right_ca(self, identity: Identity, *, begins=-MINUTE, lasts=60 * MINUTE) -> OwnCertificate:
        """By the CA that the mesh pins for this name."""
        key, begin, ca = TransportKey.generate(), datetime.now(UTC) + begins, self._ca(identity)
        builder = certificate.leaf(identity, key.public_key, ca, not_before=begin, not_after=begin + lasts)
        made = self._sign(identity, builder)
        return key.certified([made.public_bytes(Encoding.DER), ca.public_bytes(Encoding.DER)])

    def expired(self, identity: Identity) -> OwnCertificate:
        """Two seconds ago: not before its CA began, which may be as young as the mesh."""
        return self.by_right_ca(identity, begins=-4 * MINUTE, lasts=4 * MINUTE - timedelta(seconds=2))

    def not_yet(self, identity: Identity) -> OwnCertificate:
        return self.by_right_ca(identity, begins=10 * MINUTE)

    @staticmethod
    def foreign(identity: Identity) -> OwnCertificate:
        """By a CA that says it is the right one."""
        return FakeCa(identity.host).name(identity)

    def _ca(self, identity: Identity) -> x509.Certificate:
        if identity.role in SITE_ROLES:
            return self.mesh.couriers[identity.factory_id].site_ca
        return self.mesh._cloud_ca

    def _sign(self, identity: Identity, builder: x509.CertificateBuilder) -> x509.Certificate:
        if identity.role not in SITE_ROLES:
            return self.keys.transport_ca.sign_certificate(builder)
        element = self._element(identity.factory_id)
        return certificate.sign_by(builder, lambda tbs: element.sign(EpochKeys(1).site_ca, tbs))

    def edgehsm_identity(self, factory_id: str) -> ElementSigner:
        """What the boundary of a site signs its requests with."""
        return ElementSigner(self._element(factory_id), EpochKeys(1).identity)

    def _element(self, factory_id: str) -> SoftwareElement:
        stage = self.mesh.stage
        secret = stage.passphrase(f"{factory_id}-boundary").encode()
        return SoftwareElement(stage.site(factory_id) / "boundary" / "element", secret)


def somebody(role: Role, factory_id: str) -> Identity:
    """A name of this role, of this site where it belongs to one."""
    if role in SITE_ROLES:
        return Identity(role, "x", factory_id)
    if role is Role.FACTORY:
        return Identity(role, factory_id)
    assert role in CLOUD_ROLES
    return Identity(role, "x")
