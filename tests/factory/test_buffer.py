"""The buffer keeps its promises: order, no gap, nothing twice, nothing lost."""

import subprocess
import sys

import pytest

from factory.buffer import RETENTION_SECONDS, Buffer, LogId, PageDoesNotFit, StoredPage

LOG = LogId("edge-1", 1)


@pytest.fixture
def buffer(tmp_path):
    buffer = Buffer(tmp_path / "buffer.db")
    buffer.know(LOG)
    yield buffer
    buffer.close()


def test_pages_follow_one_another(buffer):
    assert buffer.append_page(LOG, StoredPage(0, 3, b"one"))
    assert buffer.append_page(LOG, StoredPage(3, 5, b"two"))

    assert buffer.size(LOG) == 5
    assert buffer.page_with(LOG, 2).content == b"one"
    assert buffer.page_with(LOG, 3).content == b"two"
    assert buffer.page_with(LOG, 5) is None


def test_a_page_again_changes_nothing(buffer):
    buffer.append_page(LOG, StoredPage(0, 3, b"one"))

    assert not buffer.append_page(LOG, StoredPage(0, 3, b"other"))
    assert buffer.page_with(LOG, 0).content == b"one"


@pytest.mark.parametrize(("first", "end"), [(4, 6), (2, 6), (0, 6)])
def test_a_gap_or_an_overlap_is_refused(buffer, first, end):
    buffer.append_page(LOG, StoredPage(0, 3, b"one"))

    with pytest.raises(PageDoesNotFit):
        buffer.append_page(LOG, StoredPage(first, end, b"two"))
    assert buffer.size(LOG) == 3


def test_epochs_do_not_touch(buffer):
    later = LogId("edge-1", 2)
    buffer.know(later)
    buffer.append_page(LOG, StoredPage(0, 3, b"one"))
    buffer.append_page(later, StoredPage(0, 1, b"new"))

    assert buffer.latest("edge-1") == later
    assert (buffer.size(LOG), buffer.size(later)) == (3, 1)


def test_a_damaged_page_is_fetched_again(buffer):
    for first, end in ((0, 3), (3, 5), (5, 9)):
        buffer.append_page(LOG, StoredPage(first, end, b"%d" % first))

    buffer.drop_from(LOG, 3)

    assert buffer.size(LOG) == 3
    assert buffer.append_page(LOG, StoredPage(3, 9, b"again"))


def test_a_page_that_rotted_is_fetched_again(buffer):
    for first, end in ((0, 3), (3, 5), (5, 9)):
        buffer.append_page(LOG, StoredPage(first, end, b"%d" % first))
    buffer._database.execute("UPDATE page SET content = x'00' WHERE first_index = 3")

    assert buffer.page_with(LOG, 4) is None
    assert buffer.size(LOG) == 3


def test_old_pages_go_when_the_cloud_has_them_and_the_size_stays(buffer):
    for at in range(5):
        buffer.append_page(LOG, StoredPage(at, at + 1, b"%d" % at), now=1000 + at)
    buffer.keep_cosignature(LOG, 3, b"three")
    later = 1003 + RETENTION_SECONDS

    assert buffer.prune(later) == 3
    assert buffer.prune(later) == 0
    buffer.keep_cosignature(LOG, 5, b"five")
    assert buffer.prune(later + 1000) == 1
    assert buffer.size(LOG) == 5
    assert buffer.page_with(LOG, 0) is None


def test_cosignatures_only_grow(buffer):
    assert buffer.keep_cosignature(LOG, 5, b"five")
    assert not buffer.keep_cosignature(LOG, 3, b"three")

    assert buffer.cosignature(LOG) == (5, b"five")


def test_deliveries_go_in_order_and_once(buffer):
    for number in (1, 3, 2, 2):
        buffer.keep_delivery(LOG, number, b"%d" % number)
    seen = []
    while waiting := buffer.next_delivery(LOG):
        seen.append(waiting[0])
        buffer.keep_result(LOG, waiting[0], b"result %d" % waiting[0])
        buffer.keep_result(LOG, waiting[0], b"another")

    assert seen == [1, 2, 3]
    assert buffer.delivered_up_to(LOG) == 3
    assert buffer.results_after(LOG, 1) == [(2, b"result 2"), (3, b"result 3")]


def test_work_changes_rise_in_revision(buffer):
    assert buffer.keep_work(b"a" * 16, b"order")
    assert not buffer.keep_work(b"a" * 16, b"order")
    buffer.keep_work(b"b" * 16, b"order")
    seen = buffer.work_after(0)[-1].revision

    assert buffer.end_work(b"a" * 16)
    assert not buffer.end_work(b"a" * 16)
    assert [(each.auth_id, each.ended) for each in buffer.work_after(seen)] == [(b"a" * 16, True)]


def test_what_was_kept_survives_a_kill(tmp_path):
    """The writer prints each index after it was kept, and is killed in the middle."""
    script = (
        "import sys; from pathlib import Path; from factory.buffer import *\n"
        "buffer = Buffer(Path(sys.argv[1])); log = LogId('edge-1', 1); buffer.know(log)\n"
        "for at in range(100000):\n"
        "    buffer.append_page(log, StoredPage(at, at + 1, b'x' * 100)); print(at, flush=True)\n"
    )
    path = tmp_path / "killed.db"
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        said = [writer.stdout.readline() for _ in range(50)]
        writer.kill()
        said += writer.stdout.readlines()
    kept = Buffer(path).size(LOG)

    assert int(said[-1]) + 1 <= kept <= int(said[-1]) + 2
