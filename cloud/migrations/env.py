"""Alembic's entry: migrates the connection it is handed, in batch mode so that SQLite can alter tables."""

from __future__ import annotations

from alembic import context

from cloud.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
