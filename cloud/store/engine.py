"""Opens the database and runs work in transactions.

1. A write is one transaction: it commits when the work returns and leaves nothing behind when it raises.
2. SQLite writes begin with BEGIN IMMEDIATE, one at a time, so that none fails halfway because another came first; WAL
   lets reads go on meanwhile; synchronous=FULL keeps what was answered.
3. `Store.read` sees one snapshot and never writes.
4. The store refuses to open a database whose revision is not this program's (see `migrate`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, event
from sqlmodel import Session, create_engine

from cloud.store import migrate
from cloud.store.tables import METADATA
from cloud.store.wake import Notifier, wakes_of

_T = TypeVar("_T")
_WRITES: Final = "obis_writes"
_BUSY_SECONDS: Final = 30
_THREADS: Final = 8


class Store:
    """One database. `engine` is for bulk work; everything else goes through `read` and `write`.

    `notifier` tells waiters of this process what was committed (see `wake`).
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.notifier = Notifier()
        self._writing = engine.execution_options(**{_WRITES: True})
        self._one_writer: threading.Lock | None = threading.Lock() if engine.dialect.name == "sqlite" else None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session whose transaction commits at the end, or not at all."""
        with self._one_writer or nullcontext(), Session(self._writing, expire_on_commit=False) as session:
            session.connection()
            yield session
            session.commit()
        self.notifier.wake(wakes_of(session))

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session over one snapshot; what is changed in it is dropped."""
        with Session(self.engine, expire_on_commit=False, autoflush=False) as session:
            yield session

    async def write(self, work: Callable[[Session], _T]) -> _T:
        """`work(session)` in one transaction, on another thread."""
        return await self._run(self._write, work)

    async def read(self, work: Callable[[Session], _T]) -> _T:
        """`work(session)` over one snapshot, on another thread."""
        return await self._run(self._read, work)

    def close(self) -> None:
        """Wait for what runs, then let go of the database."""
        self._threads.shutdown()
        self.engine.dispose()

    def _write(self, work: Callable[[Session], _T]) -> _T:
        with self.writing() as session:
            return work(session)

    def _read(self, work: Callable[[Session], _T]) -> _T:
        with self.reading() as session:
            return work(session)

    async def _run(self, how: Callable[[Callable[[Session], _T]], _T], work: Callable[[Session], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, how, work)


def open_store(url: str) -> Store:
    """The store at a database URL (`sqlite:///…`); raises WrongRevision where `migrate` has not been run."""
    engine = open_engine(url)
    migrate.require_current(engine)
    return Store(engine)


def open_engine(url: str) -> Engine:
    """An engine that begins transactions the way this module promises."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def create_tables(engine: Engine) -> None:
    """Every table as the models say, without history: for tests that need no migration."""
    METADATA.create_all(engine)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says, not where sqlite3 guesses
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_SECONDS * 1000}"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
