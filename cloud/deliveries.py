"""The queue of Deliveries: what is on its way to each EdgeHSM, in order, and what became of it.

1. A delivery is queued in the transaction that makes it necessary: there is no batch without its delivery.
2. Numbers rise by one per EdgeHSM and epoch; a stream sends what comes after the highest number with a result.
3. A result may come twice, or late; the first that was accepted stays.
4. What a result means for the cloud happens in the transaction that records it: a batch becomes DELIVERED or REFUSED, a
   PaiRequest becomes work for the vault (`cloud.certification`).

Quantity of a refused batch does not come back here: only an AUTHORIZATION_CLOSED leaf proves that it was not spent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import update
from sqlmodel import Session, col, select

from cloud import pais
from cloud.store.production import BatchRow, DeliveryRow
from cloud.store.sites import EdgeHsmRow
from cloud.store.wake import wake_after_commit
from obis.refusal import Refused
from obis.v1.batches_pb2 import BatchState
from obis.v1.delivery_pb2 import Delivery, DeliveryResult
from obis.v1.reason_pb2 import Reason

_PAGE: Final = 64


def topic(edgehsm_id: str) -> str:
    """What `Store.notifier` wakes when something was queued for this EdgeHSM."""
    return f"edgehsm:{edgehsm_id}"


def enqueue(session: Session, edgehsm_id: str, epoch: int, content: Delivery, *, now: int, subject: bytes = b"") -> int:
    """Queue `content` (a Delivery with its oneof set; address and number are filled in) and return its number.

    `subject` is what it is about: auth_id, grant digest or product_id. Raises Refused NOT_ENROLLED for an epoch the
    cloud does not know.
    """
    number = _next_number(session, edgehsm_id, epoch)
    delivery = Delivery()
    delivery.CopyFrom(content)
    delivery.number, delivery.edgehsm_id, delivery.epoch = number, edgehsm_id, epoch
    kind = delivery.WhichOneof("content")
    if kind is None:
        raise ValueError("a delivery has a content")
    session.add(
        DeliveryRow(
            edgehsm_id=edgehsm_id,
            epoch=epoch,
            number=number,
            kind=kind,
            subject=subject,
            content=delivery.SerializeToString(deterministic=True),
            queued_at=now,
        )
    )
    wake_after_commit(session, topic(edgehsm_id))
    return number


def after(session: Session, edgehsm_id: str, epoch: int, number: int, *, limit: int = _PAGE) -> list[Delivery]:
    """Deliveries with higher numbers, in order, at most `limit`."""
    rows = session.exec(
        select(DeliveryRow.content)
        .where(DeliveryRow.edgehsm_id == edgehsm_id, DeliveryRow.epoch == epoch, DeliveryRow.number > number)
        .order_by(col(DeliveryRow.number))
        .limit(limit)
    )
    return [Delivery.FromString(content) for content in rows]


def record_result(session: Session, result: DeliveryResult, *, now: int) -> None:
    """Note what an EdgeHSM did with a delivery; raises Refused NOT_FOUND for a delivery that was never queued."""
    row = session.get(DeliveryRow, (result.edgehsm_id, result.epoch, result.number))
    if row is None:
        raise Refused(Reason.REASON_NOT_FOUND, "no such delivery was queued", "number")
    if not row.accepted:
        row.accepted, row.reason, row.what = result.accepted, result.reason[:64], result.what[:500]
        row.result_at = now
        session.add(row)
        _MEANINGS.get(row.kind, _nothing)(session, row)
    if result.HasField("pai_request"):
        pais.note_request(session, result, now=now)


def _next_number(session: Session, edgehsm_id: str, epoch: int) -> int:
    number: int | None = session.exec(
        update(EdgeHsmRow)
        .where(col(EdgeHsmRow.edgehsm_id) == edgehsm_id, col(EdgeHsmRow.epoch) == epoch)
        .values(delivery_number=EdgeHsmRow.delivery_number + 1)
        .returning(col(EdgeHsmRow.delivery_number))
    ).scalar_one_or_none()
    if number is None:
        raise Refused(Reason.REASON_NOT_ENROLLED, f"EdgeHSM {edgehsm_id} epoch {epoch} is not known", "edgehsm_id")
    return number


def _authorization_answered(session: Session, row: DeliveryRow) -> None:
    batch = session.exec(select(BatchRow).where(BatchRow.auth_id == row.subject)).one()
    waiting = batch.state in (BatchState.BATCH_STATE_AUTHORIZED, BatchState.BATCH_STATE_REFUSED)
    if waiting:
        batch.state = BatchState.BATCH_STATE_DELIVERED if row.accepted else BatchState.BATCH_STATE_REFUSED
        batch.refusal = "" if row.accepted else row.reason
        session.add(batch)
        wake_after_commit(session, f"batch:{batch.batch_id.hex()}")


def _nothing(_session: Session, _row: DeliveryRow) -> None:
    """Grants, lists and beacons change nothing here by being accepted."""


_MEANINGS: Final[dict[str, Callable[[Session, DeliveryRow], None]]] = {"authorization": _authorization_answered}
