"""People, products and sites."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "artifacts",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_artifacts")),
    )
    op.create_table(
        "organisations",
        sa.Column("organisation_id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", name=op.f("pk_organisations")),
    )
    op.create_table(
        "products",
        sa.Column("product_id", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("vendor_id", sa.Integer(), nullable=False),
        sa.Column("product_code", sa.Integer(), nullable=False),
        sa.Column("lifetime_quantity", sa.BigInteger(), nullable=False),
        sa.Column("granted_quantity", sa.BigInteger(), nullable=False),
        sa.Column("batched_quantity", sa.BigInteger(), nullable=False),
        sa.Column("issued_quantity", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.LargeBinary(), nullable=False),
        sa.Column("rule_digest", sa.LargeBinary(), nullable=False),
        sa.Column("paa_cert_digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("batched_quantity <= granted_quantity", name=op.f("ck_products_batched_within_granted")),
        sa.CheckConstraint("granted_quantity <= lifetime_quantity", name=op.f("ck_products_granted_within_lifetime")),
        sa.PrimaryKeyConstraint("product_id", name=op.f("pk_products")),
    )
    with op.batch_alter_table("products", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_products_name"), ["name"], unique=False)

    op.create_table(
        "transport_certificates",
        sa.Column("serial", sa.String(40), nullable=False),
        sa.Column("uri", sa.String(160), nullable=False),
        sa.Column("spki_digest", sa.LargeBinary(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("proof", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_transport_certificates")),
    )
    with op.batch_alter_table("transport_certificates", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_transport_certificates_uri"), ["uri"], unique=False)

    op.create_table(
        "used_tickets",
        sa.Column("ticket_id", sa.LargeBinary(), nullable=False),
        sa.Column("subject", sa.Integer(), nullable=False),
        sa.Column("factory_id", sa.String(32), nullable=False),
        sa.Column("edgehsm_id", sa.String(32), nullable=False),
        sa.Column("user_digest", sa.LargeBinary(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ticket_id", name=op.f("pk_used_tickets")),
    )
    op.create_table(
        "factories",
        sa.Column("factory_id", sa.String(32), nullable=False),
        sa.Column("organisation_id", sa.String(32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_heard_at", sa.BigInteger(), nullable=False),
        sa.Column("connected", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.organisation_id"], name=op.f("fk_factories_organisation_id")
        ),
        sa.PrimaryKeyConstraint("factory_id", name=op.f("pk_factories")),
    )
    with op.batch_alter_table("factories", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_factories_organisation_id"), ["organisation_id"], unique=False)

    op.create_table(
        "firmware",
        sa.Column("product_id", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("organisation_id", sa.String(32), nullable=False),
        sa.Column("uploaded_by", sa.String(64), nullable=False),
        sa.Column("uploaded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["artifacts.digest"], name=op.f("fk_firmware_digest")),
        sa.ForeignKeyConstraint(["product_id"], ["products.product_id"], name=op.f("fk_firmware_product_id")),
        sa.PrimaryKeyConstraint("product_id", "digest", "organisation_id", name=op.f("pk_firmware")),
    )
    op.create_table(
        "invitations",
        sa.Column("token_digest", sa.LargeBinary(), nullable=False),
        sa.Column("organisation_id", sa.String(32), nullable=False),
        sa.Column("person_id", sa.String(64), nullable=False),
        sa.Column("invited_by", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.organisation_id"], name=op.f("fk_invitations_organisation_id")
        ),
        sa.PrimaryKeyConstraint("token_digest", name=op.f("pk_invitations")),
    )
    op.create_table(
        "persons",
        sa.Column("person_id", sa.String(64), nullable=False),
        sa.Column("organisation_id", sa.String(32), nullable=False),
        sa.Column("enrolled_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.organisation_id"], name=op.f("fk_persons_organisation_id")
        ),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_persons")),
    )
    with op.batch_alter_table("persons", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_persons_organisation_id"), ["organisation_id"], unique=False)

    op.create_table(
        "versions",
        sa.Column("version_id", sa.LargeBinary(), nullable=False),
        sa.Column("product_id", sa.LargeBinary(), nullable=False),
        sa.Column("organisation_id", sa.String(32), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(64), nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("version_digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("rejection", sa.String(500), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.organisation_id"], name=op.f("fk_versions_organisation_id")
        ),
        sa.ForeignKeyConstraint(["product_id"], ["products.product_id"], name=op.f("fk_versions_product_id")),
        sa.PrimaryKeyConstraint("version_id", name=op.f("pk_versions")),
        sa.UniqueConstraint("product_id", "version_digest", name=op.f("uq_versions_product_id_version_digest")),
    )
    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_versions_product_id"), ["product_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_versions_version_digest"), ["version_digest"], unique=False)

    op.create_table(
        "workspaces",
        sa.Column("product_id", sa.LargeBinary(), nullable=False),
        sa.Column("organisation_id", sa.String(32), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.organisation_id"], name=op.f("fk_workspaces_organisation_id")
        ),
        sa.ForeignKeyConstraint(["product_id"], ["products.product_id"], name=op.f("fk_workspaces_product_id")),
        sa.PrimaryKeyConstraint("product_id", "organisation_id", name=op.f("pk_workspaces")),
    )
    op.create_table(
        "edgehsms",
        sa.Column("edgehsm_id", sa.String(32), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("factory_id", sa.String(32), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("keys", sa.LargeBinary(), nullable=False),
        sa.Column("key_fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("assurance", sa.Integer(), nullable=False),
        sa.Column("ticket_id", sa.LargeBinary(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("approval", sa.LargeBinary(), nullable=False),
        sa.Column("approval_digest", sa.LargeBinary(), nullable=False),
        sa.Column("identity_cert_der", sa.LargeBinary(), nullable=False),
        sa.Column("site_ca_cert_der", sa.LargeBinary(), nullable=False),
        sa.Column("authorization_sequence", sa.BigInteger(), nullable=False),
        sa.Column("delivery_number", sa.BigInteger(), nullable=False),
        sa.Column("log_size", sa.BigInteger(), nullable=False),
        sa.Column("last_page_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["factory_id"], ["factories.factory_id"], name=op.f("fk_edgehsms_factory_id")),
        sa.PrimaryKeyConstraint("edgehsm_id", "epoch", name=op.f("pk_edgehsms")),
    )
    with op.batch_alter_table("edgehsms", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_edgehsms_factory_id"), ["factory_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("edgehsms", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_edgehsms_factory_id"))

    op.drop_table("edgehsms")
    op.drop_table("workspaces")
    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_versions_version_digest"))
        batch_op.drop_index(batch_op.f("ix_versions_product_id"))

    op.drop_table("versions")
    with op.batch_alter_table("persons", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_persons_organisation_id"))

    op.drop_table("persons")
    op.drop_table("invitations")
    op.drop_table("firmware")
    with op.batch_alter_table("factories", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_factories_organisation_id"))

    op.drop_table("factories")
    op.drop_table("used_tickets")
    with op.batch_alter_table("transport_certificates", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_transport_certificates_uri"))

    op.drop_table("transport_certificates")
    with op.batch_alter_table("products", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_products_name"))

    op.drop_table("products")
    op.drop_table("organisations")
    op.drop_table("artifacts")
