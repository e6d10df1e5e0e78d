"""Tables of factories, the EdgeHSMs in them, and the tickets they came with."""

from __future__ import annotations

from sqlmodel import Field, SQLModel

from cloud.store.columns import int64


class FactoryRow(SQLModel, table=True):
    """A factory and the ODM that runs it. `last_heard_at` and `connected` are the link's."""

    __tablename__ = "factories"
    factory_id: str = Field(primary_key=True, max_length=32)
    organisation_id: str = Field(foreign_key="organisations.organisation_id", max_length=32, index=True)
    created_at: int = int64()
    last_heard_at: int = int64(0)
    connected: bool = False


class EdgeHsmRow(SQLModel, table=True):
    """One EdgeHSM in one epoch: what it asked, what people approved, what it got. `state` is an EdgeHsmState.

    `authorization_sequence` and `delivery_number` are the last ones used: both rise without a gap. `log_size` and
    `last_page_at` are the witness's.
    """

    __tablename__ = "edgehsms"
    edgehsm_id: str = Field(primary_key=True, max_length=32)
    epoch: int = int64(key=True)
    factory_id: str = Field(foreign_key="factories.factory_id", max_length=32, index=True)
    state: int
    request: bytes
    request_digest: bytes = Field(max_length=32)
    keys: bytes
    key_fingerprint: bytes = Field(max_length=32)
    assurance: int
    ticket_id: bytes = Field(max_length=16)
    requested_at: int = int64()
    approval: bytes = b""
    approval_digest: bytes = Field(default=b"", max_length=32)
    identity_cert_der: bytes = b""
    site_ca_cert_der: bytes = b""
    authorization_sequence: int = int64(0)
    delivery_number: int = int64(0)
    log_size: int = int64(0)
    last_page_at: int = int64(0)


class UsedTicketRow(SQLModel, table=True):
    """A ticket that was used, and by which key: the same key may ask again, another may not."""

    __tablename__ = "used_tickets"
    ticket_id: bytes = Field(primary_key=True, max_length=16)
    subject: int
    factory_id: str = Field(max_length=32)
    edgehsm_id: str = Field(default="", max_length=32)
    user_digest: bytes = Field(max_length=32)
    used_at: int = int64()
