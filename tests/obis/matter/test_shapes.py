"""Octets that are strict DER or TLV and still not the shape that is read: refused by rule, not by chance."""

from types import SimpleNamespace

import pytest

from obis.matter import profile, tlv
from obis.matter.certificate import read_certificate
from obis.matter.dac_check import check_template
from obis.matter.errors import MatterError
from obis.matter.findings import Kind
from obis.matter.ids import ProductId
from obis.matter.lint import lint_dac
from obis.matter.lint_extensions import subject_key_id
from obis.matter.profile import oid, sequence
from obis.matter.profile import tlv as element
from obis.matter.tlv import TlvError
from tests.obis.matter.forge import forge
from tests.obis.matter.pki import BEGIN, pki

TIME = element(0x17, b"260101000000Z")
NUMBER = b"\x02\x01\x01"
ATTRIBUTE = sequence(oid("2.5.4.3"), element(0x0C, b"x"))
ORGANIZATION = sequence(oid("2.5.4.10"), element(0x0C, b"x"))

NO_CERTIFICATES = {
    "empty": sequence(),
    "no signature": sequence(sequence(), sequence()),
    "no fields": sequence(sequence(), sequence(), b"\x03\x01\x00"),
    "two versions": forge(Kind.DAC, version=element(0xA0, b"\x02\x01\x02\x02\x01\x02")),
    "serial is text": forge(Kind.DAC, serial=element(0x0C, b"1")),
    "one time": forge(Kind.DAC, validity=sequence(TIME)),
    "three times": forge(Kind.DAC, validity=sequence(TIME, TIME, TIME)),
    "times are text": forge(Kind.DAC, validity=sequence(ATTRIBUTE, ATTRIBUTE)),
    "name part is empty": forge(Kind.DAC, subject=sequence(element(0x31))),
    "name part is out of order": forge(Kind.DAC, subject=sequence(element(0x31, ORGANIZATION, ATTRIBUTE))),
    "name part is no pair": forge(Kind.DAC, subject=sequence(element(0x31, sequence(oid("2.5.4.3"))))),
    "unknown field": forge(Kind.DAC, unique=element(0x84, b"\0")),
    "fields out of order": forge(Kind.DAC, unique=element(0x82, b"\0\0") + element(0x81, b"\0\0")),
    "field twice": forge(Kind.DAC, unique=element(0x81, b"\0\0") * 2),
    "extensions twice": forge(Kind.DAC, unique=element(0xA3, sequence())),
    "extension of four": forge(Kind.DAC, extra=sequence(oid("2.5.29.37"), b"\x01\x01\xff", element(0x04), NUMBER)),
    "extension of one": forge(Kind.DAC, extra=sequence(oid("2.5.29.37"))),
    "extension value is a number": forge(Kind.DAC, extra=sequence(oid("2.5.29.37"), NUMBER)),
}


@pytest.mark.parametrize("what", NO_CERTIFICATES)
def test_what_is_no_certificate_is_refused(what):
    with pytest.raises(MatterError, match="C02"):
        read_certificate(NO_CERTIFICATES[what])


def test_extensions_are_one_sequence():
    without = forge(Kind.DAC)
    start = without.index(b"\xa3\x60") + 2

    with pytest.raises(MatterError, match="C02"):
        read_certificate(without.replace(without[start - 2 : start + 0x60], b"\xa3\x60" + sequence() * 48))


def test_a_certificate_of_version_1_has_no_extensions():
    parts = [b"\x02\x01\x01", profile.ECDSA_WITH_SHA256, sequence(), sequence(TIME, TIME), sequence(), sequence()]
    read = read_certificate(sequence(sequence(*parts), profile.ECDSA_WITH_SHA256, b"\x03\x01\x00"))

    assert (read.version, read.extensions, subject_key_id(read)) == (1, (), None)


def test_a_multi_valued_name_part_in_order_is_read():
    name = sequence(element(0x31, ATTRIBUTE, ORGANIZATION))

    assert len(read_certificate(forge(Kind.DAC, subject=name)).subject.attributes) == 2


def test_a_dac_is_linted_as_one():
    assert lint_dac(pki().dac()) == []
    assert lint_dac(pki().pai())


LIES = [
    {"not_after": BEGIN},
    {"product_id": ProductId(0x8001)},
    {"common_name": lambda _: "another"},
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: next(iter(lie)))
def test_a_template_that_says_something_else_is_caught(lie):
    right = pki().template()
    names = ("pai_der", "serial_prefix", "vendor_id", "product_id", "not_before", "not_after", "common_name", "tbs")
    lying = SimpleNamespace(**{name: getattr(right, name) for name in names} | lie)

    with pytest.raises(MatterError, match="C02"):
        check_template(lying)


NO_TLV = {
    "empty": "",
    "not a structure": "1618",
    "tagged structure": "350018",
    "never ends": "15",
    "trailing": "151800",
    "cut in a tag": "1524",
    "profile tag": "15440000000018",
    "anonymous in a structure": "15040118",
    "tag twice": "1524000124000118",
    "tags fall": "1524010124000118",
    "tagged in an array": "15360024000118" + "18",
    "cut in a number": "15250001",
    "cut in text": "152c000441",
    "not UTF-8": "152c0001ff18",
    "signed integer": "1520000118",
    "float": "152a000000000018",
    "null": "15340018",
    "tagged end": "15380018",
    "too deep": "15" + "3500" * 4 + "18" * 5,
}


@pytest.mark.parametrize("what", NO_TLV)
def test_what_is_not_our_tlv_is_refused(what):
    with pytest.raises(TlvError):
        tlv.decode(bytes.fromhex(NO_TLV[what]))


@pytest.mark.parametrize("number", [-1, 1 << 64])
def test_numbers_outside_64_bits_are_not_written(number):
    with pytest.raises(TlvError, match="64 bits"):
        tlv.encode({0: number})


def test_widths_are_the_shortest():
    written = tlv.encode({0: 0xFF, 1: 0x100, 2: 0x10000, 3: 1 << 32, 4: True, 5: [b"x"]})

    assert written.hex() == "152400ff250100012602000001002703000000000100000029043605100178" + "1818"


def test_a_long_element_has_a_length_of_two_octets():
    assert profile.tlv(0x04, bytes(256))[:4] == b"\x04\x82\x01\x00"
