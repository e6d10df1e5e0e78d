from obis.cli.trace_tree import Node, draw, trace_tree
from obis.trust.envelope import make_envelope
from obis.trust.payload import GRANT
from obis.v1.device_objects_pb2 import Lifecycle
from obis.v1.leaf_pb2 import IncarnationLeaf, LogLeaf
from obis.v1.scope_pb2 import DeviceId, EvidenceLevel
from obis.v1.trace_pb2 import FindResponse, ProductionRecord, RecordState, TraceFact
from tests.obis.trust import objects
from tests.obis.trust.people import BEGIN, BOB, CAROL, signed_root, trust_root, view


def record(number=0):
    return ProductionRecord(
        device=DeviceId(soc="generic-wifi", uid=bytes([number] * 16)),
        auth_id=b"a" * 16,
        batch_id=b"b" * 16,
        factory_id="th-1",
        edgehsm_id="edge-th",
        epoch=1,
        dac_serial=b"s" * 16,
        leaf_indexes=range(40),
        issued_at=BEGIN,
        state=RecordState.RECORD_STATE_PASSED,
        evidence=EvidenceLevel.EVIDENCE_LEVEL_CHIP_SIGNED,
        lifecycle=Lifecycle.LIFECYCLE_LOCKED,
        debug_sessions=1,
    )


def grant(*signers):
    return make_envelope(GRANT, objects.grant(bytes(32)).SerializeToString(deterministic=True), signers)


def found(**changes):
    leaf = LogLeaf(index=7, at=BEGIN, incarnation=IncarnationLeaf()).SerializeToString()
    parts = {
        "records": [record()],
        "total": 1,
        "objects": [signed_root(trust_root()), grant(BOB, CAROL)],
        "leaves": [leaf],
        "facts": [TraceFact(label="Product", value="Lamp " * 30)],
    }
    return FindResponse(**parts | changes)


def test_every_line_fits_eighty_columns():
    assert all(len(line) <= 80 for line in draw(trace_tree(found(), view())).splitlines())


def test_it_says_who_signed_what_stands_above_a_device():
    text = draw(trace_tree(found(), view()))

    assert "signed by bob, carol" in text
    assert "generic-wifi:00000000000000000000000000000000  PASSED, CHIP_SIGNED" in text
    assert "7  2026-" in text
    assert "incarnation" in text


def test_an_object_too_few_signed_is_shown_as_not_valid():
    assert "NOT VALID: THRESHOLD_NOT_MET" in draw(trace_tree(found(objects=[grant(BOB)]), view())).replace("\n", " ")


def test_bytes_that_are_nothing_do_not_stop_the_trace():
    text = draw(trace_tree(found(certificates_der=[b"nonsense"], leaves=[b"\xff\xff"]), view()))

    assert "not a certificate" in text
    assert "NOT VALID: its bytes do not parse" in text


def test_a_batch_of_many_says_how_many_are_not_shown():
    text = draw(trace_tree(found(records=[record(n) for n in range(25)], total=100, leaves=[]), view()))

    assert "100 records" in text
    assert "and 80 more" in text


def test_branches_are_drawn_under_one_another():
    tree = Node("top", (Node("one", (Node("deep"),)), Node("two")))

    assert draw(tree).splitlines() == ["top", "├─ one", "│  └─ deep", "└─ two"]
