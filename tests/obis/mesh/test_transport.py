"""Transport keys: sealed at rest, whole after a crash, and certificates another implementation accepts."""

import stat
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from obis.mesh import certificate
from obis.mesh.identity import Identity, Role
from obis.mesh.transport import TransportKey, TransportKeyUnusable, keep_chain, read_chain
from tests.fakes.pki import DAY, FakeCa

STATION = Identity(Role.STATION, "7", "th-01")
FRONT = Identity(Role.FRONT, "a", "th-01")


def test_a_sealed_key_opens_under_its_passphrase_alone(tmp_path):
    key, path = TransportKey.generate(), tmp_path / "transport.key"
    key.seal(path, b"right")

    assert TransportKey.unseal(path, b"right").public_der == key.public_der
    with pytest.raises(TransportKeyUnusable):
        TransportKey.unseal(path, b"wrong")
    with pytest.raises(TransportKeyUnusable):
        TransportKey.unseal(tmp_path / "none", b"right")


def test_no_key_byte_lies_on_the_disk_in_clear_and_only_the_owner_reads_it(tmp_path):
    key, path = TransportKey.generate(), tmp_path / "transport.key"
    key.seal(path, b"right")
    secret = key._key.private_numbers().private_value.to_bytes(32, "big")

    assert b"ENCRYPTED" in path.read_bytes()
    assert secret not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["transport.key"]


def test_a_key_in_clear_or_on_another_curve_is_not_taken(tmp_path):
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption, PrivateFormat

    other, clear = tmp_path / "p384", tmp_path / "clear"
    wrong_curve = ec.generate_private_key(ec.SECP384R1())
    other.write_bytes(wrong_curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))
    plain = ec.generate_private_key(ec.SECP256R1())
    clear.write_bytes(plain.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    for path in (other, clear):
        with pytest.raises(TransportKeyUnusable):
            TransportKey.unseal(path, b"x")


def test_a_request_proves_the_key_and_wishes_for_the_name():
    key = TransportKey.generate()

    request = x509.load_der_x509_csr(key.request(STATION))

    assert request.is_signature_valid
    assert request.public_key() == key.public_key
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [STATION.uri]
    assert len(key.request(STATION)) <= 1024  # the contract's limit for csr_der


def test_a_certificate_of_another_key_is_not_taken():
    own = FakeCa("th-01.site.obis").name(STATION)
    chain = [each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(own.chain_pem)]

    with pytest.raises(TransportKeyUnusable, match="not for this key"):
        TransportKey.generate().certified(chain)
    with pytest.raises(TransportKeyUnusable):
        TransportKey.generate().certified([])


def test_what_tls_shows_is_never_printed():
    own = FakeCa("th-01.site.obis").name(STATION)

    assert "PRIVATE" not in f"{own!r} {own}"


def test_renewal_leaves_a_third_of_the_life_for_outages():
    own = FakeCa("th-01.site.obis").name(STATION, begins=timedelta(0), lasts=3 * DAY)

    assert own.not_after - own.renew_at == DAY


def test_a_kept_chain_reads_back(tmp_path):
    ca = FakeCa("th-01.site.obis")
    chain = [ca.certificate.public_bytes(Encoding.DER)] * 2
    keep_chain(tmp_path / "chain", chain)

    assert read_chain(tmp_path / "chain") == chain


def test_a_leaf_does_not_outlive_its_ca():
    ca, now = FakeCa("th-01.site.obis"), datetime.now(UTC)
    key = TransportKey.generate().public_key
    made = certificate.leaf(STATION, key, ca.certificate, not_before=now - 99 * DAY, not_after=now + 99 * DAY)
    leaf = made.sign(ca.key, hashes.SHA256())

    assert leaf.not_valid_after_utc == ca.certificate.not_valid_after_utc
    assert leaf.not_valid_before_utc == ca.certificate.not_valid_before_utc


def test_a_ca_whose_key_is_a_handle_signs_the_same_certificate():
    ca, now = FakeCa("th-01.site.obis"), datetime.now(UTC)
    key = TransportKey.generate().public_key
    builder = certificate.leaf(FRONT, key, ca.certificate, not_before=now, not_after=now + DAY)
    by_handle = certificate.sign_by(builder, lambda tbs: ca.key.sign(tbs, ec.ECDSA(hashes.SHA256())))
    by_object = builder.sign(ca.key, hashes.SHA256())

    by_handle.verify_directly_issued_by(ca.certificate)
    assert by_handle.tbs_certificate_bytes == by_object.tbs_certificate_bytes


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(
    ("named", "accepted"),
    [(STATION, True), (FRONT, True), (Identity(Role.STATION, "7", "th-02"), False), (Identity(Role.CLOUD, "c"), False)],
)
def test_another_implementation_keeps_a_ca_to_its_host(tmp_path, named, accepted):
    vault = FakeCa("site.obis")
    site = FakeCa("th-01.site.obis", parent=vault)
    for name, pem in (
        ("root", vault.certificate.public_bytes(Encoding.PEM)),
        ("site", site.certificate.public_bytes(Encoding.PEM)),
        ("leaf", site.name(named).chain_pem),
    ):
        (tmp_path / name).write_bytes(pem)
    # The vault's root carries no constraint of its own here; what binds is the site CA's.
    command = ["openssl", "verify", "-partial_chain", "-trusted", "site", "leaf"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (ran.returncode == 0) is accepted, ran.stderr
    assert accepted or "permitted subtree violation" in ran.stderr


def test_sealing_again_replaces_in_one_step(tmp_path):
    path = tmp_path / "transport.key"
    (tmp_path / ".transport.key.new").write_bytes(b"left by a crash")
    TransportKey.generate().seal(path, b"x")
    second = TransportKey.generate()
    second.seal(path, b"x")

    assert TransportKey.unseal(path, b"x").public_der == second.public_der
    assert [file.name for file in tmp_path.iterdir()] == ["transport.key"]
