"""Who may be named by whom. TLS alone would let every CA in these tests name anybody."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from obis.mesh.authorities import Authorities
from obis.mesh.identity import Identity, Role
from obis.mesh.transport import TransportKey
from obis.refusal import Refused
from tests.fakes.pki import DAY, FakeCa, FakeMesh, leaf_pem

STATION = Identity(Role.STATION, "7", "th-01")
PERSON = Identity(Role.PERSON, "ana")


@pytest.fixture(scope="module")
def mesh():
    return FakeMesh("th-01", "th-02")


def now():
    return datetime.now(UTC)


def test_a_leaf_is_its_name_and_its_key(mesh):
    key = TransportKey.generate()
    leaf = leaf_pem(mesh.cas["th-01.site.obis"].certify(key, STATION))

    peer = mesh.authorities.identify(leaf, now())

    assert (peer.role, peer.id, peer.factory_id, peer.name) == (Role.STATION, "7", "th-01", STATION.uri)
    assert peer.key_digest == hashlib.sha256(key.public_der).digest()


@pytest.mark.parametrize(
    ("signer", "named"),
    [
        ("th-01.site.obis", PERSON),
        ("th-01.site.obis", Identity(Role.FACTORY, "th-01")),
        ("th-01.site.obis", Identity(Role.CLOUD, "main")),
        ("th-01.site.obis", Identity(Role.STATION, "7", "th-02")),
        ("cloud.obis", STATION),
        ("cloud.obis", Identity(Role.FRONT, "a", "th-01")),
    ],
)
def test_a_ca_names_nobody_of_another_host(mesh, signer, named):
    stolen = mesh.cas[signer].name(named)

    with pytest.raises(Refused, match="no CA pinned"):
        mesh.authorities.identify(leaf_pem(stolen), now())


def test_a_ca_with_a_pinned_ones_name_but_another_key_is_not_it(mesh):
    impostor = FakeCa("th-01.site.obis")

    with pytest.raises(Refused, match="no CA pinned"):
        mesh.authorities.identify(leaf_pem(impostor.name(STATION)), now())


def test_a_host_without_pinned_ca_is_unknown(mesh):
    with pytest.raises(Refused, match="no CA pinned"):
        mesh.authorities.identify(leaf_pem(FakeCa("th-09.site.obis").name(Identity(Role.STATION, "7", "th-09"))), now())


@pytest.mark.parametrize("begins", [-3 * DAY, DAY])
def test_a_leaf_outside_its_validity_is_refused(begins):
    site = FakeCa("th-01.site.obis")
    builder = x509_leaf(site, STATION, begins)

    with pytest.raises(Refused, match="not valid now"):
        Authorities({"th-01.site.obis": [site.certificate]}).identify(builder, now())


def x509_leaf(site, identity, begins):
    """A leaf that a hostile CA dates as it likes."""
    key = ec.generate_private_key(ec.SECP256R1())
    return draft(site, identity, key.public_key(), begins).sign(site.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def draft(site, identity, key, begins=-DAY, names=None):
    names = names or [x509.UniformResourceIdentifier(identity.uri)]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(site.certificate.subject)
        .public_key(key)
        .serial_number(7)
        .not_valid_before(now() + begins)
        .not_valid_after(now() + begins + 2 * DAY)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )


def test_a_remembered_leaf_expires_all_the_same(mesh):
    leaf = leaf_pem(mesh.cas["th-01.site.obis"].name(STATION, lasts=DAY + timedelta(minutes=1)))
    mesh.authorities.identify(leaf, now())

    with pytest.raises(Refused, match="expired"):
        mesh.authorities.identify(leaf, now() + timedelta(minutes=2))


@pytest.mark.parametrize(
    "names",
    [
        [x509.DNSName("7.station.th-01.site.obis")],
        [x509.UniformResourceIdentifier(STATION.uri), x509.UniformResourceIdentifier(PERSON.uri)],
        [x509.UniformResourceIdentifier("https://th-01.site.obis/station/7")],
    ],
)
def test_exactly_one_name_of_this_mesh(mesh, names):
    site = mesh.cas["th-01.site.obis"]
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    leaf = draft(site, STATION, key, names=names).sign(site.key, hashes.SHA256())

    with pytest.raises(Refused, match="names nobody"):
        mesh.authorities.identify(leaf.public_bytes(Encoding.PEM), now())


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()])
def test_only_p256_keys(mesh, key):
    site = mesh.cas["th-01.site.obis"]
    leaf = draft(site, STATION, key.public_key()).sign(site.key, hashes.SHA256())

    with pytest.raises(Refused, match="P-256"):
        mesh.authorities.identify(leaf.public_bytes(Encoding.PEM), now())


def test_a_ca_calls_nobody(mesh):
    site = mesh.cas["th-01.site.obis"]
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    builder = draft(site, STATION, key).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)

    with pytest.raises(Refused, match="CA's"):
        mesh.authorities.identify(builder.sign(site.key, hashes.SHA256()).public_bytes(Encoding.PEM), now())


def test_two_cas_may_stand_side_by_side_while_a_site_changes_its_own():
    old, new = FakeCa("th-01.site.obis"), FakeCa("th-01.site.obis")
    both = Authorities({"th-01.site.obis": [old.certificate, new.certificate]})

    assert [both.identify(leaf_pem(ca.name(STATION)), now()).id for ca in (old, new)] == ["7", "7"]


def test_what_is_remembered_is_bounded(mesh, monkeypatch):
    monkeypatch.setattr("obis.mesh.authorities._REMEMBERED", 2)
    authorities = Authorities({"th-01.site.obis": [mesh.cas["th-01.site.obis"].certificate]})
    for _ in range(3):
        authorities.identify(leaf_pem(mesh.cas["th-01.site.obis"].name(STATION)), now())

    assert len(authorities._seen) == 2
