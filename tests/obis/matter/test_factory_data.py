"""Factory data: what it holds, what it refuses, and that its digest gives nothing away."""

from dataclasses import fields

import pytest

from obis.matter import factory_data, p256, tlv
from obis.matter.errors import MatterError
from obis.matter.factory_data import LIMITS, FactoryData, decode
from obis.matter.spake2p import make_verifier

SALT = bytes(range(32))
RIGHT = {
    "vendor_id": 0xFFF1,
    "product_id": 0x8000,
    "vendor_name": "OBIS",
    "product_name": "Lamp",
    "hardware_version": 1,
    "hardware_version_string": "A1",
    "manufacturing_date": "20260102line7",
    "serial_number": "0000001",
    "discriminator": 3840,
    "spake2p_verifier": make_verifier(20202021, SALT, 1000),
    "spake2p_salt": SALT,
    "spake2p_iterations": 1000,
    "rotating_id_unique_id": bytes(16),
    "dac_der": b"dac",
    "pai_der": b"pai",
    "certification_declaration": b"cd",
    "blinding": bytes(32),
}


def data(**changed) -> FactoryData:
    return FactoryData(**RIGHT | changed)


def test_it_reads_back_what_it_wrote():
    full = data(part_number="P-1", product_url="https://example.com/\u00e4", product_label="L", unique_id="u")

    assert decode(full.encode()) == full
    assert decode(data().encode()) == data()


def test_its_octets_do_not_change():
    assert data().digest().hex() == "02b2452fe3e71a489725b6af4c1ac0dd32ac61e1641232dfbd60739b7b6230c9"


def test_there_is_no_field_for_a_private_key_or_a_passcode():
    assert not [name for name in LIMITS if "private" in name or "passcode" in name or "key" in name]
    assert list(LIMITS) == [each.name for each in fields(FactoryData)]


def test_tags_and_limits_are_these():
    assert {name: (limit.tag, limit.low, limit.high) for name, limit in LIMITS.items()} == {
        "vendor_id": (1, 1, 0xFFF4),
        "product_id": (2, 1, 0xFFFF),
        "vendor_name": (3, 1, 32),
        "product_name": (4, 1, 32),
        "part_number": (5, 0, 32),
        "product_url": (6, 0, 256),
        "product_label": (7, 0, 64),
        "hardware_version": (8, 0, 0xFFFF),
        "hardware_version_string": (9, 1, 64),
        "manufacturing_date": (10, 8, 16),
        "serial_number": (11, 1, 32),
        "unique_id": (12, 0, 32),
        "discriminator": (13, 0, 4095),
        "spake2p_verifier": (14, 97, 97),
        "spake2p_salt": (15, 16, 32),
        "spake2p_iterations": (16, 1000, 100_000),
        "rotating_id_unique_id": (17, 16, 64),
        "dac_der": (18, 1, 600),
        "pai_der": (19, 1, 600),
        "certification_declaration": (20, 1, 900),
        "blinding": (21, 32, 32),
    }


def test_the_digest_depends_on_every_octet_of_the_blinding():
    assert (
        len({data(blinding=bytes(at) + b"\1" + bytes(31 - at)).digest() for at in range(32)} | {data().digest()}) == 33
    )


def test_what_could_give_the_passcode_away_is_in_no_repr():
    shown = repr(data(blinding=b"blinding" * 4))

    assert "blinding" not in shown
    assert "verifier" not in shown
    assert "salt" not in shown


REFUSED = [
    {"vendor_id": 0},
    {"vendor_id": 0xFFF5},
    {"vendor_id": True},
    {"vendor_id": "FFF1"},
    {"product_id": 0},
    {"vendor_name": ""},
    {"vendor_name": "x" * 33},
    {"vendor_name": "\u00e4" * 17},
    {"vendor_name": "a\0b"},
    {"vendor_name": "\ud800"},
    {"product_url": "x" * 257},
    {"hardware_version": -1},
    {"hardware_version": 0x10000},
    {"hardware_version_string": ""},
    {"manufacturing_date": "2026010"},
    {"manufacturing_date": "20260230"},
    {"manufacturing_date": "2026-W01"},
    {"manufacturing_date": "2026W011"},
    {"manufacturing_date": "20260101" + "x" * 9},
    {"discriminator": 4096},
    {"spake2p_verifier": bytes(97)},
    {"spake2p_verifier": RIGHT["spake2p_verifier"][:-1]},
    {"spake2p_verifier": bytes(32) + RIGHT["spake2p_verifier"][32:]},
    {"spake2p_verifier": p256.N.to_bytes(32) + RIGHT["spake2p_verifier"][32:]},
    {"spake2p_verifier": b"\xff" * 32 + RIGHT["spake2p_verifier"][32:]},
    {"spake2p_verifier": RIGHT["spake2p_verifier"][:-1] + b"\0"},
    {"spake2p_salt": bytes(15)},
    {"spake2p_salt": bytes(33)},
    {"spake2p_iterations": 999},
    {"spake2p_iterations": 100_001},
    {"rotating_id_unique_id": bytes(15)},
    {"dac_der": bytes(601)},
    {"pai_der": b""},
    {"certification_declaration": bytes(901)},
    {"blinding": bytes(31)},
    {"blinding": None},
]


@pytest.mark.parametrize("changed", REFUSED, ids=lambda each: next(iter(each)))
def test_a_field_outside_its_limits_is_refused(changed):
    with pytest.raises(MatterError) as refused:
        data(**changed)

    assert refused.value.reason == "FACTORY_DATA_INVALID"


def recoded(**changed):
    return tlv.encode(tlv.decode(data().encode()) | {int(tag[1:]): value for tag, value in changed.items()})


NOT_CANONICAL = {
    "an empty text written out": recoded(t5=""),
    "an unknown field": recoded(t22=1),
    "another type": recoded(t1=b"\x01"),
    "a structure": recoded(t3={}),
    "a wider integer": data().encode().replace(b"\x25\x01\xf1\xff", b"\x26\x01\xf1\xff\x00\x00"),
    "not TLV": b"\x15",
}


@pytest.mark.parametrize("what", NOT_CANONICAL)
def test_other_octets_are_refused(what):
    with pytest.raises(MatterError) as refused:
        decode(NOT_CANONICAL[what])

    assert refused.value.reason == "FACTORY_DATA_INVALID"


def test_a_missing_field_is_refused():
    found = tlv.decode(data().encode())
    del found[LIMITS["blinding"].tag]

    with pytest.raises(MatterError, match="blinding"):
        decode(tlv.encode(found))


def test_the_digest_has_its_own_context():
    assert factory_data.DIGEST_CONTEXT == b"obis/factory-data/v1\x00"
