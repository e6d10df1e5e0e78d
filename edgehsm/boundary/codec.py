"""The boundary's messages to values and back: the only place where decisions meet the service protos.

A step's fields keep their documented rules here (by hand: the general validator costs as much as the signature); what
they mean is decided in `operations`. A refused step refuses itself alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from edgehsm.boundary.book import Book
from edgehsm.boundary.deliveries import deliver
from edgehsm.boundary.holdings import Enrolled
from edgehsm.boundary.operations import Asker, asker_of
from edgehsm.boundary.operations.issue_dac import issue_dac
from edgehsm.boundary.operations.program_firmware import program_firmware
from edgehsm.boundary.operations.record_outcome import Outcome, record_outcome
from edgehsm.boundary.operations.reopen_debug import DebugRequest, challenged_device, close_debug, reopen_debug
from edgehsm.boundary.site import certify_front, enrol_station
from edgehsm.boundary.store import Store
from edgehsm.boundary.witnessed import take_cosigned
from obis.refusal import Refused
from obis.v1.boundary_pb2 import BoundaryReply, BoundaryRequest, StationStep
from obis.v1.custody_pb2 import AuthorizationStatus
from obis.v1.leaf_pb2 import RefusedLeaf
from obis.v1.provisioning_pb2 import DeviceStep, StepRefusal, StepReply
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import DeviceId, Operation

MAX_STEPS: Final = 256
MAX_STEP_BYTES: Final = 4096
PAGE_BYTES: Final = 1_000_000  # leaves of one page: under 1 MiB with everything around them
MAX_PAGE_LEAVES: Final = 500
_DEVICE_OVERHEAD: Final = 4  # bytes of a DeviceId that are neither: tag and length of both
_SOC: Final = re.compile(r"[a-z0-9-]{1,32}")
_ASKED: Final = {
    "issue": Operation.OPERATION_ISSUE_DAC,
    "firmware": Operation.OPERATION_PROGRAM_FIRMWARE,
    "outcome": Operation.OPERATION_UNSPECIFIED,
}


def refuse(into: StepRefusal, refused: Refused) -> None:
    """A refusal as the front passes it on."""
    into.reason, into.what = refused.reason, refused.what
    into.where, into.next_step = refused.where, refused.next_step


def _steps(book: Book, store: Store, request: BoundaryRequest, reply: BoundaryReply) -> None:
    del store
    steps = request.steps.steps
    if not 1 <= len(steps) <= MAX_STEPS:
        raise Refused(Reason.REASON_TOO_LARGE, f"{len(steps)} steps; 1 to {MAX_STEPS} go together", "steps")
    replies = reply.steps.replies
    for each in steps:
        _step(book, each, replies.add(step_id=each.step.step_id))


def _step(book: Book, asked: StationStep, reply: StepReply) -> None:
    step = asked.step
    kind = step.WhichOneof("step")
    try:
        _require_form(asked, kind)
        asker = asker_of(asked.station_key_digest, step.auth_id, step.device)
        if kind == "issue":
            _issue(book, asker, step, reply)
        elif kind == "firmware":
            reply.firmware.log_index = program_firmware(book, asker, step.firmware.firmware_digest)
        else:
            _outcome(book, asker, step, reply)
    except Refused as refused:
        refuse(reply.refused, refused)
        leaf = RefusedLeaf(operation=_ASKED[kind or "outcome"], auth_id=step.auth_id, device=step.device)
        book.tell(refused, leaf, asked.station_key_digest)


def _require_form(asked: StationStep, kind: str | None) -> None:
    step = asked.step
    if kind is None or len(asked.station_key_digest) != 32 or len(step.auth_id) != 16:
        raise Refused(Reason.REASON_MALFORMED, "a step needs its kind, its station and an authorization", "step")
    if step.ByteSize() > MAX_STEP_BYTES:
        raise Refused(Reason.REASON_TOO_LARGE, f"a step has at most {MAX_STEP_BYTES} bytes", "step")
    require_device(step.device)


def require_device(device: DeviceId) -> None:
    """Raises Refused MALFORMED for an id that breaks its documented rule, UNKNOWN_FIELD for one with more in it.

    The id goes into leaves as it came, and a leaf with an unknown field is one that nobody may read.
    """
    if not (_SOC.fullmatch(device.soc) and 4 <= len(device.uid) <= 32):
        raise Refused(Reason.REASON_MALFORMED, "a device is a chip family and a uid of 4 to 32 bytes", "device")
    if device.ByteSize() != _DEVICE_OVERHEAD + len(device.soc) + len(device.uid):
        raise Refused(Reason.REASON_UNKNOWN_FIELD, "a device has a chip family and a uid, and nothing else", "device")


def _issue(book: Book, asker: Asker, step: DeviceStep, reply: StepReply) -> None:
    done = issue_dac(book, asker, step.issue.csr_der, step.issue.key_agreement_spki_der)
    issued = reply.issued
    issued.dac_der, issued.boundary_nonce = done.dac_der, done.boundary_nonce
    issued.log_index, issued.repeated_answer = done.log_index, done.repeated


def _outcome(book: Book, asker: Asker, step: DeviceStep, reply: StepReply) -> None:
    said = step.outcome
    report = said.report if said.HasField("report") else None
    outcome = Outcome(said.passed, said.reason, report, said.duration_ms, said.test_result_digest)
    reply.outcome.log_index, reply.outcome.evidence = record_outcome(book, asker, outcome)


def _open_debug(book: Book, store: Store, request: BoundaryRequest, reply: BoundaryReply) -> None:
    del store
    asked, opened = request.open_debug, reply.opened
    said = asked.open
    try:
        done = reopen_debug(
            book,
            DebugRequest(asked.station_key_digest, said.auth_id, said.challenge, said.rework_reason, said.operator),
        )
    except Refused as refused:
        _tell_debug(book, refused, asked.station_key_digest, said.auth_id, said.challenge)
        raise
    opened.response.CopyFrom(done.response)
    opened.session_id, opened.close_before, opened.log_index = done.session_id, done.close_before, done.log_index


def _tell_debug(book: Book, refused: Refused, station: bytes, auth_id: bytes, challenge: bytes) -> None:
    """A refusal by a rule has a challenge that parses; malformed ones leave no leaf, so their device is not asked."""
    leaf = RefusedLeaf(operation=Operation.OPERATION_REOPEN_DEBUG, auth_id=auth_id)
    if refused.reason not in (Reason.REASON_MALFORMED, Reason.REASON_UNKNOWN_FIELD, Reason.REASON_TOO_LARGE):
        leaf.device.CopyFrom(challenged_device(challenge))
    book.tell(refused, leaf, station)


def _close_debug(book: Book, store: Store, request: BoundaryRequest, reply: BoundaryReply) -> None:
    del store
    asked = request.close_debug
    require_device(asked.close.device)
    try:
        asker = asker_of(asked.station_key_digest, b"", asked.close.device)
        reply.closed.log_index = close_debug(book, asker, asked.close.session_id, asked.close.report)
    except Refused as refused:
        leaf = RefusedLeaf(operation=Operation.OPERATION_CLOSE_DEBUG, device=asked.close.device)
        book.tell(refused, leaf, asked.station_key_digest)
        raise


def _deliver(book: Book, store: Store, request: BoundaryRequest, reply: BoundaryReply) -> None:
    del store
    reply.delivered.CopyFrom(deliver(book, request.deliver))


def _read_log(book: Book, store: Store, request: BoundaryRequest, reply: BoundaryReply) -> None:
    """Committed leaves only: what this request's own sweep appended is not in the store yet, nor in the page."""
    asked, page, log = request.read_log, reply.page, book.log
    committed = log.size - len(book.changes.leaves)
    if asked.from_index > committed:
        raise Refused(Reason.REASON_BROKEN_CHAIN, f"the log has {committed} leaves", "read_log.from_index")
    page.edgehsm_id, page.epoch, page.first_index = log.edgehsm_id, log.epoch, asked.from_index
    room = PAGE_BYTES
    for leaf in store.leaves(asked.from_index, min(asked.limit, MAX_PAGE_LEAVES)):
        room -= len(leaf) + 8
        if room < 0:
            break
        page.leaves.append(leaf)
    end = asked.from_index + len(page.leaves)
    page.checkpoint = log.checkpoint(end)
    page.consistency_proof.extend(log.consistency_proof(asked.from_index, end))


def _cosigned(book: Book, store: Store, request: BoundaryRequest, reply: BoundaryReply) -> None:
    del store
    take_cosigned(book, request.cosigned.checkpoint)
    reply.cosigned.cosigned_size = book.holdings.cosigned_size


def _certify_front(book: Book, store: Store, request: BoundaryRequest, reply: BoundaryReply) -> None:
    del store
    enrolled = _enrolled(book)
    certificate = certify_front(book, enrolled, request.certify_front.csr_der)
    _chain(reply, enrolled, certificate)


def _enrol_station(book: Book, store: Store, request: BoundaryRequest, reply: BoundaryReply) -> None:
    del store
    enrolled, asked = _enrolled(book), request.enrol_station
    try:
        certificate = enrol_station(book, enrolled, asked.ticket, asked.csr_der)
    except Refused as refused:
        book.tell(refused, RefusedLeaf())
        raise
    _chain(reply, enrolled, certificate)


def _chain(reply: BoundaryReply, enrolled: Enrolled, certificate: bytes) -> None:
    chain = reply.chain
    chain.certificates_der.extend([certificate, enrolled.site_ca_cert])
    chain.transport_ca_cert_der, chain.site_root_cert_der = enrolled.transport_ca_cert, enrolled.site_root_cert


def _enrolled(book: Book) -> Enrolled:
    if book.holdings.enrolled is None:
        raise Refused(Reason.REASON_NOT_ENROLLED, "this EdgeHSM is not enrolled yet", "boundary")
    return book.holdings.enrolled


def _status(book: Book, store: Store, request: BoundaryRequest, reply: BoundaryReply) -> None:
    del store, request
    status, held, reading = reply.status, book.holdings, book.scene.reading
    status.edgehsm_id, status.epoch = held.place.edgehsm_id, held.place.epoch
    status.log_size, status.cosigned_size = book.log.size, held.cosigned_size
    status.now, status.time_quality, status.assurance = reading.now, reading.quality, book.element.assurance
    status.revocation_sequence = held.revocations.sequence
    status.authorizations.extend(
        AuthorizationStatus(
            auth_id=each.authorization.auth_id, quantity=each.quantity, used=each.used, closed=bool(each.closed)
        )
        for each in book.ledger.by_sequence.values()
    )


INTENTS: Final[Mapping[str, Callable[[Book, Store, BoundaryRequest, BoundaryReply], None]]] = {
    "steps": _steps,
    "open_debug": _open_debug,
    "close_debug": _close_debug,
    "deliver": _deliver,
    "read_log": _read_log,
    "cosigned": _cosigned,
    "certify_front": _certify_front,
    "enrol_station": _enrol_station,
    "status": _status,
}
