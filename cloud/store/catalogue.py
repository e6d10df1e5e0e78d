"""Tables of products, the workspaces around them, their versions and the files those name."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from cloud.store.columns import int64


class ProductRow(SQLModel, table=True):
    """A product. Everything but the counters is fixed by its ProductRule; `rule` is empty until the quorum signed."""

    __tablename__ = "products"
    __table_args__ = (
        CheckConstraint("granted_quantity <= lifetime_quantity", name="granted_within_lifetime"),
        CheckConstraint("batched_quantity <= granted_quantity", name="batched_within_granted"),
    )
    product_id: bytes = Field(primary_key=True, max_length=16)
    name: str = Field(max_length=64, index=True)
    vendor_id: int
    product_code: int
    lifetime_quantity: int = int64(0)
    granted_quantity: int = int64(0)
    batched_quantity: int = int64(0)
    issued_quantity: int = int64(0)
    rule: bytes = b""
    rule_digest: bytes = Field(default=b"", max_length=32)
    paa_cert_digest: bytes = Field(max_length=32)
    created_at: int = int64()


class MembershipRow(SQLModel, table=True):
    """An ODM in a product's workspace; `state` is a MembershipState."""

    __tablename__ = "workspaces"
    product_id: bytes = Field(primary_key=True, foreign_key="products.product_id", max_length=16)
    organisation_id: str = Field(primary_key=True, foreign_key="organisations.organisation_id", max_length=32)
    state: int
    changed_at: int = int64()


class ArtifactRow(SQLModel, table=True):
    """A file of `data/artifacts`, by the SHA-256 of its content."""

    __tablename__ = "artifacts"
    digest: bytes = Field(primary_key=True, max_length=32)
    size: int = int64()
    stored_at: int = int64()


class FirmwareRow(SQLModel, table=True):
    """An image one organisation uploaded for a product, with its secure boot signature (empty where the product has no such key)."""

    __tablename__ = "firmware"
    product_id: bytes = Field(primary_key=True, foreign_key="products.product_id", max_length=16)
    digest: bytes = Field(primary_key=True, foreign_key="artifacts.digest", max_length=32)
    organisation_id: str = Field(primary_key=True, max_length=32)
    signature: bytes = b""
    uploaded_by: str = Field(max_length=64)
    uploaded_at: int = int64()


class VersionRow(SQLModel, table=True):
    """A Product Version: exact manifest bytes and where it stands (VersionState)."""

    __tablename__ = "versions"
    __table_args__ = (UniqueConstraint("product_id", "version_digest"),)
    version_id: bytes = Field(primary_key=True, max_length=16)
    product_id: bytes = Field(foreign_key="products.product_id", max_length=16, index=True)
    organisation_id: str = Field(foreign_key="organisations.organisation_id", max_length=32)
    state: int
    label: str = Field(max_length=64)
    manifest: bytes
    version_digest: bytes = Field(max_length=32, index=True)
    created_by: str = Field(max_length=64)
    created_at: int = int64()
    decided_at: int = int64(0)
    rejection: str = Field(default="", max_length=500)
