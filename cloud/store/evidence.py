"""Tables of what EdgeHSMs logged: leaves, checkpoints, what could not be read, what contradicts, and the records folded.

Leaves and checkpoints are keyed by (EdgeHSM, epoch, index or size): arriving again, they are the same row.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from cloud.store.columns import int64


class LogRow(SQLModel, table=True):
    """How far one log is here. `repeats` counts leaves that came again and changed nothing."""

    __tablename__ = "logs"
    edgehsm_id: str = Field(primary_key=True, max_length=32)
    epoch: int = int64(key=True)
    size: int = int64(0)
    repeats: int = int64(0)


class LeafRow(SQLModel, table=True):
    """One leaf, the exact bytes and their hash (SHA-256(0x00 || leaf))."""

    __tablename__ = "leaves"
    edgehsm_id: str = Field(primary_key=True, max_length=32)
    epoch: int = int64(key=True)
    index: int = int64(key=True)
    leaf_hash: bytes = Field(max_length=32)
    leaf: bytes


class CheckpointRow(SQLModel, table=True):
    """Where a page ended: EdgeHSM's signed note, and the tree's frontier there (32 bytes a hash)."""

    __tablename__ = "checkpoints"
    edgehsm_id: str = Field(primary_key=True, max_length=32)
    epoch: int = int64(key=True)
    size: int = int64(key=True)
    frontier: bytes
    note: bytes
    received_at: int = int64()


class QuarantineRow(SQLModel, table=True):
    """A leaf that is in the log and cannot be read: kept, counted, folded into no record."""

    __tablename__ = "quarantined_leaves"
    edgehsm_id: str = Field(primary_key=True, max_length=32)
    epoch: int = int64(key=True)
    index: int = int64(key=True)
    why: str = Field(max_length=200)


class ForkRow(SQLModel, table=True):
    """The other branch of a log that forked or went back: the page as it came, beside the leaves kept before."""

    __tablename__ = "forks"
    edgehsm_id: str = Field(primary_key=True, max_length=32)
    epoch: int = int64(key=True)
    page_digest: bytes = Field(primary_key=True, max_length=32)
    page: bytes
    what: str = Field(max_length=200)
    held_size: int = int64()
    received_at: int = int64()


class RecordRow(SQLModel, table=True):
    """A Production Record: the fold of one device's leaves in one log. `cursor` rises with every change of any record."""

    __tablename__ = "records"
    __table_args__ = (Index("ix_records_factory_product", "factory_id", "product_id"),)
    edgehsm_id: str = Field(primary_key=True, max_length=32)
    epoch: int = int64(key=True)
    soc: str = Field(primary_key=True, max_length=32)
    uid: bytes = Field(primary_key=True, max_length=32, index=True)
    cursor: int = Field(sa_type=BigInteger, index=True)
    auth_id: bytes = Field(default=b"", max_length=16, index=True)
    batch_id: bytes = Field(default=b"", max_length=16, index=True)
    product_id: bytes = Field(default=b"", max_length=16)
    factory_id: str = Field(max_length=32)
    dac_serial: bytes = Field(default=b"", max_length=20, index=True)
    dac_der: bytes = b""
    leaf_indexes: bytes = b""
    issued_at: int = int64(0)
    last_outcome: int = 0
    debug_open: bool = False
    scrapped: bool = False
    evidence: int = 0
    failure: str = Field(default="", max_length=64)
    lifecycle: int = 0
    debug_sessions: int = 0
    firmware_digest: bytes = Field(default=b"", max_length=32)
    recorded_at: int = int64()
    lag_ms: int = Field(default=0, sa_type=BigInteger, index=True)


class RefusalCountRow(SQLModel, table=True):
    """Refusals at the gate by site, product (empty where none was named) and reason."""

    __tablename__ = "gate_refusals"
    factory_id: str = Field(primary_key=True, max_length=32)
    product_id: bytes = Field(primary_key=True, max_length=16)
    reason: int = Field(primary_key=True)
    count: int = int64(0)


class CounterRow(SQLModel, table=True):
    """A number that only rises: `record` is the last cursor given to a record."""

    __tablename__ = "counters"
    name: str = Field(primary_key=True, max_length=32)
    value: int = int64(0)
