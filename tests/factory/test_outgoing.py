"""Waiting pages are joined without losing, moving or inventing a leaf."""

import pytest

from factory.buffer import Buffer, LogId, StoredPage
from factory.outgoing import joined
from obis.v1.delivery_pb2 import LogPage
from tests.fakes.log import FakeLog

LOG = LogId("edge-1", 1)


@pytest.fixture
def log():
    log = FakeLog()
    log.start()
    return log.make(*range(10))


@pytest.fixture
def buffer(tmp_path, log):
    buffer = Buffer(tmp_path / "buffer.db")
    buffer.know(LOG)
    for first in range(0, log.size, 4):
        page = log.page(first, 4)
        buffer.append_page(LOG, StoredPage(first, first + len(page.leaves), page.SerializeToString()))
    yield buffer
    buffer.close()


@pytest.mark.parametrize(("index", "first"), [(0, 0), (4, 4), (9, 8), (20, 20)])
def test_pages_from_an_index_on_become_one(buffer, log, index, first):
    page = joined(buffer, LOG, index, 500)

    assert page.first_index == first
    assert list(page.leaves) == log.leaves[first:]
    assert page.checkpoint == log.note()
    assert not page.consistency_proof or first == 20


def test_joining_stops_at_the_limit_and_a_page_alone_is_as_edgehsm_gave_it(buffer, log):
    assert len(joined(buffer, LOG, 0, 10).leaves) == 8
    assert joined(buffer, LOG, 4, 1) == log.page(4, 4)
    assert joined(buffer, LOG, log.size, 500) is None


def test_a_message_stays_below_its_limit(tmp_path):
    buffer = Buffer(tmp_path / "large.db")
    buffer.know(LOG)
    for at in range(40):
        page = LogPage(edgehsm_id="edge-1", epoch=1, first_index=at, leaves=[bytes(60_000)], checkpoint=b"note")
        buffer.append_page(LOG, StoredPage(at, at + 1, page.SerializeToString()))

    assert 800_000 < joined(buffer, LOG, 0, 500).ByteSize() < 1 << 20
    buffer.close()
