r"""Checkpoints and cosignatures in C2SP form: tlog-checkpoint, signed-note, tlog-cosignature.

   <origin>\n<size>\n<base64 root>\n          the text; nothing else stands in it
   \n
   — <name> <base64(key hash || signature)>\n    one line each: the EdgeHSM's, then the witness's

1. The EdgeHSM signs the text by its Ed25519 log key; its name is the origin, `obis/<edgehsm_id>/<epoch>`.
2. The witness signs "cosignature/v1\ntime <t>\n" and the text by an Ed25519 key of role WITNESS; its signature is
   the time (8 bytes, big-endian) and 64 bytes; its name is `obis/witness/<first 16 hex digits of the fingerprint>`.
3. Key hash = first 4 bytes of SHA-256(name || "\n" || type || 32 bytes of key); type 0x01 plain, 0x04 cosignature.
4. One form: what is read must be, byte for byte, what would be written. Anything else is MALFORMED.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from obis.refusal import Refused
from obis.trust.merkle import HASH_BYTES
from obis.trust.signature import load_public_key
from obis.v1.envelope_pb2 import SigScheme
from obis.v1.reason_pb2 import Reason

MAX_NOTE_BYTES: Final = 4096
_NAME: Final = re.compile(r"[!-*,-~]{1,128}")  # printable, no space, no plus (signed-note)
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_PLAIN: Final = b"\x01"
_COSIGNATURE: Final = b"\x04"
_SIGNATURE_BYTES: Final = 64
_LATEST: Final = 2**63 - 1  # tlog-cosignature: a timestamp is below 2^63

Sign = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Checkpoint:
    """A log's size and root hash (32 bytes) under its origin."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.origin) or self.size < 0 or len(self.root) != HASH_BYTES:
            raise Refused(Reason.REASON_MALFORMED, "not a checkpoint's origin, size or root", "checkpoint")

    def text(self) -> bytes:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n".encode()


@dataclass(frozen=True)
class NoteLine:
    """One signature line: whose, the key hash (4 bytes), and the signature as its type has it."""

    name: str
    key_hash: bytes
    signature: bytes

    def text(self) -> bytes:
        """The line, with its newline."""
        return f"\u2014 {self.name} {b64encode(self.key_hash + self.signature).decode()}\n".encode()


@dataclass(frozen=True)
class Note:
    """A checkpoint and its signature lines; says nothing yet about who signed."""

    checkpoint: Checkpoint
    lines: tuple[NoteLine, ...]

    def data(self) -> bytes:
        """The note's bytes."""
        return self.checkpoint.text() + b"\n" + b"".join(line.text() for line in self.lines)


def log_origin(edgehsm_id: str, epoch: int) -> str:
    """The origin of a log, which is also the name of the key that signs it."""
    return f"obis/{edgehsm_id}/{epoch}"


def witness_name(fingerprint: bytes) -> str:
    """The name of a mesh's witness."""
    return f"obis/witness/{fingerprint.hex()[:16]}"


def sign_note(checkpoint: Checkpoint, log_spki_der: bytes, sign: Sign) -> bytes:
    """The note with the log's own line; `sign` is Ed25519 by the key of `log_spki_der`."""
    signature = sign(checkpoint.text())
    line = NoteLine(checkpoint.origin, _key_hash(checkpoint.origin, _PLAIN, log_spki_der), signature)
    return Note(checkpoint, (line,)).data()


def cosign_note(note_bytes: bytes, name: str, witness_spki_der: bytes, sign: Sign, at: int) -> bytes:
    """The note with the witness's line after the log's own; `at` in Unix seconds. The log's line must be checked first."""
    note = parse_note(note_bytes)
    signature = at.to_bytes(8) + sign(_cosigned(at, note.checkpoint))
    line = NoteLine(name, _key_hash(name, _COSIGNATURE, witness_spki_der), signature)
    return Note(note.checkpoint, (*note.lines[:1], line)).data()


def verify_note(note_bytes: bytes, origin: str, log_spki_der: bytes) -> Checkpoint:
    """The checkpoint, whose first line is the log's own; a second may follow. Raises Refused."""
    note = parse_note(note_bytes)
    if note.checkpoint.origin != origin:
        raise Refused(Reason.REASON_BROKEN_CHAIN, f"the checkpoint is of {note.checkpoint.origin}", origin)
    _verify_line(note.lines[0], origin, _PLAIN, log_spki_der, note.checkpoint.text())
    return note.checkpoint


def verify_cosignature(note_bytes: bytes, name: str, witness_spki_der: bytes) -> tuple[Checkpoint, int]:
    """The checkpoint and when the witness saw it (Unix seconds); its line is the second. Raises Refused."""
    note = parse_note(note_bytes)
    if len(note.lines) != 2:
        raise Refused(Reason.REASON_SIGNATURE_INVALID, "the note is not cosigned", name)
    line = note.lines[1]
    at = int.from_bytes(line.signature[:8])
    if at > _LATEST:
        raise Refused(Reason.REASON_SIGNATURE_INVALID, "the cosignature's time is none", name)
    _verify_line(line, name, _COSIGNATURE, witness_spki_der, _cosigned(at, note.checkpoint))
    return note.checkpoint, at


def parse_note(note_bytes: bytes) -> Note:
    """A checkpoint and one or two signature lines, in their one form. Raises Refused MALFORMED or TOO_LARGE."""
    if len(note_bytes) > MAX_NOTE_BYTES:
        raise Refused(Reason.REASON_TOO_LARGE, f"{len(note_bytes)} bytes", "checkpoint")
    try:
        note = _read(note_bytes.decode("utf-8"))
    except ValueError as error:
        raise Refused(Reason.REASON_MALFORMED, "not a signed checkpoint", "checkpoint") from error
    if note.data() != note_bytes:
        raise Refused(Reason.REASON_MALFORMED, "the note is not in its one form", "checkpoint")
    return note


def _read(text: str) -> Note:
    """Raises ValueError."""
    head, _, tail = text.partition("\n\n")
    origin, size, root = head.split("\n")
    lines = tuple(_parse_line(line) for line in tail.removesuffix("\n").split("\n"))
    if not _SIZE.fullmatch(size) or len(lines) > 2:
        raise ValueError(size)
    return Note(Checkpoint(origin, int(size), b64decode(root, validate=True)), lines)


def _parse_line(line: str) -> NoteLine:
    dash, name, encoded = line.split(" ")
    signature = b64decode(encoded, validate=True)
    if dash != "\u2014" or not _NAME.fullmatch(name) or len(signature) < 5:
        raise ValueError(line)
    return NoteLine(name, signature[:4], signature[4:])


def _verify_line(line: NoteLine, name: str, kind: bytes, spki_der: bytes, message: bytes) -> None:
    if (line.name, line.key_hash) != (name, _key_hash(name, kind, spki_der)):
        raise Refused(Reason.REASON_KEY_UNKNOWN, f"the line is of {line.name}, or of another key", name)
    try:
        _ed25519(spki_der).verify(line.signature[-_SIGNATURE_BYTES:], message)
    except InvalidSignature as error:
        raise Refused(Reason.REASON_SIGNATURE_INVALID, "the note's signature does not verify", name) from error
    if len(line.signature) != _SIGNATURE_BYTES + (8 if kind == _COSIGNATURE else 0):
        raise Refused(Reason.REASON_SIGNATURE_INVALID, "the note's signature has another length", name)


def _cosigned(at: int, checkpoint: Checkpoint) -> bytes:
    return b"cosignature/v1\ntime %d\n" % at + checkpoint.text()


def _key_hash(name: str, kind: bytes, spki_der: bytes) -> bytes:
    raw = _ed25519(spki_der).public_bytes(Encoding.Raw, PublicFormat.Raw)
    return sha256(name.encode() + b"\n" + kind + raw).digest()[:4]


def _ed25519(spki_der: bytes) -> Ed25519PublicKey:
    key = load_public_key(spki_der, SigScheme.SIG_SCHEME_ED25519)
    if not isinstance(key, Ed25519PublicKey):
        raise Refused(Reason.REASON_SCHEME_MISMATCH, "not an Ed25519 key", "checkpoint")
    return key
