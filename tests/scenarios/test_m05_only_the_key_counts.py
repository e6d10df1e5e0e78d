"""M5: EdgeHSM takes the public key from the request and the proof that its holder signed it, and nothing else.

Requests by two makers (the `cryptography` library and the `openssl` command) for another vendor, oversized, truncated, on
another curve, signed by another key. What is malformed leaves no leaf, no count and no certificate; what the gate
refuses leaves its leaf, and no more of them a minute than the cap.
"""

import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edgehsm.boundary.book import REFUSALS_A_MINUTE
from obis.matter.findings import errors_of
from obis.matter.lint_chain import lint_chain
from obis.refusal import Refused
from obis.v1.keys_pb2 import ListCertificatesRequest
from tests.scenarios.devices import Device, csr_for, new_key, reason
from tests.scenarios.mesh import HOME, PATIENCE

SOC = "generic-thread"
VENDOR, PRODUCT = "1.3.6.1.4.1.37244.2.1", "1.3.6.1.4.1.37244.2.2"


def by_openssl(folder, subject: str, curve: str = "prime256v1") -> bytes:
    """A request of the `openssl` command's own making."""
    key = folder / f"{curve}.key"
    making = ["openssl", "ecparam", "-name", curve, "-genkey", "-noout", "-out", str(key)]
    subprocess.run(making, check=True, capture_output=True)
    asking = ["openssl", "req", "-new", "-sha256", "-key", str(key), "-subj", subject, "-outform", "DER"]
    return subprocess.run(asking, check=True, capture_output=True).stdout


def wrong_signature() -> bytes:
    """Another key's request with its last signature octet changed: still DER."""
    request = bytearray(new_key().csr())
    request[-1] ^= 1
    return bytes(request)


def long_request() -> bytes:
    """Sound in every way, and above 1024 octets."""
    return csr_for(new_key(), *[("2.5.4.11", "x" * 60)] * 16)


MALFORMED = {
    "truncated": (lambda _: new_key().csr()[:-20], "CSR_MALFORMED"),
    "one octet too many": (lambda _: new_key().csr() + b"\0", "CSR_MALFORMED"),
    "not DER": (lambda _: b"\x30\x80" + bytes(200), "CSR_MALFORMED"),
    "on P-384, by the library": (lambda _: new_key(ec.SECP384R1()).csr(), "CSR_CURVE_UNSUPPORTED"),
    "on P-521, by openssl": (lambda folder: by_openssl(folder, "/CN=x", "secp521r1"), "CSR_CURVE_UNSUPPORTED"),
    "on secp256k1, by openssl": (lambda folder: by_openssl(folder, "/CN=x", "secp256k1"), "CSR_CURVE_UNSUPPORTED"),
    "self-signature wrong": (lambda _: wrong_signature(), "CSR_SIGNATURE_INVALID"),
}


@pytest.fixture(scope="module")
async def batch(mesh):
    return await mesh.batch(mesh.bulb, 3)


async def used(mesh, batch) -> int:
    return next(each.used for each in (await mesh.status(HOME)).authorizations if each.auth_id == batch.auth_id)


async def told(mesh, from_index: int) -> list[str]:
    """What the log says of certificates given and refused since an index."""
    kinds = [each.WhichOneof("entry") for each in await mesh.leaves(HOME, from_index)]
    return [each for each in kinds if each in {"issued", "refused"}]


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("what", MALFORMED)
async def test_a_malformed_request_leaves_no_leaf_no_count_and_no_certificate(mesh, batch, tmp_path, what):
    make, word = MALFORMED[what]
    device, before = Device(SOC), (await mesh.status(HOME)).log_size
    counted = await used(mesh, batch)

    reply = await mesh.step(HOME, device.issue(batch.auth_id, make(tmp_path)))

    assert (reason(reply), reply.HasField("issued")) == (word, False)
    assert await used(mesh, batch) == counted
    assert not await told(mesh, before)


async def test_an_oversized_request_ends_the_message(mesh, batch):
    """The contract's own limit stands before the boundary: the whole message is refused."""
    request, before = long_request(), (await mesh.status(HOME)).log_size
    assert len(request) > 1024

    try:
        said = reason(await mesh.step(HOME, Device(SOC).issue(batch.auth_id, request)))
    except Refused as refused:
        said = refused.word

    assert said in {"MALFORMED", "TOO_LARGE"}
    assert not await told(mesh, before)


@pytest.mark.needs("openssl")
async def test_a_request_for_another_vendor_gets_the_approved_certificate(mesh, batch, tmp_path):
    """By the library and by openssl: of VID, PID and name in the request nothing is in the DAC; of the key, all."""
    wishes = (
        csr_for(new_key(), (VENDOR, "FFF2"), (PRODUCT, "9999"), ("2.5.4.3", "Evil Corp")),
        by_openssl(tmp_path, f"/{VENDOR}=FFF2/{PRODUCT}=9999/CN=Evil Corp"),
    )
    (pai,) = (await _certificates(mesh)).pais
    paa = (await _certificates(mesh)).paa_cert_der
    for csr in wishes:
        reply = await mesh.step(HOME, Device(SOC).issue(batch.auth_id, csr))
        assert reason(reply) == ""
        dac = x509.load_der_x509_certificate(reply.issued.dac_der)
        names = dac.subject.rfc4514_string()

        assert spki(dac.public_key()) == spki(x509.load_der_x509_csr(csr).public_key())
        assert f"{VENDOR}=FFF1" in names
        assert f"{PRODUCT}=8001" in names
        assert not any(each in names for each in ("FFF2", "9999", "Evil"))
        assert not errors_of(lint_chain(paa, pai.pai_cert_der, reply.issued.dac_der))


async def test_a_refusal_by_the_gate_leaves_its_leaf_and_no_more_than_the_cap(mesh):
    """The controls to the malformed ones: same path, same log, and this time there is a leaf."""
    batch, device = await mesh.batch(mesh.bulb, 1), Device("generic-se")
    start = (await mesh.status(HOME)).log_size

    replies = []
    for _ in range(3):
        replies += await mesh.steps(
            HOME, *[Device("generic-se").issue(batch.auth_id) for _ in range(REFUSALS_A_MINUTE)]
        )
    replies.append(await mesh.step(HOME, device.issue(batch.auth_id)))
    found = [each.refused for each in await mesh.leaves(HOME, start) if each.HasField("refused")]

    assert {reason(each) for each in replies} == {"WRONG_PRODUCT_VERSION"}
    assert 1 <= len(found) <= 2 * REFUSALS_A_MINUTE < len(replies)  # a minute may end in between
    assert {each.auth_id for each in found} == {batch.auth_id}
    assert await used(mesh, batch) == 0


def spki(key) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


async def _certificates(mesh):
    asked = ListCertificatesRequest(product_id=mesh.bulb.product_id)
    return await mesh.crew.oem.keys.ListCertificates(asked, timeout=PATIENCE)
