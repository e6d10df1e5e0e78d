"""A stranger's program and a stranger's chip, both with `openssl` in the place of silicon."""

import json
import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from obis.matter.findings import errors_of
from obis.matter.lint_chain import lint_chain
from station.actions import Result
from tests.edgehsm.world import EDGE, FACTORY
from tests.station.orders import IMAGE, Making
from tests.station.site import Site
from tests.station.test_session import Station
from tests.tree import ROOT

EXAMPLE = ROOT / "examples" / "outsider"
pytestmark = pytest.mark.needs("openssl")


@pytest.fixture(scope="module")
def outsider(tmp_path_factory):
    """A site, and a folder with what a stranger's station holds after its enrolment."""
    folder = tmp_path_factory.mktemp("outsider")
    site = Site(folder)
    order = site.batch(auth_id=b"o" * 16)
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / "station.key")
    spki = openssl("pkey", "-in", folder / "station.key", "-pubout", "-outform", "DER")
    csr = openssl("req", "-new", "-sha256", "-key", folder / "station.key", "-subj", "/CN=x", "-outform", "DER")
    leaf, site_ca = (pem(each) for each in site.enrol(spki, csr, "stranger"))
    (folder / "chain.pem").write_bytes(leaf + site_ca)
    (folder / "site_ca.pem").write_bytes(site_ca)
    (folder / "lamp.bin").write_bytes(IMAGE)
    site.start_front()
    yield site, folder, order
    site.close()


def openssl(*arguments) -> bytes:
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=True).stdout


def pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def run(site, folder, order, uid: str, **more) -> tuple[int, dict]:
    told = {
        "edgehsm": site.front_at,
        "name": f"{EDGE}.front.{FACTORY}.site.obis",
        "key": folder / "station.key",
        "chain": folder / "chain.pem",
        "site-ca": folder / "site_ca.pem",
        "auth": order.auth_id.hex(),
        "soc": "generic-wifi",
        "uid": uid,
        "firmware": folder / "lamp.bin",
    } | more
    options = [text for name, value in told.items() for text in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, EXAMPLE / "provision.py", *options], capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_stranger_makes_one_device_with_stubs_and_openssl(outsider):
    site, folder, order = outsider

    status, made = run(site, folder, order, "00112233aabb")

    dac = x509.load_pem_x509_certificate(made["dac"].encode()).public_bytes(Encoding.DER)
    assert (status, made["evidence"]) == (0, "EVIDENCE_LEVEL_CHIP_SIGNED")
    assert not errors_of(lint_chain(order.paa_cert_der, order.pai_cert_der, dac))


def test_a_stranger_that_lost_the_answer_gets_the_same_certificate(outsider):
    site, folder, order = outsider
    key = folder / "device.key"

    _, first = run(site, folder, order, "00112233aacc", **{"device-key": key})
    _, again = run(site, folder, order, "00112233aacc", **{"device-key": key})

    assert "dac" in again, again
    assert (again["dac"], again["repeated"], first["repeated"]) == (first["dac"], True, False)


def test_a_stranger_with_a_second_key_for_the_device_is_refused(outsider):
    site, folder, order = outsider

    run(site, folder, order, "00112233aadd")
    status, said = run(site, folder, order, "00112233aadd")

    assert status == 1
    assert said["refused"].startswith("REASON_DEVICE_KEY_CHANGED")


async def test_our_session_drives_a_third_party_s_chip(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    from chip import OpensslChip
    from device import OpensslDevice

    chip = OpensslChip(OpensslDevice("generic-wifi", b"third party", tmp_path / "key.pem"))
    async with Station(tmp_path, Making()) as station:
        outcome = await station.bench.provision(chip)

    assert (outcome.finish.result, outcome.trips) == (Result.PASS, 2)
    assert chip.is_locked
