"""The boundary's door: a unix socket, one front at a time, one request after another, blocking.

 1. Only the front's user is answered (SO_PEERCRED); anybody else is disconnected unread.
 2. A frame beyond its limit or that is not a BoundaryRequest ends the connection; the boundary stays up.
 3. A reply is sent after its commit, never before (`_complete` is the one place).
 4. The front may go and come back; nothing is lost but replies, and asking again gives the stored answers.
 5. While nobody asks, a tick a second ends windows.
A blocking reader is the cheapest there is, and one thread needs no locks around keys and ledger.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path
from typing import Final

import structlog
from google.protobuf.message import DecodeError

from edgehsm.boundary import codec
from edgehsm.boundary.service import Boundary
from edgehsm.boundary.store import StorageFull
from edgehsm.frame import LENGTH, FrameTooLarge, framed, length_of
from obis.refusal import Refused
from obis.v1.boundary_pb2 import BoundaryReply, BoundaryRequest
from obis.v1.reason_pb2 import Reason

TICK_SECONDS: Final = 1.0
MESSAGE_SECONDS: Final = 10.0  # a front that sends half a message and stops is disconnected

_UCRED: Final = struct.Struct("3i")
_log = structlog.get_logger("boundary")


class BoundaryServer:
    """Serves one boundary on one socket."""

    def __init__(self, boundary: Boundary, path: Path, front_uid: int) -> None:
        self._boundary = boundary
        self._front_uid = front_uid
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(0o666)  # the uid check is rule 1; the folder decides who may reach the socket at all
        self._listener.listen(4)
        self._listener.settimeout(TICK_SECONDS)

    def serve(self) -> None:
        """For ever; a signal's exception ends it between two requests or in the middle of one, which is the same."""
        while True:
            try:
                front, _ = self._listener.accept()
            except TimeoutError:
                self._tick()
                continue
            with front:
                self._serve_front(front)

    def _serve_front(self, front: socket.socket) -> None:
        _, uid, _ = _UCRED.unpack(front.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        if uid != self._front_uid:
            _log.warning("a stranger was disconnected", uid=uid)
            return
        _log.info("the front is here")
        try:
            while (message := self._receive(front)) is not None:
                self._complete(front, BoundaryRequest.FromString(message))
        except (DecodeError, FrameTooLarge, OSError) as error:
            _log.warning("the front was disconnected", why=type(error).__name__)
        _log.info("the front has gone")

    def _complete(self, front: socket.socket, request: BoundaryRequest) -> None:
        """Decide, commit, answer: rule 3."""
        reply = self._boundary.decide(request)
        try:
            self._boundary.commit()
        except StorageFull:
            reply = BoundaryReply(request_id=request.request_id)
            codec.refuse(reply.refused, Refused(Reason.REASON_STORAGE_FULL, "no room to promise durability", "ledger"))
        self._send(front, reply)

    def _send(self, front: socket.socket, reply: BoundaryReply) -> None:
        front.sendall(framed(reply.SerializeToString()))

    def _receive(self, front: socket.socket) -> bytes | None:
        """The next message; None when the front has gone."""
        front.settimeout(TICK_SECONDS)
        head = None
        while head is None:
            try:
                head = front.recv(LENGTH.size)
            except TimeoutError:
                self._tick()
        if not head:
            return None
        front.settimeout(MESSAGE_SECONDS)
        length = length_of(_fill(front, bytearray(head), LENGTH.size))
        return _fill(front, bytearray(), length)

    def _tick(self) -> None:
        """A full disk is the askers' news; nobody asks now."""
        with contextlib.suppress(StorageFull):
            self._boundary.tick()


def _fill(front: socket.socket, got: bytearray, length: int) -> bytes:
    """Exactly `length` bytes, `got` included. Raises ConnectionError if the front goes in the middle."""
    if len(got) == length:
        return bytes(got)
    got, have = got.ljust(length, b"\0"), len(got)
    view = memoryview(got)
    while have < length:
        read = front.recv_into(view[have:])
        if not read:
            raise ConnectionError("the front went in the middle of a message")
        have += read
    return bytes(got)
