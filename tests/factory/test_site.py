"""The identity on the disk: whole after a crash at any step, and site CAs believed only for their own site."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from factory import site
from factory.site import keep_identity, read_identity, require_site_ca
from obis.mesh.identity import CLOUD_HOST, Identity, Role
from obis.mesh.transport import TransportKey, TransportKeyUnusable
from obis.refusal import Refused
from obis.v1.reason_pb2 import Reason
from tests.fakes.pki import FakeCa, FakeMesh

NAME, PASSPHRASE = Identity(Role.FACTORY, "th-1"), b"a passphrase"


@pytest.fixture(scope="module")
def mesh():
    return FakeMesh("th-1", "vn-1")


def pair(mesh):
    key = TransportKey.generate()
    own = mesh.cas[CLOUD_HOST].certify(key, NAME)
    chain = [each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(own.chain_pem)]
    return key, chain, own


def test_the_last_pair_kept_is_the_one_read_and_the_old_key_is_gone(tmp_path, mesh):
    for _ in range(3):
        key, chain, own = pair(mesh)
        keep_identity(tmp_path, key, chain, PASSPHRASE)

    assert read_identity(tmp_path, PASSPHRASE).chain_pem == own.chain_pem
    assert len(list(tmp_path.glob("*.key"))) == 1


def test_a_crash_between_key_and_chain_leaves_the_old_pair(tmp_path, mesh, monkeypatch):
    key, chain, own = pair(mesh)
    keep_identity(tmp_path, key, chain, PASSPHRASE)

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(site, "keep_chain", crash)
    other, other_chain, _ = pair(mesh)
    with pytest.raises(KeyboardInterrupt):
        keep_identity(tmp_path, other, other_chain, PASSPHRASE)

    assert read_identity(tmp_path, PASSPHRASE).chain_pem == own.chain_pem


def test_another_passphrase_opens_nothing(tmp_path, mesh):
    key, chain, _ = pair(mesh)
    keep_identity(tmp_path, key, chain, PASSPHRASE)

    with pytest.raises(TransportKeyUnusable):
        read_identity(tmp_path, b"another")


def test_a_site_ca_is_believed_for_its_own_host_and_under_its_own_root_alone():
    root = FakeCa("root.obis")
    good = FakeCa("th-1.site.obis", parent=root).certificate
    foreign = FakeCa("vn-1.site.obis", parent=root).certificate
    own_root = FakeCa("th-1.site.obis").certificate

    require_site_ca(good, root.certificate, "th-1.site.obis")
    with pytest.raises(Refused) as other_site:
        require_site_ca(foreign, root.certificate, "th-1.site.obis")
    with pytest.raises(Refused) as other_root:
        require_site_ca(own_root, root.certificate, "th-1.site.obis")
    assert other_site.value.reason == Reason.REASON_WRONG_FACTORY
    assert other_root.value.reason == Reason.REASON_SIGNATURE_INVALID
