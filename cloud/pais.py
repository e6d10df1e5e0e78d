"""PAIs from request to certificate: what an EdgeHSM asked, what the vault answered, what goes back.

1. One PAI per (product, EdgeHSM, epoch); a certified one is never replaced.
2. The row without certificate is the job: it outlives a restart, and doing it twice gives the same certificate.
3. The PaiDelivery is queued in the transaction that stores the certificate.
"""

from __future__ import annotations

from hashlib import sha256

from google.protobuf.message import DecodeError
from sqlmodel import Session, select

from cloud.store.governance import GrantRow
from cloud.store.production import PaiRow
from cloud.store.wake import wake_after_commit
from obis.refusal import Refused
from obis.v1.delivery_pb2 import DeliveryResult
from obis.v1.enrolment_objects_pb2 import PaiRequest
from obis.v1.reason_pb2 import Reason

TOPIC = "pai"


def note_request(session: Session, result: DeliveryResult, *, now: int) -> None:
    """Keep the PaiRequest of a delivery's result and wake who certifies; the same again changes nothing."""
    request = _read(result)
    payload = result.pai_request.payload
    row = session.get(PaiRow, (request.edgehsm_id, request.epoch, request.product_id))
    if row is not None and (row.cert_der or row.request_digest == sha256(payload).digest()):
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
            request_digest=sha256(payload).digest(),
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


def _read(result: DeliveryResult) -> PaiRequest:
    try:
        request = PaiRequest.FromString(result.pai_request.payload)
    except DecodeError:
        raise Refused(Reason.REASON_MALFORMED, "the PaiRequest does not parse", "pai_request") from None
    if (request.edgehsm_id, request.epoch) != (result.edgehsm_id, result.epoch):
        raise Refused(Reason.REASON_WRONG_EDGEHSM, "the PaiRequest is of another EdgeHSM or epoch", "pai_request")
    return request
