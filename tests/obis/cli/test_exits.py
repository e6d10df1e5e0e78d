import json

import pytest

from obis.cli.exits import Exit, Usage, exit_of, report, sentence
from obis.refusal import Refused
from obis.v1.reason_pb2 import Reason


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (Refused(Reason.REASON_QUOTA_EXCEEDED, "too many"), Exit.REFUSED),
        (Refused(Reason.REASON_NOT_FOUND, "no such batch"), Exit.REFUSED),
        (Refused(Reason.REASON_UNREACHABLE, "no answer"), Exit.UNREACHABLE),
        (Refused(Reason.REASON_DEADLINE_EXCEEDED, "no answer in time"), Exit.UNREACHABLE),
        (Usage("no such file"), Exit.USAGE),
    ],
)
def test_the_exit_status_says_what_a_script_does_next(failure, status):
    assert exit_of(failure) is status


def test_a_refusal_says_word_where_and_next_step():
    refused = Refused(Reason.REASON_QUOTA_EXCEEDED, "120 asked, 100 left", "batch.quantity", "ask for a new Grant")

    assert sentence(refused).splitlines() == [
        "refused: QUOTA_EXCEEDED: 120 asked, 100 left",
        "  where  batch.quantity",
        "  next   ask for a new Grant",
    ]


def test_a_program_reads_the_same_as_json(capsys):
    report(Refused(Reason.REASON_WINDOW_CLOSED, "it ended"), as_json=True)

    assert json.loads(capsys.readouterr().err)["error"]["reason"] == "WINDOW_CLOSED"
