"""What happens around every call, of all four kinds, so that no servicer repeats it.

1. who calls: TLS 1.3, and the certificate checked against the pinned CAs (identity, authorities);
2. may it: the role has a row for this method (access);
3. is the request whole: it parses, and keeps the rules written in the contract (protovalidate), each message of a stream;
4. a unary answer comes within the caller's deadline and the server's own limit;
5. what the servicer raises leaves as a status with its reason; a fault of ours leaves as INTERNAL and nothing more;
6. it is counted, and logged by method, caller, code, reason and time: never by content.

Servicers read streams through the request iterator (`context.read()` would hand out raw bytes, unchecked), answer
streams as async generators, and learn who calls from `obis.mesh.identity.calling_peer()`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeAlias

import grpc
import protovalidate
from google.protobuf.message import DecodeError, Message

from obis.mesh.access import AccessTable, check_access
from obis.mesh.authorities import Authorities
from obis.mesh.call_record import CallRecord
from obis.mesh.identity import ANONYMOUS, Peer, set_calling_peer
from obis.mesh.metrics import CallMetrics
from obis.refusal import Refused, Violation
from obis.v1 import reason_pb2

Context: TypeAlias = Any  # grpc.aio.ServicerContext, whose stubs lack half of what it has
Handler: TypeAlias = Any  # grpc.RpcMethodHandler
Parse: TypeAlias = Callable[[bytes], Message]

_UNREADABLE = "the request is not a message of this method"
# All of 256 broken steps would be more than trailing metadata may hold (8 KiB), and the caller would be told nothing.
_VIOLATIONS_TOLD = 16


@dataclass(frozen=True)
class CallRules:
    """What one port asks of its callers. `authorities` is asked for at each call: it may change while serving."""

    access: AccessTable
    metrics: CallMetrics
    authorities: Callable[[], Authorities] | None  # None: an enrolment port, where all are anonymous
    unary_seconds: float = 30
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps each method once and remembers the wrapped handler."""

    def __init__(self, rules: CallRules) -> None:
        self._rules = rules
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Handler]], call_details: Any) -> Handler:
        """What gRPC asks for each call."""
        handler = await continuation(call_details)
        if handler is None:
            return None  # gRPC answers UNIMPLEMENTED
        known = self._wrapped.get(call_details.method)
        if known is None or known[0] is not handler:
            known = (handler, _wrap(_Method(call_details.method, handler, self._rules)))
            self._wrapped[call_details.method] = known
        return known[1]


@dataclass(frozen=True)
class _Method:
    """One RPC: its name, the servicer's handler, the rules of the port."""

    name: str
    handler: Handler
    rules: CallRules

    def admit(self, context: Context) -> Peer:
        """Steps 1 and 2."""
        peer = self._identify(context)
        check_access(peer, self.name, self.rules.access)
        set_calling_peer(peer)
        return peer

    def _identify(self, context: Context) -> Peer:
        seen = context.auth_context()
        if seen.get("ssl_tls_version") != [b"TLSv1.3"]:
            raise Refused(reason_pb2.REASON_IDENTITY_UNKNOWN, "the connection is not TLS 1.3")
        if self.rules.authorities is None:
            return ANONYMOUS
        (leaf_pem,) = seen.get("x509_pem_cert", [b""])
        return self.rules.authorities().identify(leaf_pem, self.rules.now())

    def request(self, received: bytes) -> Message:
        """Step 3; raises Malformed with the fields that break a rule, the first of them."""
        parse: Parse = self.handler.request_deserializer
        try:
            message = parse(received)
        except DecodeError:
            raise Refused(reason_pb2.REASON_MALFORMED, _UNREADABLE, where=self.name) from None
        broken = tuple(
            Violation(_path(each.proto.field), each.proto.message or each.proto.rule_id)
            for each in islice(protovalidate.collect_violations(message), _VIOLATIONS_TOLD)
        )
        if broken:
            what = f"{broken[0].field or 'the message'}: {broken[0].rule}"
            raise Refused(reason_pb2.REASON_MALFORMED, what, where=broken[0].field, violations=broken)
        return message

    async def requests(self, received: AsyncIterator[bytes]) -> AsyncIterator[Message]:
        """Step 3 for each message of a stream."""
        async for each in received:
            yield self.request(each)


def _path(field: Any) -> str:
    """`steps[3].csr_der`. A map's key is the caller's own word, so it is left out."""
    names = []
    for each in field.elements if field else ():
        place = each.subscript
        names.append(f"{each.field_name}[{place.value}]" if place and place.field == "index" else each.field_name)
    return ".".join(names)


def _wrap(method: _Method) -> Handler:
    """The same handler with steps 1 to 6 around it."""
    handler = method.handler
    make: Callable[..., Handler]
    if handler.request_streaming and handler.response_streaming:
        make, behaviour = (
            grpc.stream_stream_rpc_method_handler,
            _answers(method, handler.stream_stream, method.requests),
        )
    elif handler.request_streaming:
        make, behaviour = grpc.stream_unary_rpc_method_handler, _answer(method, handler.stream_unary, method.requests)
    elif handler.response_streaming:
        make, behaviour = grpc.unary_stream_rpc_method_handler, _answers(method, handler.unary_stream, method.request)
    else:
        make, behaviour = grpc.unary_unary_rpc_method_handler, _answer(method, handler.unary_unary, method.request)
    # Without a deserializer gRPC hands over bytes: parsing is ours, so that rubbish is Malformed and not an INTERNAL.
    return make(behaviour, request_deserializer=None, response_serializer=handler.response_serializer)


def _answer(method: _Method, behaviour: Callable[..., Awaitable[Any]], read: Callable[[Any], Any]) -> Any:
    """For one answer. A single request has the server's time limit; an upload takes as long as its caller allows."""
    limit = None if method.handler.request_streaming else method.rules.unary_seconds

    async def call(received: Any, context: Context) -> Any:
        with CallRecord(method.name, method.rules.metrics) as record:
            try:
                record.peer = method.admit(context)
                async with asyncio.timeout(limit):
                    return await behaviour(read(received), context)
            except Exception as failure:  # noqa: BLE001 (the one place where whatever was raised becomes a status)
                await record.abort(failure, context)

    return call


def _answers(method: _Method, behaviour: Callable[..., AsyncIterator[Any]], read: Callable[[Any], Any]) -> Any:
    """For a stream of answers."""

    async def call(received: Any, context: Context) -> AsyncIterator[Any]:
        with CallRecord(method.name, method.rules.metrics) as record:
            try:
                record.peer = method.admit(context)
                answers = behaviour(read(received), context)
                if not isinstance(answers, AsyncIterator):
                    await answers  # a library's servicer (health) writes to the context by itself
                    return
                async for answer in answers:
                    yield answer
            except Exception as failure:  # noqa: BLE001 (as above)
                await record.abort(failure, context)

    return call
