"""Whom the Factory Service believes and what it shows: files of `data/identity`, made by `enrol`, completed by `serve`.

    chain.pem                 its certificate, by the cloud's transport CA
    transport-<id>.key        the key of that certificate, sealed under the start secret; <id> is of its public half
    transport_ca.der          from mesh.json, checked against the trust root
    site_root.der             of the trust root: certifies site CAs
    <edgehsm>-<epoch>.der     site CAs, from the cloud, checked against site root and host

A site CA comes into being when its EdgeHSM is enrolled, maybe long after this service; so it is asked for until it is
there, and later for the next epoch.
"""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from factory.buffer import LogId
from factory.config import Config
from obis.mesh.authorities import Authorities
from obis.mesh.channel import open_channel
from obis.mesh.credentials import Credentials
from obis.mesh.identity import CLOUD_HOST, Identity, Role
from obis.mesh.status import understood
from obis.mesh.transport import OwnCertificate, TransportKey, keep_chain, read_chain
from obis.refusal import Refused
from obis.v1.enrolment_pb2 import GetEdgeHsmEnrolmentRequest, RenewRequest
from obis.v1.enrolment_pb2_grpc import EnrolmentStub
from obis.v1.reason_pb2 import Reason

if TYPE_CHECKING:
    from obis.v1.enrolment_pb2_grpc import EnrolmentAsyncStub

CLOUD: Final = Identity(Role.CLOUD, "main")
_ASK_EVERY: Final = 2.0
_ASK_FOR_NEXT_EPOCH_EVERY: Final = 60.0
_CALL_SECONDS: Final = 10.0
_log = structlog.get_logger("factory")


class Site:
    """The identity of this Factory Service and the CAs it believes."""

    def __init__(self, config: Config, passphrase: bytes) -> None:
        """Raises OSError where `enrol` has not been run, TransportKeyUnusable for a wrong passphrase."""
        self._config = config
        self._folder = config.data / "identity"
        self._passphrase = passphrase
        self.host = f"{config.factory_id}.site.obis"
        self.transport_ca = x509.load_pem_x509_certificate(config.mesh.transport_ca_pem)
        self.site_root = x509.load_der_x509_certificate((self._folder / "site_root.der").read_bytes())
        self.credentials = Credentials(self._authorities(), read_identity(self._folder, passphrase))

    def open_cloud(self) -> grpc.aio.Channel:
        """A connection to the cloud's mesh port."""
        return open_channel(self._config.mesh.cloud, CLOUD, self.credentials)

    def open_front(self, edgehsm_id: str, address: str) -> grpc.aio.Channel:
        """A connection to an EdgeHSM; raises Refused NOT_ENROLLED while no site CA is known."""
        if self.host not in self._pinned():
            raise Refused(Reason.REASON_NOT_ENROLLED, f"EdgeHSM {edgehsm_id} has no certified site CA yet")
        return open_channel(address, Identity(Role.FRONT, edgehsm_id, self._config.factory_id), self.credentials)

    async def learn(self) -> None:
        """Ask the cloud for the site CAs of this site's EdgeHSMs, until cancelled."""
        while True:
            async with open_channel(self._config.mesh.enrolment, CLOUD, self.credentials) as channel:
                for each in self._config.edgehsms:
                    await self._learn_one(EnrolmentStub(channel), each.edgehsm_id)
            known = all(self._epochs(each.edgehsm_id) for each in self._config.edgehsms)
            await asyncio.sleep(_ASK_FOR_NEXT_EPOCH_EVERY if known else _ASK_EVERY)

    async def renew(self) -> None:
        """Ask for a fresh certificate when a third of the present one's life is left, until cancelled."""
        while True:
            own = self.credentials.own
            if own is not None and datetime.now(UTC) >= own.renew_at:
                try:
                    await self._renew_once()
                except (Refused, OSError) as failure:
                    _log.warning("certificate not renewed", why=str(failure))
            await asyncio.sleep(_ASK_FOR_NEXT_EPOCH_EVERY)

    async def _renew_once(self) -> None:
        key = TransportKey.generate()
        request = RenewRequest(csr_der=key.request(Identity(Role.FACTORY, self._config.factory_id)))
        async with self.open_cloud() as channel:
            with understood("cloud"):
                response = await EnrolmentStub(channel).Renew(request, timeout=_CALL_SECONDS)
        keep_identity(self._folder, key, list(response.certificate_chain_der), self._passphrase)
        self.credentials.replace(own=key.certified(list(response.certificate_chain_der)))

    async def _learn_one(self, stub: EnrolmentAsyncStub, edgehsm_id: str) -> None:
        """The site CA of the epoch after those known; mostly there is none, and that is no news."""
        epoch = max(self._epochs(edgehsm_id), default=0) + 1
        request = GetEdgeHsmEnrolmentRequest(edgehsm_id=edgehsm_id, epoch=epoch)
        try:
            with understood("cloud"):
                response = await stub.GetEdgeHsmEnrolment(request, timeout=_CALL_SECONDS)
            require_site_ca(x509.load_der_x509_certificate(response.site_ca_cert_der), self.site_root, self.host)
        except (Refused, ValueError, x509.ExtensionNotFound) as failure:
            _log.debug("no new site CA", edgehsm=edgehsm_id, epoch=epoch, why=str(failure))
            return
        keep_file(self._folder / f"{edgehsm_id}-{epoch}.der", response.site_ca_cert_der)
        self.credentials.replace(authorities=self._authorities())
        _log.info("site CA known", log=LogId(edgehsm_id, epoch))

    def _epochs(self, edgehsm_id: str) -> list[int]:
        names = (path.stem.rpartition("-") for path in self._folder.glob(f"{edgehsm_id}-*.der"))
        return [int(epoch) for name, _, epoch in names if name == edgehsm_id and epoch.isdigit()]

    def _pinned(self) -> dict[str, list[x509.Certificate]]:
        own = [
            x509.load_der_x509_certificate((self._folder / f"{each.edgehsm_id}-{epoch}.der").read_bytes())
            for each in self._config.edgehsms
            for epoch in self._epochs(each.edgehsm_id)
        ]
        return {CLOUD_HOST: [self.transport_ca]} | ({self.host: own} if own else {})

    def _authorities(self) -> Authorities:
        return Authorities(self._pinned())


def keep_identity(folder: Path, key: TransportKey, chain_der: list[bytes], passphrase: bytes) -> None:
    """Change to this key and chain. The chain says which key is meant, so a crash leaves the old pair or the new one."""
    before = set(folder.glob("transport-*.key"))
    path = key_path(folder, key.public_der)
    key.seal(path, passphrase)
    keep_chain(folder / "chain.pem", chain_der)
    for old in before - {path}:
        old.unlink()


def read_identity(folder: Path, passphrase: bytes) -> OwnCertificate:
    """The kept pair. Raises OSError where `enrol` has not been run, TransportKeyUnusable for a wrong passphrase."""
    chain = read_chain(folder / "chain.pem")
    path = key_path(folder, spki_der(x509.load_der_x509_certificate(chain[0])))
    return TransportKey.unseal(path, passphrase).certified(chain)


def key_path(folder: Path, public_der: bytes) -> Path:
    """Where the key of this public half is kept."""
    return folder / f"transport-{sha256(public_der).hexdigest()[:16]}.key"


def keep_file(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves none or all of it."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def require_site_ca(authority: x509.Certificate, root: x509.Certificate, host: str) -> None:
    """Raises Refused unless the site root certified this CA, for this host alone."""
    try:
        authority.verify_directly_issued_by(root)
    except (InvalidSignature, ValueError, TypeError):
        raise Refused(
            Reason.REASON_SIGNATURE_INVALID, "the site CA is not certified by the site root", "site_ca"
        ) from None
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    named = [each.value for each in constraints.permitted_subtrees or ()]
    if set(named) != {host}:
        raise Refused(Reason.REASON_WRONG_FACTORY, f"the site CA may name {named}, not {host} alone", "site_ca")


def spki_der(certificate: x509.Certificate) -> bytes:
    """DER SubjectPublicKeyInfo of a certificate's key."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
