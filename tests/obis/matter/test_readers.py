"""Every reader of octets either returns or raises its one error, whatever it is fed."""

from contextlib import contextmanager, suppress

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from obis.matter import base38, cms, declaration, der, factory_data, lint, onboarding, tlv
from obis.matter.certificate import read_certificate
from obis.matter.csr import parse_csr
from obis.matter.der import DerError
from obis.matter.errors import MatterError
from obis.matter.findings import Kind
from obis.matter.lint_chain import lint_chain, lint_issued
from obis.matter.tlv import TlvError
from tests.obis.matter.pki import pki
from tests.obis.matter.test_csr import request
from tests.obis.matter.test_factory_data import data
from tests.obis.matter.vectors import CD_KEY_ID, CD_POINT, declarations

SEEDS = {
    "certificate": pki().dac(),
    "csr": request(),
    "declaration": next(iter(declarations().values())),
    "factory data": data().encode(),
}


@st.composite
def damaged(draw, seed):
    """The seed with a few octets changed, removed or put in; or any octets."""
    octets = bytearray(draw(st.sampled_from([SEEDS[seed], b""])))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(octets)))
        octets[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return bytes(octets)


@contextmanager
def refusing_only(*reasons):
    """Nothing, or a MatterError with one of these words; any other error passes through and fails the test."""
    try:
        yield
    except MatterError as error:
        if error.reason not in reasons:
            raise


@settings(deadline=None, max_examples=300)
@given(damaged("certificate"))
def test_certificates(octets):
    with refusing_only("CERTIFICATE_LINT_FAILED"):
        read_certificate(octets)
    for kind in Kind:
        lint.lint_certificate(octets, kind)


@settings(deadline=None, max_examples=60)
@given(damaged("certificate"))
def test_chains(octets):
    lint_chain(pki().paa(), octets, octets)
    lint_chain(octets, pki().pai(), pki().dac())
    lint_issued(octets, pki().dac())


@settings(deadline=None, max_examples=300)
@given(damaged("csr"))
def test_requests(octets):
    with refusing_only("CSR_MALFORMED", "CSR_CURVE_UNSUPPORTED", "CSR_SIGNATURE_INVALID"):
        parse_csr(octets)


@settings(deadline=None, max_examples=300)
@given(damaged("declaration"))
def test_declarations(octets):
    with refusing_only("CD_INVALID"):
        declaration.verify_declaration(octets, {CD_KEY_ID: CD_POINT})
    with refusing_only("CD_INVALID"):
        declaration.decode_content(cms.parse_signed_data(octets).content)


@settings(deadline=None, max_examples=300)
@given(damaged("factory data"))
def test_factory_data(octets):
    with refusing_only("FACTORY_DATA_INVALID"):
        assert factory_data.decode(octets).encode() == octets


@settings(deadline=None)
@given(
    st.text() | st.text("0123456789", min_size=11, max_size=21) | st.from_regex(r"MT:[0-9A-Z.-]{19}", fullmatch=True)
)
def test_codes(text):
    for reader in (onboarding.parse_qr_code, onboarding.parse_manual_code, base38.decode):
        with refusing_only("PAYLOAD_INVALID"):
            reader(text)


@given(st.binary())
def test_tlv(octets):
    with suppress(TlvError):
        assert tlv.decode(tlv.encode(tlv.decode(octets))) == tlv.decode(octets)


@given(st.binary(max_size=127))
def test_der(octets):
    readers = (der.integer, der.boolean, der.octet_aligned, der.named_bits, der.oid, der.children)
    for tag in (der.INTEGER, der.BOOLEAN, der.BIT_STRING, der.OID, der.SEQUENCE):
        element = der.single(bytes((tag, len(octets))) + octets, tag)
        for reader in readers:
            with suppress(DerError):
                reader(element)


values = st.recursive(
    st.integers(0, 2**64 - 1) | st.booleans() | st.text() | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(0, 255), inner, max_size=3),
    max_leaves=4,
)


@given(st.dictionaries(st.integers(0, 255), values, max_size=4))
def test_tlv_reads_back_what_it_wrote(structure):
    try:
        octets = tlv.encode(structure)
        found = tlv.decode(octets)
    except TlvError as error:
        assume("deep" not in str(error) and "surrogate" not in str(error))
        raise

    assert found == structure


@pytest.mark.parametrize(
    "octets",
    [
        "",
        "30",
        "3080",
        "308100",
        "30817f",
        "30820080",
        "3084000000000000",
        "3002",
        "300000",
        "1f0100",
        "3100",
    ],
)
def test_what_is_not_one_strict_sequence_is_refused(octets):
    with pytest.raises(DerError):
        der.single(bytes.fromhex(octets), der.SEQUENCE)


NOT_DER = [
    (der.integer, "0200"),
    (der.integer, "02020001"),
    (der.integer, "0202ff80"),
    (der.boolean, "010101"),
    (der.boolean, "01020000"),
    (der.octet_aligned, "0300"),
    (der.octet_aligned, "03020180"),
    (der.named_bits, "0300"),
    (der.named_bits, "03020002"),
    (der.named_bits, "03020801"),
    (der.named_bits, "030101"),
    (der.named_bits, "030400000001"),
    (der.oid, "0600"),
    (der.oid, "060180"),
    (der.oid, "0603558001"),
]


@pytest.mark.parametrize(("reader", "octets"), NOT_DER)
def test_what_der_writes_otherwise_is_refused(reader, octets):
    with pytest.raises(DerError):
        reader(element(bytes.fromhex(octets)))


def element(octets):
    return der.read(octets, 0, len(octets))


@pytest.mark.parametrize(("head", "size"), [("30817f", 127), ("30820080", 128), ("3083000100", 256)])
def test_lengths_longer_than_needed_are_refused(head, size):
    with pytest.raises(DerError):
        der.single(bytes.fromhex(head) + bytes(size), der.SEQUENCE)


def test_numbers_and_names_are_read():
    assert der.integer(element(b"\x02\x02\xff\x7f")) == -129
    assert der.named_bits(element(b"\x03\x02\x01\x06")) == 1 << 5 | 1 << 6
    assert der.named_bits(element(b"\x03\x01\x00")) == 0
    assert der.oid(element(bytes.fromhex("0609608648016503040201"))) == "2.16.840.1.101.3.4.2.1"
    assert der.oid(element(b"\x06\x03\x88\x37\x03")) == "2.999.3"
    assert [der.oid(element(bytes((6, 1, first)))) for first in (39, 40, 79, 80)] == ["0.39", "1.0", "1.39", "2.0"]
    assert der.oid(element(b"\x06\x04\x2b\x81\x80\x00")) == "1.3.16384"


@pytest.mark.parametrize(("size", "head"), [(127, "307f"), (128, "308180"), (255, "3081ff"), (256, "30820100")])
def test_lengths_at_the_edges_are_read(size, head):
    octets = bytes.fromhex(head) + bytes(size)

    assert der.single(octets, der.SEQUENCE).content == bytes(size)
