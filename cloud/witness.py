"""The witness: the last size and root of every log, in a database of its own with a backup of its own.

1. It only moves forward, from the size it is told it stands at (compare and swap, as C2SP tlog-witness asks).
2. It lives apart from the records, so that a cloud restored from an old backup is told by it that it went back.
3. A cosignature is made after the leaves are durable, and handed out after the witness is: whoever holds one may prune.
4. A witness that is gone is not made anew beside records that exist: it would have forgotten what it saw.

Order of the two databases: records first, then the witness. A crash in between leaves the witness behind; the next
contact brings it up from the checkpoint kept with the records (`cloud.receiving`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    LargeBinary,
    MetaData,
    String,
    Table,
    insert,
    inspect,
    select,
    update,
)

from cloud.store.engine import open_engine
from obis.refusal import Refused
from obis.trust.checkpoint import cosign_note, parse_note
from obis.v1.reason_pb2 import Reason

_METADATA: Final = MetaData()
_WITNESS: Final = Table(
    "witness",
    _METADATA,
    Column("edgehsm_id", String(32), primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", LargeBinary, nullable=False),
)


class WitnessMissing(Exception):
    """There are records and no witness: restore its backup."""


@dataclass(frozen=True)
class Witnessed:
    """What was seen last: the size, the root (32 bytes) and the cosigned note; 0 and empty before the first."""

    size: int = 0
    root: bytes = b""
    note: bytes = b""


@dataclass(frozen=True)
class WitnessKey:
    """The WITNESS key: its name in notes, its DER SubjectPublicKeyInfo, and how it signs (Ed25519, 64 bytes)."""

    name: str
    spki_der: bytes
    sign: Callable[[bytes], bytes]


class Witness:
    """The witness's memory and its key."""

    def __init__(self, url: str, key: WitnessKey, *, may_create: bool) -> None:
        """Raises WitnessMissing where it does not exist and `may_create` is false (there are leaves already)."""
        self._engine = open_engine(url)
        self._key = key
        self._known: dict[tuple[str, int], Witnessed] = {}  # a courtesy: `advance` compares with the database
        if not inspect(self._engine).has_table("witness"):
            if not may_create:
                raise WitnessMissing(f"no witness at {url}, but records are there: restore the witness's backup")
            _METADATA.create_all(self._engine)

    def last(self, edgehsm_id: str, epoch: int) -> Witnessed:
        """What was seen last of a log; behind another replica for one page at most."""
        known = self._known.get((edgehsm_id, epoch))
        if known is not None:
            return known
        query = select(_WITNESS.c.size, _WITNESS.c.root, _WITNESS.c.note).where(*_is(edgehsm_id, epoch))
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        seen = self._known[edgehsm_id, epoch] = Witnessed(*row) if row else Witnessed()
        return seen

    def advance(self, edgehsm_id: str, epoch: int, before: Witnessed, note: bytes, now: int) -> Witnessed:
        """Cosign EdgeHSM's note (its signature and its growth are checked already) and remember it.

        Raises Refused STATE_CONFLICT if the witness has moved since `before` was read, or would go back.
        """
        checkpoint = parse_note(note).checkpoint
        cosigned = cosign_note(note, self._key.name, self._key.spki_der, self._key.sign, now)
        seen = Witnessed(checkpoint.size, checkpoint.root, cosigned)
        if checkpoint.size <= before.size and before.note:
            raise Refused(Reason.REASON_STATE_CONFLICT, f"the witness stands at {before.size}", "witness")
        values = {"size": seen.size, "root": seen.root, "note": seen.note}
        with self._engine.execution_options(obis_writes=True).begin() as connection:
            if before.note:
                moved = update(_WITNESS).where(*_is(edgehsm_id, epoch), _WITNESS.c.size == before.size).values(values)
                changed = connection.execute(moved).rowcount
            else:
                known = connection.execute(select(_WITNESS.c.size).where(*_is(edgehsm_id, epoch))).first()
                changed = 0 if known else 1
                if changed:
                    connection.execute(insert(_WITNESS).values(edgehsm_id=edgehsm_id, epoch=epoch, **values))
        if changed != 1:
            self._known.pop((edgehsm_id, epoch), None)
            raise Refused(Reason.REASON_STATE_CONFLICT, "another replica moved the witness first", "witness")
        self._known[edgehsm_id, epoch] = seen
        return seen

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()


def witness_url(data: Path) -> str:
    """Where the witness lives by default: beside the records, in a file of its own."""
    return f"sqlite:///{data / 'witness.db'}"


def _is(edgehsm_id: str, epoch: int) -> tuple[ColumnElement[bool], ...]:
    return (_WITNESS.c.edgehsm_id == edgehsm_id, _WITNESS.c.epoch == epoch)
