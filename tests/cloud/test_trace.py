"""Trace answers both ways, to whoever may know, and counts what the leaves say."""

import pytest

from cloud import tracing
from cloud.store.people import OrganisationRow
from cloud.viewer import Viewer
from obis.refusal import Refused
from obis.v1.leaf_pb2 import DebugClosedLeaf, DebugOpenedLeaf, RefusedLeaf
from obis.v1.organisations_pb2 import OrganisationKind
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import EvidenceLevel
from obis.v1.trace_pb2 import FindRequest, RecordState
from tests.cloud.cloud_room import AUTH, BATCH, FACTORY, PRODUCT, open_room
from tests.fakes.dac import serial
from tests.fakes.log import FakeLog, device

OEM, ODM, OTHER = Viewer("ann", "oem", is_oem=True), Viewer("nok", "odm", is_oem=False), Viewer("li", "x", is_oem=False)


@pytest.fixture
def log():
    log = FakeLog()
    log.start()
    log.make(1, 2, 3)
    log.issue(4)
    log.outcome(2, passed=False, reason=Reason.REASON_LABEL_MISMATCH)
    log.add(refused=RefusedLeaf(reason=Reason.REASON_WINDOW_CLOSED, auth_id=AUTH, device=device(9), suppressed=4))
    return log


@pytest.fixture
async def room(tmp_path, log):
    room = open_room(tmp_path, log)
    with room.store.writing() as session:
        kind = OrganisationKind.ORGANISATION_KIND_ODM
        session.add(OrganisationRow(organisation_id="x", name="X", kind=kind, created_at=1))
    await room.receiver.take(log.page(0), FACTORY)
    yield room
    room.store.close()
    room.witness.close()


def find(room, viewer=OEM, **query):
    with room.store.reading() as session:
        return tracing.find(session, viewer, FindRequest(**query))


@pytest.mark.parametrize("viewer", [OEM, ODM])
@pytest.mark.parametrize("query", [{"device": device(2)}, {"dac_serial": serial(2)}])
def test_a_device_is_found_both_ways_with_its_leaves(room, log, viewer, query):
    found = find(room, viewer, **query)

    (record,) = found.records
    assert record.device == device(2)
    assert (record.batch_id, record.product_id, record.auth_id) == (BATCH, PRODUCT, AUTH)
    assert (record.state, record.failure) == (RecordState.RECORD_STATE_FAILED, "LABEL_MISMATCH")
    assert list(found.leaves) == [log.leaves[index] for index in record.leaf_indexes]
    assert {fact.label for fact in found.facts} >= {"Product", "Version", "Batch"}


@pytest.mark.parametrize("query", [{"batch_id": BATCH}, {"auth_id": AUTH}])
def test_a_batch_is_found_with_a_page_of_its_devices(room, query):
    found = find(room, limit=2, **query)

    assert (found.total, len(found.records)) == (4, 2)
    assert list(found.certificates_der) == [b"paa"]


@pytest.mark.parametrize(
    "query", [{"device": device(2)}, {"dac_serial": serial(2)}, {"batch_id": BATCH}, {"auth_id": AUTH}]
)
def test_another_odm_learns_nothing_not_even_that_it_exists(room, query):
    with pytest.raises(Refused) as refusal:
        find(room, OTHER, **query)
    with pytest.raises(Refused) as absent:
        find(room, OTHER, auth_id=b"?" * 16)

    assert (refusal.value.reason, refusal.value.what) == (absent.value.reason, absent.value.what)
    with room.store.reading() as session:
        assert not tracing.records_after(session, OTHER, 0, b"", 10)
        assert not tracing.summarize(session, OTHER).counts


def test_the_summary_counts_what_the_leaves_say(room, log):
    with room.store.reading() as session:
        summary = tracing.summarize(session, OEM)

    (cell,) = summary.counts
    counts = (cell.authorized, cell.issued, cell.passed, cell.failed, cell.unfinished, cell.refused)
    assert counts == (10, 4, 2, 1, 1, 5)
    assert (summary.leaves, summary.records, summary.record_lag_p99_ms) == (log.size, 4, 1500)


async def test_a_reader_goes_on_from_its_cursor_and_sees_what_changed(room, log):
    with room.store.reading() as session:
        seen = tracing.records_after(session, OEM, 0, b"", 10)
    begun = log.size
    log.add(
        debug_opened=DebugOpenedLeaf(auth_id=AUTH, device=device(1), session_id=b"s" * 16, challenge_digest=bytes(32))
    )
    await room.receiver.take(log.page(begun), FACTORY)
    with room.store.reading() as session:
        opened = tracing.records_after(session, OEM, seen[-1].cursor, b"", 10)
    level = EvidenceLevel.EVIDENCE_LEVEL_STATION_REPORTED
    log.add(debug_closed=DebugClosedLeaf(session_id=b"s" * 16, device=device(1), evidence=level))
    await room.receiver.take(log.page(begun + 1), FACTORY)
    with room.store.reading() as session:
        closed = tracing.records_after(session, OEM, opened[-1].cursor, BATCH, 10)

    assert len(seen) == 4
    assert [each.record.state for each in opened] == [RecordState.RECORD_STATE_IN_REWORK]
    assert [each.record.state for each in closed] == [RecordState.RECORD_STATE_PASSED]
    assert closed[0].record.debug_sessions == 1
