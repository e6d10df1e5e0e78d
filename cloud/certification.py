"""The jobs that wait for the vault: PAIs to certify, approved EdgeHSMs to give their certificates.

1. The row is the job. It is found again after a restart, and doing it twice gives the same certificate: the vault is
   idempotent, and the row is written only where it is still waiting.
2. The vault being away delays; a refusal is noted once, logged, and not asked again for the same request.
3. What the vault made is checked before it is kept: a PAI is for the requested key under the rule's PAA, a site CA is
   under the trust root's site root.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Final

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlmodel import Session, col, select

from cloud import certificates, deliveries, effects, pais
from cloud.roots import Roots
from cloud.store import Store
from cloud.store.catalogue import ProductRow
from cloud.store.governance import CertificateRow, GrantRow
from cloud.store.production import PaiRow
from cloud.store.sites import EdgeHsmRow
from cloud.transport_ca import TransportCa, read_request
from cloud.vault_client import PaiOrder, SiteOrder, Vault
from obis.mesh.identity import Identity, Role
from obis.refusal import Kind, Refused, word
from obis.trust import payload
from obis.v1.delivery_pb2 import Delivery, PaiDelivery
from obis.v1.enrolment_objects_pb2 import EnrolRequest, PaiRequest
from obis.v1.envelope_pb2 import Envelope
from obis.v1.factories_pb2 import EdgeHsmState
from obis.v1.reason_pb2 import Reason

LOOK_SECONDS: Final = 2.0  # also how long the vault's absence is waited out
_log = structlog.get_logger("cloud.certification")
_AWAY: Final = frozenset({Kind.UNREACHABLE, Kind.UNIDENTIFIED})
_TRY_AGAIN: Final = _AWAY | {Kind.EXHAUSTED, Kind.INTERNAL, Kind.NOT_YET}


@dataclass(frozen=True)
class Certification:
    """Does the jobs, one after another, until it is cancelled."""

    store: Store
    roots: Roots
    ca: TransportCa
    vault: Vault
    now: Callable[[], int]

    async def run(self) -> None:
        """Look at once, whenever something is queued, and every two seconds."""
        with self.store.notifier.listening(pais.TOPIC, effects.ENROLMENTS) as listener:
            while True:
                await self.once()
                await listener.wait(LOOK_SECONDS)

    async def once(self) -> None:
        """Every job that waits now. A job that fails stops no other; a vault that is away stops the round."""
        try:
            if not await self.store.read(_has_site_root):
                await self._learn()
            for row in await self.store.read(pais.waiting):
                await self._try("pai", f"{row.edgehsm_id}/{row.epoch}", partial(self._certify_pai, row))
            for edge in await self.store.read(_approved):
                await self._try("site-ca", f"{edge.edgehsm_id}/{edge.epoch}", partial(self._certify_site, edge))
        except Refused as refused:
            _log.warning("the vault is away", reason=word(refused.reason), what=refused.what)

    async def _try(self, what: str, subject: str, job: Callable[[], Awaitable[None]]) -> None:
        """Raises Refused where the vault is away; everything else is logged and found again in the next round."""
        try:
            await job()
        except Refused as refused:
            _log.warning("not certified", what=what, subject=subject, reason=word(refused.reason), why=refused.what)
            if refused.kind in _AWAY:
                raise
        except Exception:  # noqa: BLE001 (one bad row must not end the job for all others; it is logged whole)
            _log.exception("a job failed", what=what, subject=subject)

    async def _learn(self) -> None:
        """What the vault says is public; the site root must be the trust root's."""
        described = await self.vault.describe()

        def keep(session: Session) -> None:
            view = self.roots.view(session)
            if _spki(described.site_root_der) != view.root.site_root_spki_der:
                raise Refused(Reason.REASON_KEY_UNKNOWN, "the vault has another site root than the trust root", "vault")
            certificates.keep(session, certificates.SITE_ROOT, described.site_root_der)
            for der in described.paas_der:
                certificates.keep(session, certificates.PAA, der)

        await self.store.write(keep)

    async def _certify_pai(self, row: PaiRow) -> None:
        order = await self.store.read(lambda session: _pai_order(session, row))
        try:
            made = await self.vault.certify_pai(order)
            await self.store.write(lambda session: self._keep_pai(session, row, made.cert_der, made.act))
        except Refused as refused:
            if refused.kind not in _TRY_AGAIN:
                await self.store.write(partial(_note_refusal, row=row, reason=word(refused.reason)))
            raise

    def _keep_pai(self, session: Session, row: PaiRow, cert_der: bytes, act: bytes) -> None:
        found = session.get_one(PaiRow, (row.edgehsm_id, row.epoch, row.product_id))
        if found.cert_der or found.request_digest != row.request_digest:
            return
        _check_pai(session, found, cert_der)
        found.cert_der, found.act, found.certified_at = cert_der, act, self.now()
        session.add(found)
        content = Delivery(pai=PaiDelivery(product_id=found.product_id, pai_cert_der=cert_der))
        deliveries.enqueue(session, found.edgehsm_id, found.epoch, content, now=self.now(), subject=found.product_id)

    async def _certify_site(self, row: EdgeHsmRow) -> None:
        order = await self.store.read(lambda session: _site_order(session, row))
        made = await self.vault.certify_site(order)
        await self.store.write(lambda session: self._keep_site(session, row, made.cert_der))

    def _keep_site(self, session: Session, row: EdgeHsmRow, cert_der: bytes) -> None:
        found = session.get_one(EdgeHsmRow, (row.edgehsm_id, row.epoch))
        if found.site_ca_cert_der:
            return
        request = _enrol_request(found)
        if _spki(cert_der) != request.keys.site_ca_spki_der:
            raise Refused(Reason.REASON_DIGEST_MISMATCH, "the site CA certificate is for another key", "vault")
        _require_issued(cert_der, certificates.one(session, certificates.SITE_ROOT))
        identity = Identity(Role.EDGEHSM, found.edgehsm_id)
        key = read_request(request.identity_csr_der)
        found.site_ca_cert_der = cert_der
        found.identity_cert_der = self.ca.issue(session, identity, key, proof="approval", now=self.now())
        found.state = EdgeHsmState.EDGE_HSM_STATE_ENROLLED
        session.add(found)


def _note_refusal(session: Session, row: PaiRow, reason: str) -> None:
    found = session.get_one(PaiRow, (row.edgehsm_id, row.epoch, row.product_id))
    if not found.cert_der and found.request_digest == row.request_digest:
        found.refusal = reason
        session.add(found)


def _has_site_root(session: Session) -> bool:
    query = select(CertificateRow.digest).where(CertificateRow.name == certificates.SITE_ROOT)
    return session.exec(query).first() is not None


def _approved(session: Session) -> list[EdgeHsmRow]:
    """Approved, and without certificates."""
    query = (
        select(EdgeHsmRow)
        .where(EdgeHsmRow.approval != b"", EdgeHsmRow.site_ca_cert_der == b"")
        .order_by(col(EdgeHsmRow.requested_at))
    )
    return list(session.exec(query))


def _pai_order(session: Session, row: PaiRow) -> PaiOrder:
    edge = session.get_one(EdgeHsmRow, (row.edgehsm_id, row.epoch))
    product = session.get_one(ProductRow, row.product_id)
    grant = session.get_one(GrantRow, row.grant_digest)
    return PaiOrder(
        Roots.envelopes(session),
        Envelope.FromString(product.rule),
        Envelope.FromString(grant.envelope),
        Envelope.FromString(edge.approval),
        Envelope.FromString(row.request),
    )


def _site_order(session: Session, row: EdgeHsmRow) -> SiteOrder:
    return SiteOrder(Roots.envelopes(session), Envelope.FromString(row.approval), _enrol_request(row).site_ca_csr_der)


def _enrol_request(row: EdgeHsmRow) -> EnrolRequest:
    return payload.parse_closed(payload.ENROL_REQUEST, Envelope.FromString(row.request).payload)


def _check_pai(session: Session, row: PaiRow, cert_der: bytes) -> None:
    """Rule 3."""
    request = PaiRequest.FromString(Envelope.FromString(row.request).payload)
    if sha256(_spki(cert_der)).digest() != read_request(request.pai_csr_der).spki_digest:
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "the PAI is for another key", "vault")
    product = session.get_one(ProductRow, row.product_id)
    _require_issued(cert_der, certificates.paa(session, product.paa_cert_digest))


def _require_issued(cert_der: bytes, issuer_der: bytes) -> None:
    try:
        x509.load_der_x509_certificate(cert_der).verify_directly_issued_by(x509.load_der_x509_certificate(issuer_der))
    except (InvalidSignature, ValueError, TypeError):
        raise Refused(Reason.REASON_SIGNATURE_INVALID, "another authority signed the certificate", "vault") from None


def _spki(cert_der: bytes) -> bytes:
    key = x509.load_der_x509_certificate(cert_der).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
