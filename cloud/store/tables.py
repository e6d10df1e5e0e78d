"""Every table of the cloud's database in one metadata: what alembic compares and tests create.

A module with tables is imported here, or its tables do not exist.
"""

from __future__ import annotations

from cloud.store import catalogue, evidence, governance, people, production, sites
from cloud.store.columns import METADATA

__all__ = ["METADATA", "catalogue", "evidence", "governance", "people", "production", "sites"]
