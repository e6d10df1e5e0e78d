"""Errors over the wire and back: google.rpc.Status with ErrorInfo and BadRequest in `grpc-status-details-bin`.

    ErrorInfo.reason      the reason's word, QUANTITY_SPENT
    ErrorInfo.domain      "obis"
    ErrorInfo.metadata    where, next_step
    BadRequest            one violation a field

A peer that sends no such details (a proxy, a cut link, a foreign server) is understood by its status code alone. So is
one whose word this version does not know; the word then opens the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from obis.refusal import Kind, Refused, Violation, reason_of
from obis.v1 import reason_pb2

DOMAIN: Final = "obis"
DETAILS_KEY: Final = "grpc-status-details-bin"

_CODE_OF_KIND: Final = {
    Kind.MALFORMED: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.REFUSED: grpc.StatusCode.PERMISSION_DENIED,
    Kind.UNIDENTIFIED: grpc.StatusCode.UNAUTHENTICATED,
    Kind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Kind.NOT_YET: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.ALREADY_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    Kind.UNIT_FAILED: grpc.StatusCode.ABORTED,
    Kind.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Kind.UNREACHABLE: grpc.StatusCode.UNAVAILABLE,
    Kind.TIMED_OUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    Kind.BROKEN_CHAIN: grpc.StatusCode.DATA_LOSS,
    Kind.INTERNAL: grpc.StatusCode.INTERNAL,
}

# gRPC itself refuses a message over a port's limit, with a code that it shares with "too fast" and these words.
_OVER_LIMIT: Final = "message larger than max"
# What a bare status code means, when it comes from a network or a library and not from our interceptor.
_REASON_OF_CODE: dict[grpc.StatusCode, reason_pb2.Reason.ValueType] = {
    grpc.StatusCode.UNAVAILABLE: reason_pb2.REASON_UNREACHABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: reason_pb2.REASON_DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAUTHENTICATED: reason_pb2.REASON_IDENTITY_UNKNOWN,
    grpc.StatusCode.PERMISSION_DENIED: reason_pb2.REASON_ROLE_NOT_ALLOWED,
    grpc.StatusCode.NOT_FOUND: reason_pb2.REASON_NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: reason_pb2.REASON_ALREADY_EXISTS,
    grpc.StatusCode.INVALID_ARGUMENT: reason_pb2.REASON_MALFORMED,
    grpc.StatusCode.FAILED_PRECONDITION: reason_pb2.REASON_STATE_CONFLICT,
    grpc.StatusCode.RESOURCE_EXHAUSTED: reason_pb2.REASON_RATE_LIMITED,
    grpc.StatusCode.DATA_LOSS: reason_pb2.REASON_BROKEN_CHAIN,
}


def status_code(failure: Refused) -> grpc.StatusCode:
    """The gRPC status code of an error."""
    return _CODE_OF_KIND[failure.kind]


def details(failure: Refused) -> bytes:
    """The bytes of `grpc-status-details-bin`."""
    status = status_pb2.Status(code=status_code(failure).value[0], message=failure.what)
    info = error_details_pb2.ErrorInfo(reason=failure.word, domain=DOMAIN)
    for name, value in (("where", failure.where), ("next_step", failure.next_step)):
        if value:
            info.metadata[name] = value
    status.details.add().Pack(info)
    if failure.violations:
        broken = error_details_pb2.BadRequest()
        for each in failure.violations:
            broken.field_violations.add(field=each.field, description=each.rule)
        status.details.add().Pack(broken)
    return status.SerializeToString()


def understand(failure: grpc.RpcError, *, peer: str = "") -> Refused:
    """The error the peer raised, from what a call raised here; `peer` names it where the peer did not say."""
    status = _status(failure)
    info, broken = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(broken)
    code, said = _code(failure), status.message or _said(failure)
    reason = _known(info)
    if not reason:
        return _by_code(code, said, unknown_word=info.reason, peer=peer)
    return Refused(
        reason,
        said,
        where=info.metadata.get("where", ""),
        next_step=info.metadata.get("next_step", ""),
        violations=tuple(Violation(each.field, each.description) for each in broken.field_violations),
    )


@contextmanager
def understood(peer: str) -> Iterator[None]:
    """Around a call or a stream: what comes out is a Refused, not an RpcError."""
    try:
        yield
    except grpc.RpcError as failure:
        raise understand(failure, peer=peer) from failure


def _known(info: error_details_pb2.ErrorInfo) -> reason_pb2.Reason.ValueType | None:
    """The reason a peer of this mesh named, or None if this version does not know the word."""
    if info.domain != DOMAIN:
        return None
    try:
        return reason_of(info.reason)
    except ValueError:
        return None


def _by_code(code: grpc.StatusCode, said: str, *, unknown_word: str, peer: str) -> Refused:
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _OVER_LIMIT in said:
        return Refused(reason_pb2.REASON_TOO_LARGE, said, where=peer)
    what = f"{unknown_word}: {said}" if unknown_word else said
    if code in _REASON_OF_CODE:
        return Refused(_REASON_OF_CODE[code], what, where=peer)
    return Refused(reason_pb2.REASON_INTERNAL, f"{code.name}: {what}", where=peer)


def _status(failure: grpc.RpcError) -> status_pb2.Status:
    """The rich status, or an empty one: what a stranger sends is not worth a crash."""
    trailing = failure.trailing_metadata() if hasattr(failure, "trailing_metadata") else None
    for key, value in cast("Iterable[tuple[str, str | bytes]]", trailing or ()):
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                break
    return status_pb2.Status()


def _code(failure: grpc.RpcError) -> grpc.StatusCode:
    code = failure.code() if hasattr(failure, "code") else None
    return code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN


def _said(failure: grpc.RpcError) -> str:
    said = failure.details() if hasattr(failure, "details") else None
    return said or "the peer gave no reason"
