"""Connections to a room: mutual TLS to exactly the expected name, and a dead link noticed within five seconds.

A link that silently drops everything is not noticed by keepalive alone: the transport's own ping timeout (one minute by
default) governs. So both are set, here and at the server: a ping every 2 s of silence, 1.5 s to answer it. An idle
connection, a waiting stream and an open call then end with Unreachable within 2 + 1.5 s.

Channels do not retry calls: gRPC's own retries would repeat what is not idempotent. Who may repeat says so, with a
request id and obis/mesh/backoff.py.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import grpc

from obis.mesh.credentials import Credentials
from obis.mesh.identity import Identity

Option: TypeAlias = tuple[str, int | str]

MIB: Final = 1 << 20
MESSAGE_BYTES: Final = MIB
PING_EVERY_MS: Final = 2000
PING_ANSWER_MS: Final = 1500

LIVENESS: Final[tuple[Option, ...]] = (
    ("grpc.keepalive_time_ms", PING_EVERY_MS),
    ("grpc.keepalive_timeout_ms", PING_ANSWER_MS),
    ("grpc.http2.ping_timeout_ms", PING_ANSWER_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)
_RECONNECT: Final[tuple[Option, ...]] = (
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.min_reconnect_backoff_ms", 2000),  # also how long one attempt may take
    ("grpc.max_reconnect_backoff_ms", 5000),
    ("grpc.enable_retries", 0),
)


def channel_options(server: Identity, *, message_bytes: int = MESSAGE_BYTES) -> list[Option]:
    """All options of a connection to `server`; for locust's own kind of channel too."""
    return [
        *LIVENESS,
        *_RECONNECT,
        *size_limits(message_bytes),
        # The name TLS demands of the server's certificate, whatever address it was reached by.
        ("grpc.ssl_target_name_override", server.dns_name),
        ("grpc.default_authority", server.dns_name),
        # Rooms of one process (the demo, tests) must not share a connection by accident of equal options.
        ("grpc.use_local_subchannel_pool", 1),
    ]


def size_limits(message_bytes: int) -> list[Option]:
    """How large a message may be, both ways."""
    return [("grpc.max_receive_message_length", message_bytes), ("grpc.max_send_message_length", message_bytes)]


def open_channel(
    address: str, server: Identity, credentials: Credentials, *, message_bytes: int = MESSAGE_BYTES
) -> grpc.aio.Channel:
    """A connection to `server` at `address` (host:port). It connects at the first call and again after a loss.

    Raises KeyError if no CA is pinned for the server's host, ValueError if the role of `server` serves nothing.
    """
    options = channel_options(server, message_bytes=message_bytes)
    return grpc.aio.secure_channel(address, credentials.channel(server), options=options)
