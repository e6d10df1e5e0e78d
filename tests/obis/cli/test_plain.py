from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obis.cli.exits import Usage
from obis.cli.plain import from_plain, lines, to_plain
from obis.v1.grant_pb2 import Grant
from obis.v1.grants_pb2 import ProposeGrantRequest
from obis.v1.scope_pb2 import Operation, Window

GRANT = {
    "version_id": "00" * 16,
    "total_quantity": 120,
    "edge_caps": [{"factory_id": "th-01", "edgehsm_id": "th-01-a", "epoch": 1, "max_quantity": 120}],
    "window": {"starts_at": 1_800_000_000, "ends_at": 1_900_000_000},
    "operations": [{"operation": "ISSUE_DAC", "max_total": 120, "window": {"starts_at": 1, "ends_at": 2}}],
    "lease": {"kind": "NONE"},
    "required_assurance": "SOFTWARE",
    "common_name_pattern": "ACME {serial}",
}


def test_what_was_read_is_written_again():
    assert to_plain(from_plain(ProposeGrantRequest, GRANT, "grant")) == GRANT


def test_enum_words_and_hex_become_values():
    made = from_plain(ProposeGrantRequest, GRANT, "grant")

    assert made.version_id == bytes(16)
    assert made.operations[0].operation == Operation.OPERATION_ISSUE_DAC


def test_a_date_time_stands_for_seconds():
    said = {"starts_at": datetime(2026, 11, 22, tzinfo=UTC), "ends_at": 1_900_000_000}

    assert from_plain(Window, said, "window").starts_at == 1_795_305_600


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"quantity": 1}, "no field 'quantity'"),
        ({"version_id": "xyz"}, "hex digits"),
        ({"required_assurance": "VERY"}, "'VERY' is not one of SOFTWARE"),
        ({"edge_caps": {}}, "is a list"),
        ({"window": 5}, "is a table"),
        ({"edge_caps": [{"epoch": "one"}]}, r"edge_caps\[0\].epoch"),
        ({"total_quantity": -1}, "total_quantity"),
    ],
)
def test_what_does_not_fit_is_named(change, told):
    with pytest.raises(Usage, match=told):
        from_plain(ProposeGrantRequest, GRANT | change, "grant")


def test_every_field_that_is_set_is_shown_to_a_person():
    shown = dict(lines(from_plain(ProposeGrantRequest, GRANT, "grant")))

    assert shown["window.ends_at"] == "2030-03-17 17:46:40 UTC"
    assert shown["operations[0].operation"] == "ISSUE_DAC"
    assert shown["edge_caps[0].max_quantity"] == "120"


@given(st.text(max_size=30))
def test_text_of_others_cannot_draw_over_a_screen(text):
    shown = dict(lines(Grant(proposer=text))).get("proposer", "")

    assert shown.isprintable()
