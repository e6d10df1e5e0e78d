"""Brings a database to this program's revision, and refuses to work on any other.

Migrations never run by themselves: `python -m cloud migrate` runs them, `serve` only looks. Two migrations at once are
kept apart by an advisory lock on PostgreSQL and by SQLite's own write lock.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

_SCRIPTS = Path(__file__).parents[1] / "migrations"
_LOCK = 0x0B15  # any number, the same in every replica


class WrongRevision(RuntimeError):
    """The database was made by another version of this program."""


def upgrade(engine: Engine) -> None:
    """Run every migration that the database has not seen."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def require_current(engine: Engine) -> None:
    """Raises WrongRevision unless the database is at this program's head."""
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found != head:
        raise WrongRevision(
            f"the database is at revision {found or 'none'}, this program needs {head}: run `python -m cloud migrate`"
        )


def alembic_config() -> Config:
    """Alembic's configuration without a file: the scripts stand beside the tables they change."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config
