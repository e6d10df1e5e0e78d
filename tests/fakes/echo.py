"""A service of all four kinds of call, for tests of what stands around every call. Its messages are DSSE envelopes,
whose rules the contract documents; the payload says what the servicer is to do."""

from __future__ import annotations

import asyncio

import grpc

from obis.mesh.identity import Role, calling_peer
from obis.refusal import Refused
from obis.v1 import reason_pb2
from obis.v1.envelope_pb2 import Envelope

SERVICE = "test.Echo"
ACCESS = {f"/{SERVICE}/{each}": frozenset({Role.STATION}) for each in ("One", "Down", "Up", "Both")}
ACCESS |= {f"/grpc.health.v1.Health/{each}": frozenset(Role) for each in ("Check", "List", "Watch")}
_WIRE = {"request_deserializer": Envelope.FromString, "response_serializer": Envelope.SerializeToString}
_CALL = {"request_serializer": Envelope.SerializeToString, "response_deserializer": Envelope.FromString}


def say(text: str) -> Envelope:
    return Envelope(payload=text.encode(), payload_type="test")


class Echo:
    """The servicer. `woken` tells when a call that was to wait has been cancelled."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()

    async def one(self, request: Envelope, context) -> Envelope:
        return await self._do(request)

    async def down(self, request: Envelope, context):
        for _ in range(3):
            yield await self._do(request)
        if request.payload == b"then wait":
            await self._wait()

    async def up(self, requests, context) -> Envelope:
        return say(" ".join([(await self._do(each)).payload.decode() async for each in requests]))

    async def both(self, requests, context):
        async for each in requests:
            yield await self._do(each)

    async def _do(self, request: Envelope) -> Envelope:
        match request.payload.decode().split():
            case ["who"]:
                return say(calling_peer().name)
            case ["refuse"]:
                raise Refused(reason_pb2.REASON_QUANTITY_SPENT, "none left", where="auth 7", next_step="ask the OEM")
            case ["full"]:
                raise Refused(reason_pb2.REASON_STORAGE_FULL, "no room")
            case ["fault"]:
                raise ZeroDivisionError("secret-in-a-fault")
            case ["wait"]:
                await self._wait()
        return request

    async def _wait(self) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def register(self, server) -> None:
        handlers = {
            "One": grpc.unary_unary_rpc_method_handler(self.one, **_WIRE),
            "Down": grpc.unary_stream_rpc_method_handler(self.down, **_WIRE),
            "Up": grpc.stream_unary_rpc_method_handler(self.up, **_WIRE),
            "Both": grpc.stream_stream_rpc_method_handler(self.both, **_WIRE),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        server.add_registered_method_handlers(SERVICE, handlers)


class EchoStub:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.one = channel.unary_unary(f"/{SERVICE}/One", **_CALL)
        self.down = channel.unary_stream(f"/{SERVICE}/Down", **_CALL)
        self.up = channel.stream_unary(f"/{SERVICE}/Up", **_CALL)
        self.both = channel.stream_stream(f"/{SERVICE}/Both", **_CALL)
        self.raw = channel.unary_unary(f"/{SERVICE}/One", response_deserializer=Envelope.FromString)
