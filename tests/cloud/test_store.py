"""The store keeps its four promises on a real file."""

import asyncio
import re
import threading

import pytest
from alembic import command
from sqlalchemy import BigInteger, Integer, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateTable
from sqlmodel import select

from cloud.store import migrate, open_store
from cloud.store.engine import Store, open_engine
from cloud.store.people import OrganisationRow
from cloud.store.tables import METADATA
from cloud.store.wake import wake_after_commit

# What may pass 2^31: counts, times, places in a log.
COUNTER = re.compile(r"(quantity|_at|size|number|sequence|epoch|index|cursor|issued|passed|failed)$")


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'cloud.db'}"


@pytest.fixture
def store(url):
    engine = open_engine(url)
    migrate.upgrade(engine)
    store = Store(engine)
    yield store
    store.close()


def organisation(name="oem"):
    return OrganisationRow(organisation_id=name, name=name, kind=1, created_at=1)


def test_a_write_that_raises_leaves_nothing(store):
    with pytest.raises(ZeroDivisionError), store.writing() as session:
        session.add(organisation())
        session.flush()
        raise ZeroDivisionError

    with store.reading() as session:
        assert session.exec(select(OrganisationRow)).all() == []


def test_writers_wait_for_one_another_and_readers_do_not(store):
    def count_up():
        with store.writing() as session:
            row = session.get(OrganisationRow, "oem")
            row.created_at += 1
            session.add(row)

    with store.writing() as session:
        session.add(organisation())
    threads = [threading.Thread(target=count_up) for _ in range(16)]
    with store.writing(), store.reading() as session:
        for thread in threads:
            thread.start()
        assert session.get(OrganisationRow, "oem").created_at == 1
    for thread in threads:
        thread.join()

    with store.reading() as session:
        assert session.get(OrganisationRow, "oem").created_at == 17


def test_a_database_without_migrations_is_not_opened(url):
    with pytest.raises(migrate.WrongRevision, match="migrate"):
        open_store(url)


def test_tables_are_what_the_migrations_make_and_the_way_back_works(url):
    engine = open_engine(url)
    migrate.upgrade(engine)
    with engine.begin() as connection:
        config = migrate.alembic_config()
        config.attributes["connection"] = connection
        command.check(config)
        command.downgrade(config, "base")
        command.upgrade(config, "head")
    engine.dispose()


def test_what_was_stored_before_a_migration_is_there_after_it(url):
    engine = open_engine(url)
    config = migrate.alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text("INSERT INTO organisations VALUES ('oem', 'Acme', 1, 5)"))
    with pytest.raises(migrate.WrongRevision, match="0001"):
        migrate.require_current(engine)

    migrate.upgrade(engine)

    store = open_store(url)
    with store.reading() as session:
        assert session.get(OrganisationRow, "oem").name == "Acme"
    store.close()
    engine.dispose()


def test_a_foreign_key_is_a_promise(store):
    from cloud.store.people import PersonRow

    with pytest.raises(IntegrityError), store.writing() as session:
        session.add(PersonRow(person_id="ann", organisation_id="nobody", enrolled_at=1))


@pytest.mark.parametrize("table", METADATA.sorted_tables, ids=str)
def test_no_table_rules_out_a_distributed_postgresql(table):
    """Keys are given, not counted up by one node; numbers are as wide as the contract's."""
    ddl = str(CreateTable(table).compile(dialect=postgresql.dialect()))

    assert "SERIAL" not in ddl
    assert table.primary_key.columns
    counters = [c for c in table.columns if COUNTER.search(c.name) and isinstance(c.type, Integer)]
    assert [c.name for c in counters if not isinstance(c.type, BigInteger)] == []


async def test_who_listens_wakes_after_the_commit_and_not_without_one(store):
    with store.notifier.listening("pai") as listener:
        with pytest.raises(ZeroDivisionError):
            await store.write(lambda session: [wake_after_commit(session, "pai"), 1 // 0])
        assert not await listener.wait(0.05)

        await store.write(lambda session: wake_after_commit(session, "pai"))

        assert await asyncio.wait_for(listener.wait(2), 2)
