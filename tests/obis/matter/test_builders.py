"""PAA, PAI and DAC as built: what they are judged by, and that two other builders make the same octets."""

import subprocess
from datetime import datetime, timedelta
from ssl import DER_cert_to_PEM_cert

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from obis.matter import ids, profile
from obis.matter.errors import MatterError
from obis.matter.ids import ProductId, VendorId
from obis.matter.lint_chain import lint_chain
from obis.matter.paa import PaaProfile, build_paa
from obis.matter.pai import PaiProfile, build_pai
from obis.matter.profile import NO_EXPIRY, Subject
from tests.obis.matter.pki import BEGIN, PREFIX, PRODUCT, SERIAL, VENDOR, Key, pki


def test_a_built_chain_passes_the_lint_without_a_warning():
    assert lint_chain(pki().paa(), pki().pai(), pki().dac(), BEGIN) == []


def test_a_chain_without_vendor_scope_passes_the_lint():
    paa = pki().paa(Subject("Any Vendor PAA", organization="OBIS"))
    said = PaiProfile(subject=Subject("OBIS Test PAI", VENDOR), not_before=BEGIN)
    pai = pai_of(said, paa)
    template = pki().template(pai_der=pai)
    tbs = template.tbs(pki().dac_key.point, SERIAL)

    assert lint_chain(paa, pai, profile.splice(tbs, pki().pai_key.sign(tbs)), BEGIN) == []


def pai_of(said, paa):
    return build_pai(said, paa_der=paa, point=pki().pai_key.point, serial=b"\x02" * 9, sign=pki().paa_key.sign)


@pytest.mark.needs("openssl")
def test_openssl_verifies_a_built_chain(tmp_path):
    for name, der in (("paa", pki().paa()), ("pai", pki().pai()), ("dac", pki().dac())):
        (tmp_path / name).write_text(DER_cert_to_PEM_cert(der))
    command = ["openssl", "verify", "-x509_strict", "-CAfile", "paa", "-untrusted", "pai", "dac"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "dac: OK\n"), done.stderr


def test_sizes_leave_room_in_a_certificate_chain_response():
    template = pki().template(common_name_pattern="x" * 42 + "{serial}")
    dac = profile.splice(template.tbs(pki().dac_key.point, SERIAL), b"\x30" + bytes(71))

    assert max(len(pki().paa()), len(pki().pai()), len(dac)) <= ids.MAX_CERTIFICATE_BYTES


def twin(template, key, serial):
    """The DAC by `cryptography`'s CertificateBuilder."""
    pai = x509.load_der_x509_certificate(template.pai_der)
    authority = pai.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, template.common_name(serial)),
            x509.NameAttribute(x509.ObjectIdentifier(ids.OID_VENDOR_ID), template.vendor_id.hex4),
            x509.NameAttribute(x509.ObjectIdentifier(ids.OID_PRODUCT_ID), template.product_id.hex4),
        ]
    )
    public = key.private.public_key()
    no = "content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign"
    usage = dict.fromkeys([*no.split(), "encipher_only", "decipher_only"], False)
    return (
        x509.CertificateBuilder(pai.subject, subject, public, int.from_bytes(serial))
        .not_valid_before(template.not_before)
        .not_valid_after(template.not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority), critical=False)
        .sign(pki().pai_key.private, hashes.SHA256())
        .tbs_certificate_bytes
    )


literal = st.text("0123456789ABCXYZabcxyz .,()+/=?'-", max_size=8)
days = st.integers(0, 60 * 365)


@settings(max_examples=60, deadline=None)
@given(
    before=literal,
    after=literal,
    prefix=st.binary(min_size=1, max_size=12).filter(lambda octets: 0 < octets[0] < 0x80),
    tail=st.binary(min_size=8, max_size=8),
    begin=days,
    end=st.none() | days,
)
def test_a_patched_dac_is_octet_for_octet_that_of_certificate_builder(before, after, prefix, tail, begin, end):
    not_before = BEGIN + timedelta(days=begin)
    not_after = NO_EXPIRY if end is None else not_before + timedelta(days=end)
    pattern = f"{before}{{serial}}{after}"
    template = pki().template(
        common_name_pattern=pattern, serial_prefix=prefix, not_before=not_before, not_after=not_after
    )
    key, serial = Key(), prefix + tail

    assert template.tbs(key.point, serial) == twin(template, key, serial)


def test_the_same_arguments_give_the_same_octets():
    first, second = (pki().template().tbs(pki().dac_key.point, SERIAL) for _ in range(2))

    assert first == second


def test_a_common_name_without_serial_is_constant():
    assert pki().template(common_name_pattern="OBIS Lamp").common_name(SERIAL) == "OBIS Lamp"


def test_the_serial_number_stands_in_the_common_name():
    assert pki().template().common_name(SERIAL) == "OBIS Test DAC 21007F00FF102030405060"


@pytest.mark.parametrize(
    "changed",
    [
        {"vendor_id": VendorId(0xFFF2)},
        {"product_id": ProductId(0x8001)},
        {"not_before": BEGIN - timedelta(seconds=1)},
        {"not_before": BEGIN + timedelta(microseconds=1)},
        {"not_before": datetime(2026, 2, 1)},  # noqa: DTZ001
        {"not_after": BEGIN - timedelta(days=1), "not_before": BEGIN},
        {"serial_prefix": b""},
        {"serial_prefix": b"\x00\x01"},
        {"serial_prefix": b"\x80"},
        {"serial_prefix": bytes([1] * 13)},
        {"common_name_pattern": ""},
        {"common_name_pattern": "x" * 65},
        {"common_name_pattern": "x" * 43 + "{serial}"},
        {"common_name_pattern": "{serial} {serial}"},
        {"common_name_pattern": "{uid}"},
        {"common_name_pattern": "Mvid:FFF1"},
        {"common_name_pattern": "L\u00e4mp"},
        {"pai_der": b""},
        {"pai_der": b"\x30\x03\x02\x01\x01"},
    ],
    ids=str,
)
def test_a_template_that_does_not_fit_is_refused(changed):
    with pytest.raises(MatterError) as refused:
        pki().template(**changed)

    assert refused.value.reason == "CERTIFICATE_LINT_FAILED"


def test_a_template_whose_pai_is_no_pai_is_refused():
    with pytest.raises(MatterError, match="CERTIFICATE_LINT_FAILED"):
        pki().template(pai_der=pki().dac())


@pytest.mark.parametrize("serial", [b"", SERIAL[1:], SERIAL + b"\0", b"\x22" + SERIAL[1:]], ids=bytes.hex)
def test_a_serial_number_outside_the_prefix_is_refused(serial):
    with pytest.raises(MatterError, match="C04"):
        pki().template().tbs(pki().dac_key.point, serial)


@pytest.mark.parametrize("point", [b"", bytes(65), b"\x02" + bytes(32), b"\x04" + bytes(65)], ids=bytes.hex)
def test_a_key_of_another_form_is_refused(point):
    with pytest.raises(MatterError, match="C10"):
        pki().template().tbs(point, SERIAL)


def test_a_key_off_the_curve_is_not_certified():
    point = pki().paa_key.point
    said = PaaProfile(subject=Subject("PAA"), not_before=BEGIN)

    with pytest.raises(MatterError, match="C10"):
        build_paa(said, point=point[:-1] + bytes([point[-1] ^ 1]), serial=b"\x01" * 9, sign=pki().paa_key.sign)


def test_a_paa_with_a_product_is_refused():
    with pytest.raises(MatterError, match="no product id"):
        PaaProfile(subject=Subject("PAA", VENDOR, PRODUCT), not_before=BEGIN)


def test_a_pai_without_vendor_is_refused():
    with pytest.raises(MatterError, match="has a vendor id"):
        PaiProfile(subject=Subject("PAI"), not_before=BEGIN)


def test_a_pai_of_another_vendor_than_its_scoped_paa_is_refused():
    with pytest.raises(MatterError, match="another vendor"):
        pki().pai(Subject("PAI", VendorId(0xFFF2), PRODUCT))


def test_a_pai_older_than_its_paa_is_refused():
    said = PaiProfile(subject=Subject("PAI", VENDOR, PRODUCT), not_before=BEGIN - timedelta(days=1))

    with pytest.raises(MatterError, match="not valid when the PAI begins"):
        pai_of(said, pki().paa())


@pytest.mark.parametrize("serial", [b"", bytes(8), b"\x01" * 7, b"\x01" * 21, b"\x80" + bytes(8)], ids=bytes.hex)
def test_a_serial_number_that_der_would_change_is_refused(serial):
    with pytest.raises(MatterError, match="8 to 20 octets"):
        profile.serial_number(serial)


@pytest.mark.parametrize("text", ["", "x" * 65, "a\nb"], ids=repr)
def test_a_name_of_another_form_is_refused(text):
    with pytest.raises(MatterError, match="a name is"):
        Subject(text)


@pytest.mark.parametrize("size", [0, 7, 73])
def test_a_signature_of_another_size_is_not_spliced(size):
    with pytest.raises(MatterError, match="C06"):
        profile.splice(b"\x30\x00", bytes(size))


@pytest.mark.parametrize("number", [-1, 0x10000])
def test_an_id_outside_16_bits_is_refused(number):
    with pytest.raises(MatterError, match="MALFORMED"):
        VendorId(number)


@pytest.mark.parametrize("text", ["fff1", "FFF", "0FFF1", "FFG1", "\uff26FF1", " FF1"])
def test_an_id_in_another_spelling_is_refused(text):
    with pytest.raises(MatterError, match="MALFORMED"):
        VendorId.from_hex4(text)


def test_oids_of_one_two_and_three_octets_an_arc():
    assert profile.oid("1.3.6.1.4.1.37244.2.1") == bytes.fromhex("060a2b0601040182a27c0201")
    assert profile.oid("2.16.840.1.101.3.4.2.1") == bytes.fromhex("0609608648016503040201")


def test_prefixes_of_one_and_twelve_octets_are_allowed():
    assert [
        len(pki().template(serial_prefix=PREFIX[:1] * n, common_name_pattern="x").serial_prefix) for n in (1, 12)
    ] == [1, 12]
