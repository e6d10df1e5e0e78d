"""Governance and production."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "certificates",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_certificates")),
    )
    with op.batch_alter_table("certificates", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_certificates_name"), ["name"], unique=False)

    op.create_table(
        "deliveries",
        sa.Column("edgehsm_id", sa.String(32), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("queued_at", sa.BigInteger(), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=True),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("what", sa.String(500), nullable=False),
        sa.Column("result_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("edgehsm_id", "epoch", "number", name=op.f("pk_deliveries")),
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deliveries_subject"), ["subject"], unique=False)

    op.create_table(
        "proposals",
        sa.Column("proposal_id", sa.LargeBinary(), nullable=False),
        sa.Column("payload_type", sa.String(128), nullable=False),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.Column("threshold", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("payload_digest", sa.LargeBinary(), nullable=False),
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("proposer", sa.String(64), nullable=False),
        sa.Column("proposed_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("proposal_id", name=op.f("pk_proposals")),
        sa.UniqueConstraint("payload_digest", name=op.f("uq_proposals_payload_digest")),
    )
    with op.batch_alter_table("proposals", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_proposals_state"), ["state"], unique=False)
        batch_op.create_index(batch_op.f("ix_proposals_subject"), ["subject"], unique=False)

    op.create_table(
        "trust_roots",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("payload_digest", sa.LargeBinary(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_trust_roots")),
    )
    op.create_table(
        "proposal_signatures",
        sa.Column("proposal_id", sa.LargeBinary(), nullable=False),
        sa.Column("person_id", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["proposal_id"], ["proposals.proposal_id"], name=op.f("fk_proposal_signatures_proposal_id")
        ),
        sa.PrimaryKeyConstraint("proposal_id", "person_id", name=op.f("pk_proposal_signatures")),
    )
    op.create_table(
        "grants",
        sa.Column("grant_digest", sa.LargeBinary(), nullable=False),
        sa.Column("grant_id", sa.LargeBinary(), nullable=False),
        sa.Column("product_id", sa.LargeBinary(), nullable=False),
        sa.Column("version_id", sa.LargeBinary(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("total_quantity", sa.BigInteger(), nullable=False),
        sa.Column("batched_quantity", sa.BigInteger(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("batched_quantity <= total_quantity", name=op.f("ck_grants_batched_within_total")),
        sa.ForeignKeyConstraint(["product_id"], ["products.product_id"], name=op.f("fk_grants_product_id")),
        sa.ForeignKeyConstraint(["version_id"], ["versions.version_id"], name=op.f("fk_grants_version_id")),
        sa.PrimaryKeyConstraint("grant_digest", name=op.f("pk_grants")),
        sa.UniqueConstraint("grant_id", name=op.f("uq_grants_grant_id")),
        sa.UniqueConstraint("product_id", "sequence", name=op.f("uq_grants_product_id_sequence")),
    )
    with op.batch_alter_table("grants", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_grants_version_id"), ["version_id"], unique=False)

    op.create_table(
        "batches",
        sa.Column("batch_id", sa.LargeBinary(), nullable=False),
        sa.Column("request_id", sa.LargeBinary(), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("organisation_id", sa.String(32), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("product_id", sa.LargeBinary(), nullable=False),
        sa.Column("version_id", sa.LargeBinary(), nullable=False),
        sa.Column("grant_digest", sa.LargeBinary(), nullable=False),
        sa.Column("factory_id", sa.String(32), nullable=False),
        sa.Column("edgehsm_id", sa.String(32), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("auth_id", sa.LargeBinary(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("serial_prefix", sa.LargeBinary(), nullable=False),
        sa.Column("authorization", sa.LargeBinary(), nullable=False),
        sa.Column("delivery_number", sa.BigInteger(), nullable=False),
        sa.Column("refusal", sa.String(64), nullable=False),
        sa.Column("issued", sa.BigInteger(), nullable=False),
        sa.Column("passed", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["grant_digest"], ["grants.grant_digest"], name=op.f("fk_batches_grant_digest")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.organisation_id"], name=op.f("fk_batches_organisation_id")
        ),
        sa.ForeignKeyConstraint(["product_id"], ["products.product_id"], name=op.f("fk_batches_product_id")),
        sa.ForeignKeyConstraint(["version_id"], ["versions.version_id"], name=op.f("fk_batches_version_id")),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_batches")),
        sa.UniqueConstraint("auth_id", name=op.f("uq_batches_auth_id")),
        sa.UniqueConstraint("edgehsm_id", "epoch", "sequence", name=op.f("uq_batches_edgehsm_id_epoch_sequence")),
        sa.UniqueConstraint("organisation_id", "request_id", name=op.f("uq_batches_organisation_id_request_id")),
        sa.UniqueConstraint("serial_prefix", name=op.f("uq_batches_serial_prefix")),
    )
    with op.batch_alter_table("batches", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_batches_product_id"), ["product_id"], unique=False)

    op.create_table(
        "grant_shares",
        sa.Column("grant_digest", sa.LargeBinary(), nullable=False),
        sa.Column("edgehsm_id", sa.String(32), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("factory_id", sa.String(32), nullable=False),
        sa.Column("max_quantity", sa.BigInteger(), nullable=False),
        sa.Column("batched_quantity", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("batched_quantity <= max_quantity", name=op.f("ck_grant_shares_batched_within_share")),
        sa.ForeignKeyConstraint(["grant_digest"], ["grants.grant_digest"], name=op.f("fk_grant_shares_grant_digest")),
        sa.PrimaryKeyConstraint("grant_digest", "edgehsm_id", "epoch", name=op.f("pk_grant_shares")),
    )
    op.create_table(
        "pais",
        sa.Column("edgehsm_id", sa.String(32), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("product_id", sa.LargeBinary(), nullable=False),
        sa.Column("grant_digest", sa.LargeBinary(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("cert_der", sa.LargeBinary(), nullable=False),
        sa.Column("certified_at", sa.BigInteger(), nullable=False),
        sa.Column("act", sa.LargeBinary(), nullable=False),
        sa.Column("refusal", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["grant_digest"], ["grants.grant_digest"], name=op.f("fk_pais_grant_digest")),
        sa.ForeignKeyConstraint(["product_id"], ["products.product_id"], name=op.f("fk_pais_product_id")),
        sa.PrimaryKeyConstraint("edgehsm_id", "epoch", "product_id", name=op.f("pk_pais")),
    )


def downgrade() -> None:
    op.drop_table("pais")
    op.drop_table("grant_shares")
    with op.batch_alter_table("batches", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_batches_product_id"))

    op.drop_table("batches")
    with op.batch_alter_table("grants", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_grants_version_id"))

    op.drop_table("grants")
    op.drop_table("proposal_signatures")
    op.drop_table("trust_roots")
    with op.batch_alter_table("proposals", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_proposals_subject"))
        batch_op.drop_index(batch_op.f("ix_proposals_state"))

    op.drop_table("proposals")
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_deliveries_subject"))

    op.drop_table("deliveries")
    with op.batch_alter_table("certificates", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_certificates_name"))

    op.drop_table("certificates")
