"""REOPEN_DEBUG and CLOSE_DEBUG: one port of one chip, for one challenge, within a time-box.

Open:
 1. The challenge's exact bytes parse, closed: they name the device.
 2. The gate admits REOPEN_DEBUG: made here under this Authorization, own window, total, per device, per day.
 3. The challenge was never answered before                                     CHALLENGE_REUSED
 4. The device has no session open past its time-box                            DEBUG_SESSION_OPEN
 5. The product's debug authority key signs; the key stays in the element, and the response is good for this challenge.
Close, always allowed for an open session:
 6. The session is known, and the device's                                      DEBUG_SESSION_UNKNOWN
 7. The chip itself says that debug is locked, under its DAC key, with the session's id as nonce. Again: same index.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from edgehsm.boundary.book import Book, draw
from edgehsm.boundary.changes import ActKind, DeviceKey, device_key
from edgehsm.boundary.gate import Ask, Permit, admit
from edgehsm.boundary.operations import Asker, made_device
from edgehsm.boundary.operations.report import read_report
from edgehsm.boundary.signer import ElementSigner
from obis.refusal import Refused
from obis.trust.envelope import make_envelope
from obis.trust.payload import DEBUG_RESPONSE, parse_message
from obis.v1.device_objects_pb2 import DebugChallenge, DebugResponse, DebugState
from obis.v1.envelope_pb2 import Envelope
from obis.v1.leaf_pb2 import DebugClosedLeaf, DebugOpenedLeaf, LogLeaf
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import DeviceId, EvidenceLevel, Operation

SESSION_BYTES: Final = 16
DEFAULT_TIME_BOX_SECONDS: Final = 3600  # where the rule names none


@dataclass(frozen=True, slots=True)
class DebugRequest:
    """What the station brings; `challenge` is the chip's exact bytes."""

    station: bytes
    auth_id: bytes
    challenge: bytes
    rework_reason: str
    operator: str

    def __post_init__(self) -> None:
        """Raises Refused MALFORMED."""
        if not (1 <= len(self.rework_reason) <= 256 and 1 <= len(self.operator) <= 64):
            raise Refused(Reason.REASON_MALFORMED, "a reason of 1 to 256 and an operator of 1 to 64 characters", "open")


@dataclass(frozen=True, slots=True)
class Opened:
    """The signed answer to the chip."""

    response: Envelope
    session_id: bytes
    close_before: int
    log_index: int


def challenged_device(challenge: bytes) -> DeviceId:
    """The device a challenge is of. Raises Refused."""
    return parse_message(DebugChallenge, challenge, "challenge").device


def reopen_debug(book: Book, request: DebugRequest) -> Opened:
    """Rules 1 to 5."""
    device_id = challenged_device(request.challenge)
    device, challenge_digest = device_key(device_id.soc, device_id.uid), sha256(request.challenge).digest()
    ask = Ask(Operation.OPERATION_REOPEN_DEBUG, device, device_id.soc)
    permit = admit(ask, book.standing(request.auth_id), book.station(request.station), book.scene)
    _require_fresh(book, device, challenge_digest)
    granted = permit.standing.authorization.operations
    rule = next(each for each in granted if each.operation == Operation.OPERATION_REOPEN_DEBUG)
    response = DebugResponse(
        challenge_digest=challenge_digest,
        device=device_id,
        permissions=rule.debug_permissions,
        session_id=draw(SESSION_BYTES),
        time_box_seconds=rule.time_box_seconds or DEFAULT_TIME_BOX_SECONDS,
    )
    return _open(book, request, permit, response)


def close_debug(book: Book, asker: Asker, session_id: bytes, report: Envelope) -> int:
    """Rules 6 and 7: index of the leaf. `asker.auth_id` is not asked for; the session knows it. Raises Refused."""
    session = book.sessions.by_id.get(session_id)
    if session is None or session.device != asker.device:
        raise Refused(Reason.REASON_DEBUG_SESSION_UNKNOWN, "no such session of this device", "session_id")
    asker = asker._replace(auth_id=session.auth_id)
    standing, device = made_device(book, asker, stopped_too=True)
    issued = book.leaf(device.issued_index).issued
    if read_report(report, asker, issued, session_id).debug_state != DebugState.DEBUG_STATE_LOCKED:
        raise Refused(Reason.REASON_REPORT_MISMATCH, "the chip does not say that debug is locked", "report")
    if session.closed_index >= 0:
        return session.closed_index
    leaf = LogLeaf(
        debug_closed=DebugClosedLeaf(
            session_id=session_id,
            device=asker.device_id,
            report=report,
            evidence=EvidenceLevel.EVIDENCE_LEVEL_CHIP_SIGNED,
        )
    )
    index = book.write(leaf, asker.station)
    book.note_debug(standing, asker.device, index, leaf)
    return index


def _require_fresh(book: Book, device: DeviceKey, challenge_digest: bytes) -> None:
    """Rules 3 and 4."""
    if challenge_digest in book.sessions.challenges:
        raise Refused(Reason.REASON_CHALLENGE_REUSED, "this challenge was answered before", "challenge")
    if book.sessions.overdue(device, book.now):
        raise Refused(Reason.REASON_DEBUG_SESSION_OPEN, "a session is open past its time-box", "device")


def _open(book: Book, request: DebugRequest, permit: Permit, response: DebugResponse) -> Opened:
    """Rule 5."""
    product = book.holdings.products[permit.standing.authorization.product_id]
    signer = ElementSigner(book.element, product.debug_handle)
    envelope = make_envelope(DEBUG_RESPONSE, response.SerializeToString(deterministic=True), [signer])
    close_before = book.now + response.time_box_seconds
    leaf = LogLeaf(
        debug_opened=DebugOpenedLeaf(
            auth_id=request.auth_id,
            device=response.device,
            session_id=response.session_id,
            challenge_digest=response.challenge_digest,
            permissions=response.permissions,
            close_before=close_before,
            rework_reason=request.rework_reason,
            operator=request.operator,
        )
    )
    index = book.write(leaf, request.station)
    book.spend(permit, ActKind.REOPEN_DEBUG, index)
    book.sessions.fold(index, leaf)
    return Opened(envelope, response.session_id, close_before, index)
