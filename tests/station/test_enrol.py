"""A station keeps only a certificate that is its own; what answers an enrolment is not believed."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from obis.mesh import certificate
from obis.mesh.identity import Identity, Role
from obis.mesh.transport import TransportKey, TransportKeyUnusable
from obis.refusal import Refused
from obis.v1.supervisor_pb2 import EnrolStationResponse
from station.config import Config
from station.enrol import keygen, require_ours
from tests.edgehsm.world import World
from tests.obis.trust.keys import p256

SITE_CA = p256("site ca of the test")


@pytest.fixture
def config(tmp_path):
    return Config(
        factory_id="th-1",
        station_id="st-1",
        line_id="line-1",
        data=tmp_path / "station",
        mesh=Path("mesh.json"),
        factory="",
        factory_enrolment="",
        edgehsm="",
        edgehsm_id="edge-th",
        sockets=(),
    )


def answer(key: TransportKey, *, identity=None, root_of=None, site="th-1") -> EnrolStationResponse:
    world, now = World(int(time.time())), datetime.now(UTC)
    site_ca_der = world.site_ca(SITE_CA.spki, site)
    from cryptography import x509

    site_ca = x509.load_der_x509_certificate(site_ca_der)
    named = identity or Identity(Role.STATION, "st-1", "th-1")
    builder = certificate.leaf(
        named, key.public_key, site_ca, not_before=now - timedelta(hours=1), not_after=now + timedelta(days=1)
    )
    leaf = builder.sign(SITE_CA.private, hashes.SHA256()).public_bytes(Encoding.DER)
    root = (root_of or world).site_root.public_bytes(Encoding.DER)
    return EnrolStationResponse(certificate_chain_der=[leaf, site_ca_der], site_root_cert_der=root)


def test_its_own_certificate_is_kept(config):
    key = TransportKey.generate()

    require_ours(config, key, answer(key))


@pytest.mark.parametrize(
    "named", [Identity(Role.STATION, "st-2", "th-1"), Identity(Role.SUPERVISOR, "st-1", "th-1")], ids=str
)
def test_another_name_s_certificate_is_not(config, named):
    key = TransportKey.generate()

    with pytest.raises(Refused, match="IDENTITY_UNKNOWN"):
        require_ours(config, key, answer(key, identity=named))


def test_a_certificate_for_another_key_is_not(config):
    with pytest.raises(Refused, match="IDENTITY_UNKNOWN"):
        require_ours(config, TransportKey.generate(), answer(TransportKey.generate()))


def test_no_chain_at_all_is_not(config):
    with pytest.raises(Refused, match="IDENTITY_UNKNOWN"):
        require_ours(config, TransportKey.generate(), EnrolStationResponse(certificate_chain_der=[b"x", b"y"]))


def test_the_transport_key_is_made_once_and_sealed(config):
    digest = keygen(config, b"a passphrase")

    assert keygen(config, b"a passphrase") == digest
    assert len(digest) == 32
    assert b"ENCRYPTED" in (config.data / "identity" / "transport.key").read_bytes()
    with pytest.raises(TransportKeyUnusable):
        keygen(config, b"another")
