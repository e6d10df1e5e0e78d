import pytest

from obis.cli.rendering import render
from obis.refusal import Refused
from obis.trust.envelope import digest
from obis.trust.payload import AUTHORIZATION, GRANT
from obis.v1.envelope_pb2 import Envelope
from obis.v1.grant_pb2 import Grant
from tests.obis.trust import objects


def shown(payload_bytes):
    return render(Envelope(payload=payload_bytes, payload_type=GRANT.text))


def test_what_is_shown_is_what_is_signed():
    octets = a_grant().SerializeToString(deterministic=True)
    text = shown(octets)

    assert digest(octets).hex()[:32] in text
    assert digest(octets).hex()[32:] in text
    assert [line.split() for line in text.splitlines() if "total_quantity" in line] == [["total_quantity", "50"]]


def test_one_changed_number_changes_what_is_shown():
    one, other = a_grant(), a_grant()
    other.total_quantity += 1

    assert shown(one.SerializeToString(deterministic=True)) != shown(other.SerializeToString(deterministic=True))


def test_a_field_this_version_cannot_show_cannot_be_signed():
    octets = a_grant().SerializeToString(deterministic=True) + b"\xf8\x07\x01"  # field 127

    with pytest.raises(Refused, match="UNKNOWN_FIELD"):
        shown(octets)


def test_people_sign_no_authorization():
    with pytest.raises(Refused, match="PAYLOAD_TYPE_UNEXPECTED"):
        render(Envelope(payload=b"x", payload_type=AUTHORIZATION.text))


def test_every_line_fits_the_screen():
    assert all(len(line) <= 80 for line in shown(a_grant().SerializeToString(deterministic=True)).splitlines())


def a_grant() -> Grant:
    return objects.grant(bytes(32))
