"""Certification requests: by two makers, and every way in which one is refused."""

import subprocess
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from obis.matter.csr import MAX_CSR_BYTES, parse_csr
from obis.matter.errors import MatterError
from obis.matter.profile import sequence, spki, tlv
from tests.obis.matter.pki import Key, pki

ALGORITHM = bytes.fromhex("300a06082a8648ce3d040302")


def request(key=None, algorithm=None, name="chip"):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    digest = algorithm or hashes.SHA256()
    signed = builder.sign(key or pki().dac_key.private, None if isinstance(key, ed25519.Ed25519PrivateKey) else digest)
    return signed.public_bytes(Encoding.DER)


def forged(key, spki_der=None, algorithm=ALGORITHM, signature=None, version=b"\x02\x01\x00"):
    """A request put together by hand, with a right signature unless another is given."""
    info = sequence(version, sequence(), spki_der or spki(key.point), tlv(0xA0))
    return sequence(info, algorithm, tlv(0x03, b"\0", signature or key.sign(info)))


def test_cryptographys_request_proves_its_key():
    key = parse_csr(request())

    assert key.point == pki().dac_key.point
    assert key.spki_der == spki(key.point)
    assert key.spki_digest == sha256(key.spki_der).digest()


def openssl(folder, *arguments):
    return subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True).stdout


@pytest.mark.needs("openssl")
def test_openssls_request_proves_its_key(tmp_path):
    made = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key"]
    csr = openssl(tmp_path, *made, "-subj", "/CN=chip/O=any", "-outform", "DER")

    assert parse_csr(csr).spki_der == openssl(tmp_path, "pkey", "-in", "key", "-pubout", "-outform", "DER")


def test_a_request_by_hand_proves_its_key():
    assert parse_csr(forged(Key())).point


def test_nothing_else_of_the_request_counts():
    assert parse_csr(request(name="one")) == parse_csr(request(name="two"))


def padded(octets):
    """A request that asks for a DNS name of so many octets: the length of its parts takes one, two and three octets."""
    wish = x509.SubjectAlternativeName([x509.DNSName("x" * octets)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(wish, critical=False)
    return builder.sign(pki().dac_key.private, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize("octets", [1, 60, 100, 128, 256, 700])
def test_a_request_of_any_size_within_the_limit_is_read(octets):
    assert parse_csr(padded(octets)).point == pki().dac_key.point


def test_the_limit_is_1024_octets():
    least = len(padded(800)) - 800
    fits, does_not = padded(MAX_CSR_BYTES - least - 8), padded(MAX_CSR_BYTES - least + 8)  # signatures vary in length

    assert parse_csr(fits)
    with pytest.raises(MatterError, match="above 1024"):
        parse_csr(does_not)


def compressed(key):
    return key.private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


EC_P256 = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
KEY = Key()
OFF_CURVE = KEY.point[:-1] + bytes([KEY.point[-1] ^ 1])
REFUSED = {
    "empty": ("CSR_MALFORMED", b""),
    "octets trail": ("CSR_MALFORMED", request() + b"\0"),
    "cut short": ("CSR_MALFORMED", request()[:-1]),
    "too long": ("CSR_MALFORMED", request(name="x" * 60) + bytes(MAX_CSR_BYTES)),
    "SHA-384": ("CSR_MALFORMED", request(algorithm=hashes.SHA384())),
    "parameters": ("CSR_MALFORMED", forged(KEY, algorithm=bytes.fromhex("300c06082a8648ce3d0403020500"))),
    "version 2": ("CSR_MALFORMED", forged(KEY, version=b"\x02\x01\x01")),
    "a certificate": ("CSR_MALFORMED", pki().dac()),
    "P-384": ("CSR_CURVE_UNSUPPORTED", request(ec.generate_private_key(ec.SECP384R1()))),
    "secp256k1": ("CSR_CURVE_UNSUPPORTED", request(ec.generate_private_key(ec.SECP256K1()))),
    "RSA": ("CSR_CURVE_UNSUPPORTED", request(rsa.generate_private_key(65537, 2048))),
    "Ed25519": ("CSR_CURVE_UNSUPPORTED", request(ed25519.Ed25519PrivateKey.generate())),
    "compressed": ("CSR_CURVE_UNSUPPORTED", forged(KEY, sequence(EC_P256, tlv(0x03, b"\0", compressed(KEY))))),
    "off the curve": ("CSR_CURVE_UNSUPPORTED", forged(KEY, sequence(EC_P256, tlv(0x03, b"\0", OFF_CURVE)))),
    "another's signature": ("CSR_SIGNATURE_INVALID", forged(KEY, signature=Key().sign(b""))),
    "another's key": ("CSR_SIGNATURE_INVALID", forged(KEY, spki(Key().point))),
    "no signature": ("CSR_SIGNATURE_INVALID", forged(KEY, signature=b"\x30\x00")),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_request_is_refused(what):
    reason, csr = REFUSED[what]

    with pytest.raises(MatterError) as refused:
        parse_csr(csr)

    assert refused.value.reason == reason
