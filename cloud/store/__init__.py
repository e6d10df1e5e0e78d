"""What the cloud keeps: tables, the engine, and the one way into a transaction.

`Store.read` and `Store.write` run a function with a session on the store's own threads, so that the event loop never
waits for a disk. Everything here also runs on PostgreSQL and its distributed relatives: natural keys only, no
auto-increment, no timestamps with zones, counters of 64 bits, and every limit as a guarded UPDATE with a CHECK behind.
"""

from cloud.store.engine import Store, open_store

__all__ = ["Store", "open_store"]
