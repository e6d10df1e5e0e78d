"""PAIs from request to certificate: what an EdgeHSM asked, what the vault answered, what goes back.

1. One PAI per (product, EdgeHSM, epoch); a certified one is never replaced.
2. The row without certificate is the job: it outlives a restart, and doing it twice gives the same certificate.
3. The PaiDelivery is queued in the transaction that stores the certificate.
"""

from __future__ import annotations

from hashlib import sha256

from sqlmodel import Session, select

from cloud.store.governance import GrantRow
from cloud.store.production import PaiRow
from cloud.store.sites import EdgeHsmRow
from cloud.store.wake import wake_after_commit
from obis.refusal import Refused
from obis.trust import payload
from obis.trust.envelope import verify_single
from obis.v1.delivery_pb2 import DeliveryResult
from obis.v1.enrolment_objects_pb2 import EdgeHsmKeys, PaiRequest
from obis.v1.envelope_pb2 import SigScheme
from obis.v1.reason_pb2 import Reason

TOPIC = "pai"


def note_request(session: Session, result: DeliveryResult, *, now: int) -> None:
    """Keep the PaiRequest of a delivery's result and wake who certifies; the same again changes nothing.

    Raises Refused for a request the EdgeHSM did not sign, or whose Grant is not here.
    """
    request = _read(session, result)
    digest = sha256(result.pai_request.payload).digest()
    row = session.get(PaiRow, (request.edgehsm_id, request.epoch, request.product_id))
    if row is not None and (row.cert_der or row.request_digest == digest):
        return
    if session.get(GrantRow, request.grant_digest) is None:
        raise Refused(Reason.REASON_NOT_FOUND, "the PaiRequest names a Grant the cloud does not have", "grant_digest")
    session.merge(
        PaiRow(
            edgehsm_id=request.edgehsm_id,
            epoch=request.epoch,
            product_id=request.product_id,
            grant_digest=request.grant_digest,
            request=result.pai_request.SerializeToString(deterministic=True),
            request_digest=digest,
            requested_at=now,
        )
    )
    wake_after_commit(session, TOPIC)


def certified(session: Session, edgehsm_id: str, epoch: int, product_id: bytes) -> PaiRow | None:
    """The certified PAI, or None while it is not ready."""
    row = session.get(PaiRow, (edgehsm_id, epoch, product_id))
    return row if row is not None and row.cert_der else None


def waiting(session: Session) -> list[PaiRow]:
    """Requests without certificate, oldest first."""
    query = select(PaiRow).where(PaiRow.cert_der == b"", PaiRow.refusal == "").order_by("requested_at")
    return list(session.exec(query))


def _read(session: Session, result: DeliveryResult) -> PaiRequest:
    """Signed by the EdgeHSM itself, so that no courier can put another key in its place."""
    edge = session.get_one(EdgeHsmRow, (result.edgehsm_id, result.epoch))
    identity = EdgeHsmKeys.FromString(edge.keys).identity_spki_der
    request = verify_single(result.pai_request, payload.PAI_REQUEST, identity, SigScheme.SIG_SCHEME_P256)
    if (request.edgehsm_id, request.epoch) != (result.edgehsm_id, result.epoch):
        raise Refused(Reason.REASON_WRONG_EDGEHSM, "the PaiRequest is of another EdgeHSM or epoch", "pai_request")
    return request
