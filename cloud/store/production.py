"""Tables of Production Batches, the PAIs they issue under, and what is on its way to EdgeHSMs."""

from __future__ import annotations

from sqlalchemy import Boolean, UniqueConstraint
from sqlmodel import Field, SQLModel

from cloud.store.columns import int64


class BatchRow(SQLModel, table=True):
    """A Production Batch and its Authorization; `state` is a BatchState. The last three counts follow the records."""

    __tablename__ = "batches"
    __table_args__ = (
        UniqueConstraint("organisation_id", "request_id"),
        UniqueConstraint("edgehsm_id", "epoch", "sequence"),
    )
    batch_id: bytes = Field(primary_key=True, max_length=16)
    request_id: bytes = Field(max_length=16)
    request_digest: bytes = Field(max_length=32)
    organisation_id: str = Field(foreign_key="organisations.organisation_id", max_length=32)
    created_by: str = Field(max_length=64)
    created_at: int = int64()
    product_id: bytes = Field(foreign_key="products.product_id", max_length=16, index=True)
    version_id: bytes = Field(foreign_key="versions.version_id", max_length=16)
    grant_digest: bytes = Field(foreign_key="grants.grant_digest", max_length=32)
    factory_id: str = Field(max_length=32)
    edgehsm_id: str = Field(max_length=32)
    epoch: int = int64()
    quantity: int = int64()
    starts_at: int = int64()
    ends_at: int = int64()
    state: int
    auth_id: bytes = Field(max_length=16, unique=True)
    sequence: int = int64()
    serial_prefix: bytes = Field(max_length=12, unique=True)
    authorization: bytes
    delivery_number: int = int64()
    refusal: str = Field(default="", max_length=64)
    issued: int = int64(0)
    passed: int = int64(0)
    failed: int = int64(0)


class PaiRow(SQLModel, table=True):
    """A PAI key an EdgeHSM made for a product; `cert_der` is empty while it waits for the vault."""

    __tablename__ = "pais"
    edgehsm_id: str = Field(primary_key=True, max_length=32)
    epoch: int = int64(key=True)
    product_id: bytes = Field(primary_key=True, foreign_key="products.product_id", max_length=16)
    grant_digest: bytes = Field(foreign_key="grants.grant_digest", max_length=32)
    request: bytes
    request_digest: bytes = Field(max_length=32)
    requested_at: int = int64()
    cert_der: bytes = b""
    certified_at: int = int64(0)
    act: bytes = b""
    refusal: str = Field(default="", max_length=64)


class DeliveryRow(SQLModel, table=True):
    """One Delivery for one EdgeHSM and epoch: the exact message, and what became of it (`accepted` NULL: not yet).

    `kind` is the name of the content's field, `subject` the id of what it is about (auth_id, grant digest, product_id).
    """

    __tablename__ = "deliveries"
    edgehsm_id: str = Field(primary_key=True, max_length=32)
    epoch: int = int64(key=True)
    number: int = int64(key=True)
    kind: str = Field(max_length=32)
    subject: bytes = Field(default=b"", max_length=32, index=True)
    content: bytes
    queued_at: int = int64()
    accepted: bool | None = Field(default=None, sa_type=Boolean, nullable=True)
    reason: str = Field(default="", max_length=64)
    what: str = Field(default="", max_length=500)
    result_at: int = int64(0)
