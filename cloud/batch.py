"""Production Batches as decisions: which Grant pays for one, and what its Authorization allows.

1. A batch is made of one Grant: of its version, with a share for this EdgeHSM and epoch, open for the batch's window,
   with room in the share, the Grant and the product. Among several, the one signed first.
2. Nothing in the Authorization is wider than in the Grant. ISSUE_DAC is cut to the batch's quantity and window; the
   other operations keep the Grant's own, longer windows, since rework outlives production.
3. A refusal says the figures.
4. Batches of a refused or closed Authorization do not give quantity back here: only the EdgeHSM's leaf proves that it
   was not spent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cloud.product import Room
from obis.refusal import Refused
from obis.trust.grant import require_within
from obis.v1.authorization_pb2 import Authorization
from obis.v1.grant_pb2 import Grant, OpRule
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import Operation, Window

# 8 octets, the first 01 to 7F, so that a serial number is positive; with 8 random ones behind, 32 hex digits.
SERIAL_PREFIX_BYTES: Final = 8


@dataclass(frozen=True)
class Candidate:
    """A Grant of the version with the EdgeHSM's share in it."""

    grant_digest: bytes
    grant: Grant
    of_grant: Room
    of_share: Room


@dataclass(frozen=True)
class BatchIds:
    """What is drawn for one batch."""

    batch_id: bytes
    auth_id: bytes
    serial_prefix: bytes


def choose_grant(candidates: Sequence[Candidate], product: Room, quantity: int, window: Window, now: int) -> Candidate:
    """The Grant that pays. Raises Refused WRONG_EDGEHSM, WINDOW_NOT_OPEN, WINDOW_CLOSED or QUOTA_EXCEEDED."""
    if window.ends_at <= now:
        raise Refused(Reason.REASON_WINDOW_CLOSED, "the window has ended already", "window.ends_at")
    if not candidates:
        raise Refused(
            Reason.REASON_WRONG_EDGEHSM, "no Grant of this version gives this EdgeHSM and epoch a share", "edgehsm_id"
        )
    require_room("what is granted of the product", product, quantity)
    refusal: Refused | None = None
    for candidate in candidates:
        try:
            _require_pays(candidate, quantity, window)
        except Refused as refused:
            refusal = refused  # the newest Grant's reason is the one a person can do something about
        else:
            return candidate
    raise refusal or Refused(Reason.REASON_QUOTA_EXCEEDED, "no Grant pays for this", "quantity")


def require_room(what: str, room: Room, quantity: int) -> None:
    """Raises Refused QUOTA_EXCEEDED with the figures."""
    if quantity > room.left:
        raise Refused(
            Reason.REASON_QUOTA_EXCEEDED,
            f"{quantity} devices would pass {what}: {room.figures()}",
            "quantity",
            "ask the OEM for a Grant, or make a smaller batch",
        )


def draw_prefix(random_bytes: bytes) -> bytes:
    """A serial prefix from 8 random bytes: the first is brought into 01 to 7F."""
    return bytes([random_bytes[0] % 0x7F + 1]) + random_bytes[1:SERIAL_PREFIX_BYTES]


def operations_of(grant: Grant, quantity: int, window: Window) -> list[OpRule]:
    """Rule 2."""
    return [_narrowed(rule, quantity, window) for rule in grant.operations]


def authorization(
    candidate: Candidate,
    batch: BatchIds,
    *,
    factory_id: str,
    edgehsm_id: str,
    epoch: int,
    sequence: int,
    quantity: int,
    window: Window,
    organisation_id: str,
    pai_cert_digest: bytes,
    dac_not_before: int,
    package_digest: bytes,
    now: int,
) -> Authorization:
    """What the ONLINE key signs; within the Grant in every dimension."""
    grant = candidate.grant
    return Authorization(
        auth_id=batch.auth_id,
        batch_id=batch.batch_id,
        grant_digest=candidate.grant_digest,
        product_id=grant.product_id,
        version_digest=grant.version_digest,
        factory_id=factory_id,
        edgehsm_id=edgehsm_id,
        epoch=epoch,
        sequence=sequence,
        quantity=quantity,
        window=window,
        operations=operations_of(grant, quantity, window),
        serial_prefix=batch.serial_prefix,
        template=grant.template,
        pai_cert_digest=pai_cert_digest,
        dac_not_before=dac_not_before,
        package_digest=package_digest,
        issued_at=now,
        organisation_id=organisation_id,
    )


def _require_pays(candidate: Candidate, quantity: int, window: Window) -> None:
    require_within(window, candidate.grant.window, "the batch's window", "window")
    require_room("this EdgeHSM's share", candidate.of_share, quantity)
    require_room("the Grant", candidate.of_grant, quantity)


def _narrowed(rule: OpRule, quantity: int, window: Window) -> OpRule:
    narrow = OpRule()
    narrow.CopyFrom(rule)
    if rule.operation == Operation.OPERATION_ISSUE_DAC:
        narrow.max_total = min(rule.max_total, quantity)
        narrow.window.starts_at = max(rule.window.starts_at, window.starts_at)
        narrow.window.ends_at = min(rule.window.ends_at, window.ends_at)
    return narrow
