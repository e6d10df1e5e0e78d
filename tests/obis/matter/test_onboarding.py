"""QR and manual codes: as the SDK and matter.js make them, back and forth, and every way in which one is refused."""

from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obis.matter import base38, verhoeff
from obis.matter.errors import MatterError
from obis.matter.onboarding import Discovery, Flow, OnboardingPayload, parse_manual_code, parse_qr_code
from obis.matter.passcode import draw_passcode, is_valid_passcode
from tests.obis.matter.vectors import rows

ROWS = rows("onboarding.json")


def payload(**changed):
    asked = {"vendor_id": 0xFFF1, "product_id": 0x8000, "flow": 0, "discovery": 2, "discriminator": 3840}
    asked |= {"passcode": 20202021} | changed
    return OnboardingPayload(**asked | {"flow": Flow(asked["flow"]), "discovery": Discovery(asked["discovery"])})


def of_row(row):
    return payload(**{name: value for name, value in row.items() if not name.endswith("_code")})


def test_the_known_answers():
    assert payload().qr_code == "MT:Y.K9042C00KA0648G00"
    assert payload().manual_code == "34970112332"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["manual_code"])
def test_codes_are_those_of_two_other_makers(row):
    assert (of_row(row).qr_code, of_row(row).manual_code) == (row["qr_code"], row["manual_code"])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["manual_code"])
def test_codes_of_two_other_makers_are_read(row):
    said, typed = of_row(row), parse_manual_code(row["manual_code"])

    assert parse_qr_code(row["qr_code"]) == said
    assert (typed.short_discriminator, typed.passcode) == (said.discriminator >> 8, said.passcode)
    ids = (said.vendor_id, said.product_id) if said.flow else (None, None)
    assert (typed.vendor_id, typed.product_id) == ids


passcodes = st.integers(1, 99999998).filter(is_valid_passcode)


@given(
    st.integers(1, 0xFFF4),
    st.integers(1, 0xFFFF),
    st.sampled_from(Flow),
    st.integers(1, 31),
    st.integers(0, 4095),
    passcodes,
)
def test_every_payload_reads_back(vendor, product, flow, discovery, discriminator, passcode):
    asked = {"flow": flow, "discovery": discovery, "discriminator": discriminator, "passcode": passcode}
    said = payload(vendor_id=vendor, product_id=product, **asked)

    assert len(said.qr_code) == 22
    assert parse_qr_code(said.qr_code) == said
    assert parse_manual_code(said.manual_code).passcode == passcode


def test_an_unspecified_vendor_and_product_are_read_and_written():
    code = payload(vendor_id=0, product_id=0).qr_code

    assert code == "MT:000006DB00KA0648G00"  # the SDK's
    assert parse_qr_code(code).vendor_id == 0


def test_discovery_and_flow_have_the_numbers_of_the_specification():
    assert [each.value for each in Discovery] == [1, 2, 4, 8, 16]
    assert [each.value for each in Flow] == [0, 1, 2]


def test_the_passcode_is_in_no_repr():
    assert "20202021" not in repr(payload()) + repr(parse_manual_code("34970112332"))


REFUSED = [
    {"vendor_id": -1},
    {"vendor_id": 0xFFF5},
    {"product_id": 0x10000},
    {"product_id": 0},
    {"discriminator": 4096},
    {"discriminator": -1},
    {"discovery": 0},
    {"discovery": 32},
    {"passcode": 0},
    {"passcode": 99999999},
    {"passcode": 12345678},
]


@pytest.mark.parametrize("changed", REFUSED, ids=str)
def test_a_payload_outside_the_rules_is_refused(changed):
    with pytest.raises((MatterError, ValueError)) as refused:
        payload(**changed)

    assert getattr(refused.value, "reason", "PAYLOAD_INVALID") == "PAYLOAD_INVALID"


def packed(**changed):
    """QR text with any field set to anything."""
    widths = {"version": 3, "vendor": 16, "product": 16, "flow": 2, "discovery": 8, "discriminator": 12}
    widths |= {"passcode": 27, "padding": 4}
    values = {
        "vendor": 0xFFF1,
        "product": 0x8000,
        "discovery": 2,
        "discriminator": 3840,
        "passcode": 20202021,
    } | changed
    number, at = 0, 0
    for name, width in widths.items():
        number |= values.get(name, 0) << at
        at += width
    return "MT:" + base38.encode(number.to_bytes(11, "little"))


BAD_QR = {
    "empty": "",
    "no prefix": payload().qr_code[3:],
    "small letters": payload().qr_code.lower(),
    "cut short": payload().qr_code[:-1],
    "TLV follows": payload().qr_code + "00",
    "zeros follow": payload().qr_code + "000",
    "zeros follow, without prefix": payload().qr_code[3:] + "000",
    "another character": payload().qr_code[:-1] + "$",
    "a digit above the base": "MT:" + "." * 19,
    "version 1": packed(version=1),
    "flow 3": packed(flow=3),
    "padding": packed(padding=1),
    "reserved discovery": packed(discovery=0x22),
    "passcode": packed(passcode=11111111),
    "product 0": packed(product=0),
}


@pytest.mark.parametrize("what", BAD_QR)
def test_another_qr_text_is_refused(what):
    with pytest.raises(MatterError, match="PAYLOAD_INVALID"):
        parse_qr_code(BAD_QR[what])


def checked(digits):
    return digits + verhoeff.check_digit(digits)


BAD_MANUAL = {
    "empty": "",
    "dashes": "3497-011-2332",
    "other digits": "3497\u0660112332",
    "a wrong digit": "34970112331",
    "twelve digits": checked("34970112332"),
    "first digit 8": checked("8497011233"),
    "long flag on a short code": checked("7497011233"),
    "short flag on a long code": checked("34970112336552132768"),
    "discriminator part above 16 bits": checked("3655360123"),
    "passcode part above 13 bits": checked("3497018192"),
    "forbidden passcode": checked("3491520000"),
    "vendor above the range": checked("74970112336552632768"),
}


@pytest.mark.parametrize("what", BAD_MANUAL)
def test_another_manual_code_is_refused(what):
    with pytest.raises(MatterError, match="PAYLOAD_INVALID"):
        parse_manual_code(BAD_MANUAL[what])


@pytest.mark.parametrize("at", range(11))
def test_one_wrong_digit_is_always_noticed(at):
    right = "34970112332"
    others = [right[:at] + digit + right[at + 1 :] for digit in "0123456789" if digit != right[at]]

    assert [verhoeff.check_digit(code[:-1]) == code[-1] for code in others] == [False] * 9


@given(st.binary(max_size=40))
def test_base38_reads_back(octets):
    assert base38.decode(base38.encode(octets)) == octets


def test_forbidden_passcodes():
    repeated = [int(str(digit) * 8) for digit in range(10)]

    assert not [
        passcode for passcode in [*repeated, 12345678, 87654321, 99999999, 0, -1] if is_valid_passcode(passcode)
    ]
    assert [passcode for passcode in (1, 20202021, 99999998) if is_valid_passcode(passcode)] == [1, 20202021, 99999998]


def test_a_forbidden_draw_is_drawn_again():
    draws = cycle([11111110, 12345677, 20202020])

    assert draw_passcode(lambda _: next(draws)) == 20202021


def test_draws_cover_the_range():
    assert {draw_passcode(lambda below, at=at: at % below) for at in (0, 99999997)} == {1, 99999998}
