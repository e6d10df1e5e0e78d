"""What was logged."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("edgehsm_id", sa.String(32), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("edgehsm_id", "epoch", "size", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.create_table(
        "forks",
        sa.Column("edgehsm_id", sa.String(32), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("page_digest", sa.LargeBinary(), nullable=False),
        sa.Column("page", sa.LargeBinary(), nullable=False),
        sa.Column("what", sa.String(200), nullable=False),
        sa.Column("held_size", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("edgehsm_id", "epoch", "page_digest", name=op.f("pk_forks")),
    )
    op.create_table(
        "gate_refusals",
        sa.Column("factory_id", sa.String(32), nullable=False),
        sa.Column("product_id", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.Integer(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("factory_id", "product_id", "reason", name=op.f("pk_gate_refusals")),
    )
    op.create_table(
        "leaves",
        sa.Column("edgehsm_id", sa.String(32), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("edgehsm_id", "epoch", "index", name=op.f("pk_leaves")),
    )
    op.create_table(
        "logs",
        sa.Column("edgehsm_id", sa.String(32), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("repeats", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("edgehsm_id", "epoch", name=op.f("pk_logs")),
    )
    op.create_table(
        "quarantined_leaves",
        sa.Column("edgehsm_id", sa.String(32), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("edgehsm_id", "epoch", "index", name=op.f("pk_quarantined_leaves")),
    )
    op.create_table(
        "records",
        sa.Column("edgehsm_id", sa.String(32), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("soc", sa.String(32), nullable=False),
        sa.Column("uid", sa.LargeBinary(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("auth_id", sa.LargeBinary(), nullable=False),
        sa.Column("batch_id", sa.LargeBinary(), nullable=False),
        sa.Column("product_id", sa.LargeBinary(), nullable=False),
        sa.Column("factory_id", sa.String(32), nullable=False),
        sa.Column("dac_serial", sa.LargeBinary(), nullable=False),
        sa.Column("dac_der", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_indexes", sa.LargeBinary(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("last_outcome", sa.Integer(), nullable=False),
        sa.Column("debug_open", sa.Boolean(), nullable=False),
        sa.Column("scrapped", sa.Boolean(), nullable=False),
        sa.Column("evidence", sa.Integer(), nullable=False),
        sa.Column("failure", sa.String(64), nullable=False),
        sa.Column("lifecycle", sa.Integer(), nullable=False),
        sa.Column("debug_sessions", sa.Integer(), nullable=False),
        sa.Column("firmware_digest", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("lag_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("edgehsm_id", "epoch", "soc", "uid", name=op.f("pk_records")),
    )
    with op.batch_alter_table("records", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_records_auth_id"), ["auth_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_records_batch_id"), ["batch_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_records_cursor"), ["cursor"], unique=False)
        batch_op.create_index(batch_op.f("ix_records_dac_serial"), ["dac_serial"], unique=False)
        batch_op.create_index("ix_records_factory_product", ["factory_id", "product_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_records_lag_ms"), ["lag_ms"], unique=False)
        batch_op.create_index(batch_op.f("ix_records_uid"), ["uid"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("records", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_records_uid"))
        batch_op.drop_index(batch_op.f("ix_records_lag_ms"))
        batch_op.drop_index("ix_records_factory_product")
        batch_op.drop_index(batch_op.f("ix_records_dac_serial"))
        batch_op.drop_index(batch_op.f("ix_records_cursor"))
        batch_op.drop_index(batch_op.f("ix_records_batch_id"))
        batch_op.drop_index(batch_op.f("ix_records_auth_id"))

    op.drop_table("records")
    op.drop_table("quarantined_leaves")
    op.drop_table("logs")
    op.drop_table("leaves")
    op.drop_table("gate_refusals")
    op.drop_table("forks")
    op.drop_table("counters")
    op.drop_table("checkpoints")
