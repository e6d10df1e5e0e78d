"""Tables of what people sign: trust roots, proposals with their signatures, and the Grants that came of them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from cloud.store.columns import int64


class TrustRootRow(SQLModel, table=True):
    """One version of the trust root, as the envelope people signed."""

    __tablename__ = "trust_roots"
    version: int = int64(key=True)
    payload_digest: bytes = Field(max_length=32)
    envelope: bytes
    stored_at: int = int64()


class CertificateRow(SQLModel, table=True):
    """A public certificate by name: `site-root`, `transport-ca`, and each PAA as `paa`."""

    __tablename__ = "certificates"
    digest: bytes = Field(primary_key=True, max_length=32)
    name: str = Field(max_length=32, index=True)
    der: bytes


class ProposalRow(SQLModel, table=True):
    """Bytes that do not change, on their way to a quorum; `subject` is the id of what they are about."""

    __tablename__ = "proposals"
    proposal_id: bytes = Field(primary_key=True, max_length=16)
    payload_type: str = Field(max_length=128)
    role: int
    threshold: int
    payload: bytes
    payload_digest: bytes = Field(max_length=32, unique=True)
    subject: bytes = Field(max_length=64, index=True)
    title: str = Field(max_length=200)
    state: int = Field(index=True)
    proposer: str = Field(max_length=64)
    proposed_at: int = int64()
    closed_at: int = int64(0)


class ProposalSignatureRow(SQLModel, table=True):
    """One person's signature (an encoded Sig); the second key stops the same person from counting twice."""

    __tablename__ = "proposal_signatures"
    proposal_id: bytes = Field(primary_key=True, foreign_key="proposals.proposal_id", max_length=16)
    person_id: str = Field(primary_key=True, max_length=64)
    key_id: str = Field(max_length=64)
    signature: bytes
    signed_at: int = int64()


class GrantRow(SQLModel, table=True):
    """A Grant people signed, and what of it is promised to batches."""

    __tablename__ = "grants"
    __table_args__ = (
        UniqueConstraint("product_id", "sequence"),
        CheckConstraint("batched_quantity <= total_quantity", name="batched_within_total"),
    )
    grant_digest: bytes = Field(primary_key=True, max_length=32)
    grant_id: bytes = Field(max_length=16, unique=True)
    product_id: bytes = Field(foreign_key="products.product_id", max_length=16)
    version_id: bytes = Field(foreign_key="versions.version_id", max_length=16, index=True)
    sequence: int = int64()
    total_quantity: int = int64()
    batched_quantity: int = int64(0)
    envelope: bytes
    signed_at: int = int64()


class GrantShareRow(SQLModel, table=True):
    """One EdgeHSM's share of a Grant, and what of it is promised to batches."""

    __tablename__ = "grant_shares"
    __table_args__ = (CheckConstraint("batched_quantity <= max_quantity", name="batched_within_share"),)
    grant_digest: bytes = Field(primary_key=True, foreign_key="grants.grant_digest", max_length=32)
    edgehsm_id: str = Field(primary_key=True, max_length=32)
    epoch: int = int64(key=True)
    factory_id: str = Field(max_length=32)
    max_quantity: int = int64()
    batched_quantity: int = int64(0)
