"""Column forms every table uses, so that no table chooses a narrower one by accident.

Times are Unix seconds in 64 bits; quantities are 64 bits (SQLModel's default is 32); ids are the bytes of the contract.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, MetaData
from sqlmodel import Field, SQLModel

# Constraints have names that do not depend on the database, so that a migration can find them again.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
METADATA: MetaData = SQLModel.metadata


def int64(default: int | None = None, *, key: bool = False) -> Any:
    """A 64-bit integer column; as a key it is given, never counted up by the database."""
    if key:
        return Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    if default is None:
        return Field(sa_type=BigInteger)
    return Field(default=default, sa_type=BigInteger)


def maybe_int64() -> Any:
    """A 64-bit integer column that may be NULL."""
    return Field(default=None, sa_type=BigInteger, nullable=True)
