"""The fast lint says what the full lint says, and refuses what only the template can tell."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obis.matter import profile
from obis.matter.dac_check import DUMMY_SIGNATURE, sample_dac
from obis.matter.errors import MatterError
from obis.matter.findings import Kind, errors_of
from obis.matter.lint_chain import lint_issued
from obis.matter.lint_fast import DacLint
from tests.obis.matter.forge import forge
from tests.obis.matter.pki import SERIAL, Key, pki

SAMPLE = sample_dac(pki().template())
LINT = DacLint(pki().pai(), SAMPLE)
DAC, POINT = pki().dac(), pki().dac_key.point


def rules(dac, point=POINT):
    return sorted({finding.rule for finding in LINT.lint(dac, point)})


def test_a_right_dac_has_no_finding():
    assert rules(DAC) == []
    assert LINT._is_good(DAC, POINT)


def test_every_right_dac_takes_the_fast_way():
    for _ in range(50):
        key, template = Key(), pki().template()
        dac = profile.splice(tbs := template.tbs(key.point, SERIAL), pki().pai_key.sign(tbs))

        assert LINT._is_good(dac, key.point)


def test_a_template_without_serial_in_its_name_has_a_fast_way_too():
    template = pki().template(common_name_pattern="Lamp")
    dac = profile.splice(template.tbs(POINT, SERIAL), DUMMY_SIGNATURE)

    assert DacLint(pki().pai(), sample_dac(template))._is_good(dac, POINT)


def test_a_dac_for_another_key_is_refused():
    assert rules(DAC, Key().point) == ["X12"]


def test_a_name_that_does_not_repeat_the_serial_number_is_refused():
    at = DAC.rindex(SERIAL.hex().upper().encode())

    assert rules(DAC[:at] + b"FF" + DAC[at + 2 :]) == ["X12"]


def test_a_dac_of_another_template_is_refused():
    template = pki().template(common_name_pattern="Lamp {serial}")

    assert rules(profile.splice(template.tbs(POINT, SERIAL), DUMMY_SIGNATURE)) == ["X12"]


def test_a_broken_rule_keeps_its_name():
    assert rules(forge(Kind.DAC, usage=b"")) == ["C14"]


@settings(deadline=None, max_examples=400)
@given(st.integers(0, len(DAC) - 1), st.integers(1, 255))
def test_no_changed_octet_outside_the_signature_passes(at, change):
    damaged = bytearray(DAC)
    damaged[at] ^= change
    found = LINT.lint(bytes(damaged), POINT)

    if at < len(SAMPLE) - 75:
        assert found
    assert found or not errors_of(lint_issued(pki().pai(), bytes(damaged)))


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=700))
def test_anything_else_is_refused(octets):
    assert LINT.lint(octets, POINT)
    assert LINT.lint(DAC + octets, POINT) or not octets
    assert LINT.lint(DAC[: len(octets)], POINT) or len(octets) >= len(DAC)


@pytest.mark.parametrize("sample", [b"", DAC[:-1], forge(Kind.DAC, usage=b""), pki().pai()], ids=len)
def test_a_sample_that_fails_the_lint_makes_no_fast_lint(sample):
    with pytest.raises(MatterError, match="CERTIFICATE_LINT_FAILED"):
        DacLint(pki().pai(), sample)
