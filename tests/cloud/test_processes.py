"""The commands as a person runs them: two folders, one signed root, two servers as processes of their own."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from hashlib import sha256

import grpc
import pytest
from cryptography import x509

from cloud.composition import IDENTITY
from obis.mesh.authorities import Authorities
from obis.mesh.channel import open_channel
from obis.mesh.credentials import Credentials
from obis.mesh.identity import CLOUD_HOST
from obis.trust.trust_root import walk
from obis.v1.enrolment_pb2 import GetTrustRequest
from obis.v1.enrolment_pb2_grpc import EnrolmentStub
from tests.cloud.small_mesh import SmallMesh, whole


def command(room, *arguments, secret=None, text="a start secret"):
    """Run to the end; returns what it printed. The secret goes by an inherited descriptor."""
    told = [sys.executable, "-m", room, *map(str, arguments)]
    with Pipe(secret or room.rpartition(".")[2], text) as descriptor:
        return subprocess.run(
            [*told, "--secrets-fd", str(descriptor)],
            pass_fds=[descriptor],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )


def serve(room, config):
    with Pipe(room.rpartition(".")[2]) as descriptor:
        told = [sys.executable, "-m", room, "serve", "--config", str(config), "--secrets-fd", str(descriptor)]
        return subprocess.Popen(told, pass_fds=[descriptor], stderr=subprocess.PIPE, text=True)


class Pipe:
    def __init__(self, name, text="a start secret"):
        self.said = json.dumps({name: text}).encode()

    def __enter__(self):
        self.read, write = os.pipe()
        os.write(write, self.said)
        os.close(write)
        return self.read

    def __exit__(self, *_):
        os.close(self.read)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def configured(folder):
    cloud, vault = folder / "cloud.toml", folder / "vault.toml"
    ports = {name: free_port() for name in ("listen", "enrolment_listen", "vault")}
    lines = [f'{name} = "127.0.0.1:{port}"' for name, port in ports.items()]
    cloud.write_text("\n".join(['data = "cloud"', *lines, '[oem]\norganisation_id = "oem"\nname = "Acme"\n']))
    vault.write_text(f'data = "vault"\nlisten = "127.0.0.1:{ports["vault"]}"\nvendor_id = 0xFFF1\n')
    return cloud, vault, ports


@pytest.mark.ci
async def test_a_mesh_begins_by_its_commands_and_serves(tmp_path):
    cloud, vault, ports = configured(tmp_path)
    public = json.loads(command("cloud", "init", "--config", cloud).stdout)
    vault_public = json.loads(command("cloud.vault", "init", "--config", vault).stdout)
    root = SmallMesh(tmp_path).signed_root(public, vault_public)
    (tmp_path / "root").write_bytes(whole(root))
    for room, config in (("cloud", cloud), ("cloud.vault", vault)):
        pinned = command(room, "init-root", "--config", config, "--root", tmp_path / "root").stdout.strip()
        assert pinned == sha256(root.payload).hexdigest()
    csr, chain = tmp_path / "vault" / "vault.csr", tmp_path / "chain.pem"
    assert command("cloud", "certify-vault", "--config", cloud, "--csr", csr, "--out", chain).returncode == 0
    assert command("cloud.vault", "install-cert", "--config", vault, "--chain", chain).returncode == 0

    servers = [serve("cloud.vault", vault), serve("cloud", cloud)]
    try:
        trust = await asyncio.wait_for(get_trust(public, ports["enrolment_listen"]), 40)
    finally:
        for server in servers:
            server.send_signal(signal.SIGTERM)
        ended = [server.communicate(timeout=20)[1] for server in servers]

    view = walk(list(trust.trust_roots), sha256(root.payload).digest())
    assert x509.load_der_x509_certificate(trust.site_root_cert_der).subject
    assert view.version == 1
    assert [server.returncode for server in servers] == [0, 0], ended


@pytest.mark.ci
async def test_a_wrong_secret_or_a_missing_step_is_one_sentence(tmp_path):
    cloud, vault, _ = configured(tmp_path)

    early = command("cloud.vault", "serve", "--config", vault)
    command("cloud", "init", "--config", cloud)
    again = command("cloud", "init", "--config", cloud)
    rootless = command("cloud", "serve", "--config", cloud)
    wrong = command("cloud", "serve", "--config", cloud, text="another")
    nameless = command("cloud", "serve", "--config", cloud, secret="another")

    for failed, said in (
        (early, "init"),
        (again, "already"),
        (rootless, "init-root"),
        (nameless, "JSON"),
        (wrong, "secret"),
    ):
        assert failed.returncode == 1
        assert said in failed.stderr
        assert "Traceback" not in failed.stderr


async def get_trust(public, port):
    """Ask until both servers are up: the cloud learns the site root from the vault."""
    authority = x509.load_pem_x509_certificate(public["transport_ca_cert_pem"].encode())
    anonymous = Credentials(Authorities({CLOUD_HOST: [authority]}))
    async with open_channel(f"127.0.0.1:{port}", IDENTITY, anonymous) as channel:
        while True:
            try:
                return await EnrolmentStub(channel).GetTrust(GetTrustRequest(), timeout=5)
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.3)
