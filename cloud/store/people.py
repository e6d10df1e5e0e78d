"""Tables of organisations, the people in them, and the transport certificates the cloud gave out."""

from __future__ import annotations

from sqlmodel import Field, SQLModel

from cloud.store.columns import int64, maybe_int64


class OrganisationRow(SQLModel, table=True):
    """A company; `kind` is an OrganisationKind. One OEM a mesh."""

    __tablename__ = "organisations"
    organisation_id: str = Field(primary_key=True, max_length=32)
    name: str = Field(max_length=64)
    kind: int
    created_at: int = int64()


class PersonRow(SQLModel, table=True):
    """A person and the one organisation they act for."""

    __tablename__ = "persons"
    person_id: str = Field(primary_key=True, max_length=64)
    organisation_id: str = Field(foreign_key="organisations.organisation_id", max_length=32, index=True)
    enrolled_at: int = int64()


class InvitationRow(SQLModel, table=True):
    """A single-use invitation; only the SHA-256 of its token is kept."""

    __tablename__ = "invitations"
    token_digest: bytes = Field(primary_key=True, max_length=32)
    organisation_id: str = Field(foreign_key="organisations.organisation_id", max_length=32)
    person_id: str = Field(max_length=64)
    invited_by: str = Field(max_length=64)
    expires_at: int = int64()
    used_at: int | None = maybe_int64()


class TransportCertificateRow(SQLModel, table=True):
    """Every certificate the transport CA signed, by serial in hex: who could have connected, and until when."""

    __tablename__ = "transport_certificates"
    serial: str = Field(primary_key=True, max_length=40)
    uri: str = Field(max_length=160, index=True)
    spki_digest: bytes = Field(max_length=32)
    not_after: int = int64()
    issued_at: int = int64()
    proof: str = Field(max_length=32)
