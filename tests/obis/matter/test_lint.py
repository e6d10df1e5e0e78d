"""Every rule of the lint is hit, alone where the rules allow it, by a certificate that breaks it and nothing else."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from obis.matter import lint, p256, profile
from obis.matter.findings import Kind, Severity, errors_of
from obis.matter.ids import ProductId, VendorId
from obis.matter.lint_chain import lint_chain, lint_issued
from obis.matter.profile import NO_EXPIRY, Subject, oid, sequence, tlv
from tests.obis.matter.forge import (
    CA_USAGE,
    DAC_USAGE,
    authority_key_id,
    basic,
    extension,
    forge,
    subject_key_id,
    usage,
)
from tests.obis.matter.pki import BEGIN, PRODUCT, VENDOR, Key, pki

PAA, PAI, DAC = Kind.PAA, Kind.PAI, Kind.DAC
POINT = pki().dac_key.point
OTHER_VENDOR, OTHER_PRODUCT = VendorId(0xFFF2), ProductId(0x8001)
SHA1 = sequence(oid("1.2.840.10045.4.1"))
WITH_NULL = sequence(oid("1.2.840.10045.4.3.2"), b"\x05\x00")
K1 = ec.generate_private_key(ec.SECP256K1()).public_key()
COMPRESSED = pki().dac_key.private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
EC_P256 = sequence(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7"))
EC_K1 = sequence(oid("1.2.840.10045.2.1"), oid("1.3.132.0.10"))
UNKNOWN = "1.3.6.1.4.1.37244.99"
KEY_ID = bytes(20)


def attribute(dotted, text, tag=0x0C):
    return tlv(0x31, sequence(oid(dotted), tlv(tag, text)))


def vendor(text, tag=0x0C):
    return attribute("1.3.6.1.4.1.37244.2.1", text, tag)


def product(text, tag=0x0C):
    return attribute("1.3.6.1.4.1.37244.2.2", text, tag)


def named(text):
    return sequence(attribute("2.5.4.3", text))


def times(begin, end):
    return sequence(*(tlv(tag, text) for tag, text in (begin, end)))


def signature(r, s):
    return sequence(*(tlv(0x02, number) for number in (r, s)))


BEGIN_TIME, END_TIME = (0x17, b"260101000000Z"), (0x18, b"99991231235959Z")
N = b"\x00" + p256.N.to_bytes(32)

BROKEN = [
    ("C01", DAC, {"extra": extension("2.5.29.17", bytes(200))}),
    ("C02", DAC, {"trailing": b"\0"}),
    ("C02", DAC, {"version": bytes.fromhex("a003020100")}),
    ("C02", DAC, {"basic": sequence(oid("2.5.29.19"), b"\x01\x01\x00", tlv(0x04, sequence()))}),
    ("C02", DAC, {"subject": b"\x30\x82\x00\x02\x31\x00"}),
    ("C03", DAC, {"version": bytes.fromhex("a003020101")}),
    ("C03", PAI, {"version": bytes.fromhex("a003020103")}),
    ("C03", PAA, {"version": b""}),
    ("C04", DAC, {"serial": b"\x02\x01\x00"}),
    ("C04", DAC, {"serial": b"\x02\x01\x80"}),
    ("C04", DAC, {"serial": b"\x02\x02\x00\x01"}),
    ("C04", DAC, {"serial": b"\x02\x00"}),
    ("C04", PAI, {"serial": b"\x02\x15" + b"\x01" * 21}),
    ("C05", DAC, {"inner": SHA1, "outer": SHA1}),
    ("C05", DAC, {"inner": WITH_NULL, "outer": WITH_NULL}),
    ("C05", PAI, {"outer": SHA1}),
    ("C06", DAC, {"signature": signature(b"\x01", N)}),
    ("C06", DAC, {"signature": signature(b"\x00", b"\x01\x02\x03")}),
    ("C06", DAC, {"signature": signature(b"\x00\x01\x01\x01\x01", b"\x01")}),
    ("C06", DAC, {"signature": signature(b"\x81\x01\x01\x01", b"\x01")}),
    ("C06", DAC, {"signature": signature(b"\x01" * 8, b"\x01") + b"\0"}),
    ("C06", DAC, {"signature": b""}),
    ("C07", DAC, {"validity": times((0x18, b"20260101000000Z"), END_TIME)}),
    ("C07", DAC, {"validity": times(BEGIN_TIME, (0x17, b"251231000000Z"))}),
    ("C07", DAC, {"validity": times(BEGIN_TIME, (0x18, b"20491231235959Z"))}),
    ("C07", DAC, {"validity": times((0x17, b"500101000000Z"), (0x17, b"491231235960Z"))}),
    ("C07", DAC, {"validity": times((0x17, b"2601010000Z"), END_TIME)}),
    ("C07", DAC, {"validity": times((0x17, b"260101000000+"), END_TIME)}),
    ("C07", DAC, {"validity": times((0x17, b"261301000000Z"), END_TIME)}),
    ("C07", DAC, {"validity": times(BEGIN_TIME, (0x18, b"20600101000000.5Z"))}),
    ("C09", PAI, {"subject": sequence(vendor(b"fff1"))}),
    ("C09", PAI, {"subject": sequence(vendor(b"FFF1"), vendor(b"FFF1"))}),
    ("C09", PAI, {"subject": sequence(vendor(b"FFF1", tag=0x16))}),
    ("C09", PAI, {"subject": sequence(vendor(b"FFF1"), product(b"8000 "))}),
    ("C09", DAC, {"subject": named(b"Mvid:FFF1 Mpid:80G0")}),
    ("C09", DAC, {"subject": named(b"Mvid:fff1 Mpid:8000")}),
    ("C09", PAA, {"subject": sequence(vendor(b"fff1")), "issuer": sequence(vendor(b"fff1"))}),
    ("C09", DAC, {"subject": sequence(vendor(b"fff1")), "issuer": sequence(vendor(b"fff1"))}),
    ("C10", DAC, {"spki": sequence(EC_K1, tlv(0x03, b"\0", POINT))}),
    ("C10", DAC, {"spki": K1.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)}),
    ("C10", DAC, {"spki": sequence(EC_P256, tlv(0x03, b"\0", COMPRESSED))}),
    ("C10", DAC, {"spki": sequence(EC_P256, tlv(0x03, b"\0", POINT[:-1] + bytes([POINT[-1] ^ 1])))}),
    ("C10", DAC, {"spki": sequence(EC_P256, tlv(0x03, b"\1", POINT))}),
    ("C10", DAC, {"spki": sequence()}),
    ("C11", DAC, {"extra": usage(DAC_USAGE)}),
    ("C12", PAA, {"basic": basic(profile.ca_constraints(2))}),
    ("C12", PAI, {"basic": basic(profile.ca_constraints(1))}),
    ("C12", PAI, {"basic": basic(sequence(b"\x01\x01\xff"))}),
    ("C12", PAI, {"basic": basic(sequence())}),
    ("C12", PAI, {"basic": basic(profile.ca_constraints(0), critical=False)}),
    ("C12", DAC, {"basic": basic(sequence(b"\x01\x01\x00"))}),
    ("C12", DAC, {"basic": basic(sequence(b"\x01\x01\xff"))}),
    ("C12", DAC, {"basic": basic(sequence(b"\x02\x01\x00"))}),
    ("C12", DAC, {"basic": basic(sequence(b"\x02\x01\x00", b"\x05\x00"))}),
    ("C12", DAC, {"basic": basic(b"")}),
    ("C12", DAC, {"basic": b""}),
    ("C13", DAC, {"extra": extension(UNKNOWN, b"\x05\x00", critical=True)}),
    ("C13", DAC, {"unique": tlv(0x81, b"\x00\x01")}),
    ("C13", PAI, {"unique": tlv(0x82, b"\x00\x01")}),
    ("C14", DAC, {"usage": usage(DAC_USAGE, critical=False)}),
    ("C14", DAC, {"usage": usage(b"\x03\x02\x06\xc0")}),
    ("C14", DAC, {"usage": usage(b"\x03\x02\x00\x80")}),
    ("C14", DAC, {"usage": usage(b"\x03\x02\x07\x81")}),
    ("C14", DAC, {"usage": usage(b"\x03\x01\x00")}),
    ("C14", DAC, {"usage": usage(CA_USAGE)}),
    ("C14", DAC, {"usage": b""}),
    ("C14", PAI, {"usage": usage(DAC_USAGE)}),
    ("C14", PAI, {"usage": usage(b"\x03\x02\x02\x04")}),
    ("C15", DAC, {"ski": b""}),
    ("C15", DAC, {"ski": subject_key_id(bytes(19))}),
    ("C15", DAC, {"ski": subject_key_id(profile.key_id(POINT), critical=True)}),
    ("C15", DAC, {"ski": extension("2.5.29.14", KEY_ID)}),
    ("C16", DAC, {"aki": b""}),
    ("C16", DAC, {"aki": authority_key_id(bytes(19))}),
    ("C16", DAC, {"aki": authority_key_id(KEY_ID, critical=True)}),
    ("C16", DAC, {"aki": extension("2.5.29.35", b"\x30\x01")}),
    ("C16", PAA, {"aki": authority_key_id(KEY_ID)}),
    ("N01", PAI, {"subject": sequence(attribute("2.5.4.3", b"PAI"))}),
    ("N01", PAI, {"subject": sequence(attribute("2.5.4.3", b"Mvid:FFF1"), product(b"8000"))}),
    ("N03", DAC, {"issuer": sequence(attribute("2.5.4.3", b"PAI"))}),
    ("N04", DAC, {"subject": Subject("DAC", OTHER_VENDOR, PRODUCT).encode()}),
    ("N05", DAC, {"subject": Subject("DAC", VENDOR, OTHER_PRODUCT).encode()}),
    ("N06", DAC, {"subject": sequence(product(b"8000"))}),
    ("N07", PAI, {"subject": Subject("PAI", OTHER_VENDOR, PRODUCT).encode()}),
    ("N08", DAC, {"subject": Subject("DAC", VENDOR).encode()}),
    ("N09", PAA, {"issuer": Subject("Another", VENDOR).encode()}),
]


def rules(findings):
    return sorted({finding.rule for finding in findings})


@pytest.mark.parametrize("kind", Kind)
def test_an_unchanged_certificate_has_no_finding(kind):
    assert lint.lint_certificate(forge(kind), kind) == []


@pytest.mark.parametrize(("rule", "kind", "changed"), BROKEN, ids=lambda each: each if isinstance(each, str) else "")
def test_a_broken_rule_is_found_and_no_other(rule, kind, changed):
    assert rules(errors_of(lint.lint_certificate(forge(kind, **changed), kind))) == [rule]


def test_a_paa_with_a_product_breaks_its_rule():
    name = Subject("PAA", VENDOR, PRODUCT).encode()

    assert rules(lint.lint_paa(forge(PAA, subject=name, issuer=name))) == ["N02"]


def test_every_rule_has_its_certificate():
    broken = {rule for rule, _, _ in BROKEN} | {"N02"}

    assert broken == {rule for rule, _ in lint.RULES} | {"C02"}


WARNED = [
    ("C07", DAC, {"validity": times(BEGIN_TIME, (0x18, b"20600101000000Z"))}),
    ("C09", DAC, {"subject": named(b"Mpid:8000Mvid:FFF1")}),
    ("C13", DAC, {"extra": extension(UNKNOWN, b"\x05\x00")}),
    ("C13", DAC, {"extra": extension("2.5.29.37", sequence(oid("1.3.6.1.5.5.7.3.2")), critical=True)}),
    ("C15", DAC, {"ski": subject_key_id(KEY_ID)}),
]


@pytest.mark.parametrize(("rule", "kind", "changed"), WARNED, ids=lambda each: each if isinstance(each, str) else "")
def test_what_is_allowed_but_not_ours_is_a_warning(rule, kind, changed):
    findings = lint.lint_certificate(forge(kind, **changed), kind)

    assert [(finding.rule, finding.severity) for finding in findings] == [(rule, Severity.WARNING)]


ALLOWED = [
    (PAA, {"validity": times((0x17, b"500101000000Z"), END_TIME)}),
    (PAA, {"validity": times((0x18, b"20500101000000Z"), END_TIME)}),
    (PAA, {"validity": times((0x17, b"491231235959Z"), END_TIME)}),
    (PAA, {"basic": basic(sequence(b"\x01\x01\xff"))}),
    (PAA, {"aki": b""}),
    (PAI, {"usage": usage(b"\x03\x02\x01\x86")}),
    (PAI, {"subject": Subject("PAI", VENDOR).encode()}),
    (DAC, {"subject": sequence(vendor(b"FFF1", tag=0x13), product(b"8000", tag=0x13))}),
    (DAC, {"subject": sequence(attribute("2.5.4.3", b"Mvid:zzzz"), vendor(b"FFF1"), product(b"8000"))}),
    (DAC, {"extra": extension("2.5.29.31", b"\x30\x00")}),
]


@pytest.mark.parametrize(("kind", "changed"), ALLOWED)
def test_what_the_profile_allows_has_no_finding(kind, changed):
    assert lint.lint_certificate(forge(kind, **changed), kind) == []


@pytest.mark.parametrize(("size", "found"), [(600, []), (601, ["C01"])])
def test_six_hundred_octets_are_allowed(size, found):
    def padded(octets):
        return forge(DAC, extra=extension("2.5.29.17", bytes(octets)), signature=bytes.fromhex("3006020101020101"))

    certificate = padded(200 + size - len(padded(200)))

    assert len(certificate) == size
    assert rules(errors_of(lint.lint_dac(certificate))) == found


def chain(**changed):
    return [changed.get(kind.name.lower(), forge(kind)) for kind in Kind]


def validity(begin, end=NO_EXPIRY):
    return profile.validity(begin, end)


ANOTHER = Key()
LATER = BEGIN + timedelta(days=1)
OTHER_PAI = Subject("OBIS Test PAI", OTHER_VENDOR, PRODUCT).encode()
OTHER_DAC = Subject("DAC", VENDOR, OTHER_PRODUCT).encode()
TAGGED = sequence(attribute("2.5.4.3", b"OBIS Test PAI", 0x13), vendor(b"FFF1"), product(b"8000"))
BROKEN_CHAINS = [
    (["X01"], {"dac": forge(DAC, signature=ANOTHER.sign(b""))}),
    (["X01"], {"pai": forge(PAI, signature=ANOTHER.sign(b""))}),
    (["X01"], {"paa": forge(PAA, signature=ANOTHER.sign(b""))}),
    (["X04"], {"dac": forge(DAC, issuer=TAGGED)}),
    (["X05"], {"dac": forge(DAC, aki=authority_key_id(KEY_ID))}),
    (["N07", "X06"], {"pai": forge(PAI, subject=OTHER_PAI), "dac": forge(DAC, issuer=OTHER_PAI, subject=OTHER_PAI)}),
    (["N05", "X07"], {"dac": forge(DAC, subject=OTHER_DAC)}),
    (["C16"], {"dac": forge(DAC, aki=b"")}),
    (["X09"], {"pai": forge(PAI, validity=validity(LATER))}),
    (["X09"], {"paa": forge(PAA, validity=validity(LATER))}),
    (["C07", "X09"], {"pai": forge(PAI, validity=validity(BEGIN - timedelta(days=9), BEGIN - timedelta(seconds=1)))}),
    (["C07", "X10"], {"dac": forge(DAC, validity=validity(BEGIN, BEGIN + timedelta(hours=1)))}),
    (["X10"], {"dac": forge(DAC, validity=validity(LATER + timedelta(seconds=1)))}),
    (
        ["X11"],
        {
            "dac": forge(
                DAC, spki=profile.spki(pki().pai_key.point), ski=subject_key_id(profile.key_id(pki().pai_key.point))
            )
        },
    ),
]


def test_an_unchanged_chain_has_no_finding():
    assert lint_chain(*chain(), LATER) == []


@pytest.mark.parametrize(("expected", "changed"), BROKEN_CHAINS, ids="-".join)
def test_a_broken_chain_is_found(expected, changed):
    assert rules(lint_chain(*chain(**changed), LATER)) == expected


def test_a_chain_is_judged_by_the_dacs_begin_and_not_by_now():
    ended = validity(BEGIN - timedelta(days=9), BEGIN)

    assert errors_of(lint_chain(*chain(pai=forge(PAI, validity=ended)), LATER)) == []


def test_an_unreadable_certificate_leaves_the_chain_unjudged():
    assert rules(lint_chain(*chain(pai=b"\x30"))) == ["C02"]


def test_an_unreadable_issuer_is_found():
    assert rules(lint_issued(b"", forge(DAC))) == ["C02"]


def test_an_issued_twin_needs_no_right_signature():
    twin = forge(DAC, signature=ANOTHER.sign(b""))

    assert lint_issued(forge(PAI), twin) == []


def test_every_chain_rule_has_its_chain():
    assert {"X01", "X04", "X05", "X06", "X07", "X09", "X10", "X11"} <= {
        rule for expected, _ in BROKEN_CHAINS for rule in expected
    }
