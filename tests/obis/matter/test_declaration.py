"""Certification Declarations: the SDK's own, ours for demonstrations, and every rule that one can break."""

import pytest

from obis.matter import ids, tlv
from obis.matter.cms import SignedContent, encode_signed_data, parse_signed_data
from obis.matter.declaration import Declaration, require_fit, sign_declaration, verify_declaration
from obis.matter.errors import MatterError
from obis.matter.ids import ProductId, VendorId
from obis.matter.names import AttestationIds
from obis.matter.profile import ECDSA_WITH_SHA256, key_id, oid, sequence
from obis.matter.profile import tlv as element
from tests.obis.matter.pki import PRODUCT, VENDOR, Key
from tests.obis.matter.vectors import CD_KEY_ID, CD_POINT, declarations

SIGNER = Key()
KEY_ID = key_id(SIGNER.point)
SIGNERS = {KEY_ID: SIGNER.point}
RIGHT = {
    "vendor_id": 0xFFF1,
    "product_ids": (0x8000, 0x8001),
    "device_type_id": 0x0100,
    "certificate_id": "ZIG20142ZB330003-24",
    "version_number": 1,
    "certification_type": 1,
}
PAA = bytes(range(20))


def said(**changed):
    return Declaration(**RIGHT | changed)


def signed(content, key_id=KEY_ID):
    return encode_signed_data(SignedContent(content, key_id, SIGNER.sign(content)))


def fields(**changed):
    """The content with tags changed, or removed by None."""
    found = tlv.decode(said().encode()) | {int(tag[1:]): value for tag, value in changed.items()}
    return tlv.encode({tag: value for tag, value in found.items() if value is not None})


@pytest.mark.parametrize("name", declarations())
def test_the_sdks_declarations_are_read(name):
    declaration = verify_declaration(declarations()[name], {CD_KEY_ID: CD_POINT})

    assert f"{declaration.vendor_id:X}-" + "-".join(f"{each:X}" for each in declaration.product_ids) in name
    assert (declaration.dac_origin is not None) == ("WithDACOrigin" in name)


@pytest.mark.parametrize("name", declarations())
def test_the_sdks_declarations_are_written_octet_for_octet(name):
    parsed = parse_signed_data(declarations()[name])

    assert verify_declaration(declarations()[name], {CD_KEY_ID: CD_POINT}).encode() == parsed.content
    assert encode_signed_data(parsed) == declarations()[name]


@pytest.mark.parametrize("changed", [{}, {"dac_origin": (1, 2), "authorized_paas": (PAA,) * 10}], ids=str)
def test_our_own_reads_back(changed):
    der = sign_declaration(said(**changed), key_id=KEY_ID, sign=SIGNER.sign)

    assert verify_declaration(der, SIGNERS) == said(**changed)


def test_the_greatest_declaration_fits_a_device():
    greatest = said(product_ids=tuple(range(0xFF00, 0xFF64)), authorized_paas=(PAA,) * 10, dac_origin=(0xFFF1, 0x8000))

    assert verify_declaration(sign_declaration(greatest, key_id=KEY_ID, sign=SIGNER.sign), SIGNERS) == greatest


BAD_VALUES = [
    {"vendor_id": 0x10000},
    {"product_ids": ()},
    {"product_ids": tuple(range(101))},
    {"product_ids": (0x10000,)},
    {"device_type_id": 1 << 32},
    {"certificate_id": "ZIG20142ZB330003-2"},
    {"certificate_id": "\ud800" * 19},
    {"version_number": 0x10000},
    {"certification_type": 3},
    {"dac_origin": (0x10000, 1)},
    {"authorized_paas": ()},
    {"authorized_paas": (PAA,) * 11},
    {"authorized_paas": (PAA[1:],)},
]


@pytest.mark.parametrize("changed", BAD_VALUES, ids=str)
def test_values_outside_the_limits_are_refused(changed):
    with pytest.raises(MatterError, match="CD_INVALID"):
        said(**changed)


BAD_CONTENTS = [
    *({f"t{tag}": None} for tag in range(9)),
    {"t0": 2},
    {"t5": 1},
    {"t6": 1},
    {"t9": 1},
    {"t10": 1},
    {"t12": 1},
    {"t11": []},
    {"t11": [1]},
    {"t2": 1},
    {"t1": "FFF1"},
    {"t1": True},
    {"t4": b"ZIG20142ZB330003-24"},
]


@pytest.mark.parametrize("changed", BAD_CONTENTS, ids=str)
def test_contents_that_break_a_rule_are_refused(changed):
    with pytest.raises(MatterError) as refused:
        verify_declaration(signed(fields(**changed)), SIGNERS)

    assert refused.value.reason == "CD_INVALID"


def test_contents_that_are_not_tlv_are_refused():
    with pytest.raises(MatterError, match="not TLV"):
        verify_declaration(signed(b"\x15"), SIGNERS)


SHA256 = sequence(oid(ids.OID_SHA256))
SHA1 = sequence(oid("1.3.14.3.2.26"))
VERSION = b"\x02\x01\x03"
CONTENT = element(0xA0, element(0x04, said().encode()))


def cms(
    kind=ids.OID_CMS_SIGNED_DATA, inside=ids.OID_CMS_DATA, digests=SHA256, certificates=b"", content=CONTENT, **changed
):
    signature = element(0x04, SIGNER.sign(said().encode()))
    parts = {"version": VERSION, "signer": element(0x80, KEY_ID), "digest": SHA256, "algorithm": ECDSA_WITH_SHA256}
    parts |= {"signature": signature, "attributes": b""} | {name: changed[name] for name in changed if name != "outer"}
    body = (
        element(0x31, digests),
        sequence(oid(inside), content),
        certificates,
        element(0x31, sequence(*parts.values())),
    )
    return sequence(oid(kind), element(0xA0, sequence(changed.get("outer", VERSION), *body)))


def test_the_hand_made_shape_is_right():
    assert verify_declaration(cms(), SIGNERS) == said()
    assert verify_declaration(cms(digests=sequence(oid(ids.OID_SHA256), b"\x05\x00")), SIGNERS) == said()


BAD_SHAPES = {
    "octets trail": cms() + b"\0",
    "not signed data": cms(kind="1.2.840.113549.1.7.1"),
    "content type": cms(inside="1.2.840.113549.1.7.2"),
    "no content": cms(content=b""),
    "version 1": cms(outer=b"\x02\x01\x01"),
    "signer version 1": cms(version=b"\x02\x01\x01"),
    "two digests": cms(digests=SHA256 + SHA256),
    "SHA-1": cms(digests=SHA1),
    "signer SHA-1": cms(digest=SHA1),
    "digest parameters": cms(digest=sequence(oid(ids.OID_SHA256), b"\x02\x01\x00")),
    "a certificate": cms(certificates=element(0xA0, sequence())),
    "short key id": cms(signer=element(0x80, KEY_ID[1:])),
    "issuer and serial": cms(signer=sequence()),
    "ECDSA with SHA-1": cms(algorithm=sequence(oid("1.2.840.10045.4.1"))),
    "attributes": cms(attributes=element(0xA0)),
    "raw signature": cms(signature=element(0x04, bytes(64))),
}


@pytest.mark.parametrize("what", BAD_SHAPES)
def test_another_shape_of_cms_is_refused(what):
    with pytest.raises(MatterError) as refused:
        verify_declaration(BAD_SHAPES[what], SIGNERS)

    assert refused.value.reason == "CD_INVALID"


def test_a_declaration_that_no_device_can_carry_is_refused():
    with pytest.raises(MatterError, match="900"):
        verify_declaration(bytes(901), SIGNERS)


def test_an_unknown_signer_is_refused():
    with pytest.raises(MatterError, match="signer is not known"):
        verify_declaration(signed(said().encode(), key_id=bytes(20)), SIGNERS)


def test_another_keys_signature_is_refused():
    with pytest.raises(MatterError, match="not by the key"):
        verify_declaration(cms(signature=element(0x04, Key().sign(said().encode()))), SIGNERS)


@pytest.mark.parametrize("point", [b"", Key().point], ids=["no point", "another"])
def test_a_signer_with_another_key_is_refused(point):
    with pytest.raises(MatterError, match="not by the key"):
        verify_declaration(cms(), {KEY_ID: point})


DAC = AttestationIds(VENDOR, PRODUCT)
OTHER_VENDOR, OTHER_PRODUCT = AttestationIds(VendorId(0xFFF2), PRODUCT), AttestationIds(VENDOR, ProductId(0x8002))
FITS = {"vendor_id": 0xFFF1, "product_id": 0x8000, "dac": DAC, "pai": DAC, "paa_key_id": PAA}


@pytest.mark.parametrize(
    ("changed", "asked"),
    [
        ({}, {}),
        ({}, {"pai": AttestationIds(VENDOR, None)}),
        ({}, {"product_id": 0x8001}),
        ({"authorized_paas": (bytes(20), PAA)}, {}),
        ({"vendor_id": 0xFFF2, "dac_origin": (0xFFF1, 0x8000)}, {"vendor_id": 0xFFF2}),
    ],
    ids=str,
)
def test_it_fits(changed, asked):
    require_fit(said(**changed), **FITS | asked)


@pytest.mark.parametrize(
    ("changed", "asked"),
    [
        ({}, {"vendor_id": 0xFFF2}),
        ({}, {"product_id": 0x8002}),
        ({}, {"dac": OTHER_VENDOR}),
        ({}, {"pai": OTHER_VENDOR}),
        ({}, {"dac": OTHER_PRODUCT}),
        ({}, {"pai": OTHER_PRODUCT}),
        ({}, {"dac": AttestationIds(VENDOR, None)}),
        ({"dac_origin": (0xFFF2, 0x8000)}, {}),
        ({"dac_origin": (0xFFF1, 0x8001)}, {}),
        ({"authorized_paas": (bytes(20),)}, {}),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(changed, asked):
    with pytest.raises(MatterError, match="CD_INVALID"):
        require_fit(said(**changed), **FITS | asked)
