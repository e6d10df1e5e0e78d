"""The certificates of the miniature mesh: Matter's, the vault's, and a certification declaration."""

from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha1, sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from obis.matter.dac import DacTemplate
from obis.matter.declaration import Declaration, sign_declaration
from obis.matter.ids import ProductId, VendorId
from obis.matter.paa import PaaProfile, build_paa
from obis.matter.pai import PaiProfile, build_pai
from obis.matter.profile import Subject
from tests.obis.trust import objects
from tests.obis.trust.keys import Key, p256
from tests.obis.trust.people import BEGIN, SITE_ROOT


def datetime_of(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@cache
def paa() -> bytes:
    key = p256("paa")
    said = PaaProfile(subject=Subject("Test PAA", VendorId(objects.VENDOR_ID)), not_before=datetime_of(BEGIN))
    return build_paa(said, point=key.point, serial=b"\x01" * 9, sign=key.sign)


@cache
def pai(edgehsm: str) -> bytes:
    key = p256(f"{edgehsm} pai")
    subject = Subject(f"PAI {edgehsm}", VendorId(objects.VENDOR_ID), ProductId(objects.PRODUCT_CODE))
    said = PaiProfile(subject=subject, not_before=datetime_of(BEGIN))
    serial = b"\x02" + sha256(edgehsm.encode()).digest()[:8]
    return build_pai(said, paa_der=paa(), point=key.point, serial=serial, sign=p256("paa").sign)


@cache
def declaration() -> bytes:
    signer = p256("cd signer")
    said = Declaration(
        vendor_id=objects.VENDOR_ID,
        product_ids=(objects.PRODUCT_CODE,),
        device_type_id=0x0100,
        certificate_id="ZIG0000000000000000",
        version_number=1,
        certification_type=0,
    )
    key_id = sha1(signer.point, usedforsecurity=False).digest()
    return sign_declaration(said, key_id=key_id, sign=signer.sign)


@cache
def dac_template(**asked) -> DacTemplate:
    return DacTemplate(**asked)


def authority(name: str, key: Key) -> bytes:
    builder = certificate(name, name, key).add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    return signed(builder, key)


def site_ca(factory: str, key: Key, site_root: bytes, host: str = "", by: Key = SITE_ROOT) -> bytes:
    host = host or f"{factory}.site.obis"
    permitted = [x509.UniformResourceIdentifier(host), x509.DNSName(host)]
    issuer = x509.load_der_x509_certificate(site_root).subject
    builder = certificate(f"site CA {factory}", "", key, issuer)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(x509.NameConstraints(permitted, None), critical=True)
    return signed(builder, by)


def certificate(name: str, issuer_name: str, key: Key, issuer: x509.Name | None = None) -> x509.CertificateBuilder:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(issuer or named(issuer_name))
        .public_key(key.private.public_key())
        .serial_number(int.from_bytes(sha256(name.encode()).digest()[:8]) >> 1)
        .not_valid_before(datetime_of(BEGIN))
        .not_valid_after(datetime_of(BEGIN) + timedelta(days=400))
    )


def signed(builder: x509.CertificateBuilder, key: Key) -> bytes:

    return builder.sign(key.private, hashes.SHA256()).public_bytes(Encoding.DER)
