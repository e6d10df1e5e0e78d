"""`python -m cloud.vault {init|init-root|install-cert|serve} --config vault.toml [--secrets-fd N]`.

1. `init` makes the keys and writes data/public.json and data/vault.csr.
2. `init-root --root FILE` pins the TrustRoot people signed, and prints the fingerprint.
3. `install-cert --chain FILE` takes what `python -m cloud certify-vault` made of vault.csr.
4. `serve` answers the cloud.
The start secret is `vault`: JSON on the descriptor, or $CREDENTIALS_DIRECTORY.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from functools import partial
from pathlib import Path

from cloud.vault import beginning
from cloud.vault.config import ConfigInvalid, VaultConfig, read_config
from cloud.vault.keys import KeysUnusable
from obis.mesh.secret import SecretUnavailable, read_secrets
from obis.mesh.transport import TransportKey, TransportKeyUnusable, read_chain
from obis.refusal import Refused

SECRET = "vault"  # noqa: S105 (the secret's name)


def main() -> int:
    """The exit status: 0, or 1 with a sentence."""
    told = _arguments()
    try:
        config = read_config(told.config)
        config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        _run(told, config, read_secrets([SECRET], told.secrets_fd)[SECRET])
    except (ConfigInvalid, KeysUnusable, SecretUnavailable, TransportKeyUnusable, Refused, OSError) as failure:
        advice = f" ({failure.next_step})" if isinstance(failure, Refused) else ""
        print(f"vault: {failure}{advice}", file=sys.stderr)
        return 1
    return 0


def _run(told: argparse.Namespace, config: VaultConfig, secret: bytes) -> None:
    if told.verb == "init":
        print(json.dumps(beginning.init(config, secret, now=int(time.time()))))
    elif told.verb == "init-root":
        print(beginning.init_root(config, secret, told.root.read_bytes()).hex())
    elif told.verb == "install-cert":
        beginning.install_cert(config, secret, told.chain)
    else:
        asyncio.run(serve(config, secret))


async def serve(config: VaultConfig, secret: bytes) -> None:
    """Until SIGTERM. Raises Refused where the vault has not begun, or its chain of acts is broken."""
    from cloud.vault.ledger import Ledger
    from cloud.vault.servicer import VaultServicer
    from obis.mesh.authorities import Authorities
    from obis.mesh.credentials import Credentials
    from obis.mesh.identity import CLOUD_HOST
    from obis.mesh.journal import configure_log
    from obis.mesh.server import MeshServer, Port
    from obis.v1.vault_pb2_grpc import add_VaultServicer_to_server

    configure_log("vault")
    keys = beginning.open_keys(config, secret)
    ledger = Ledger(config.ledger)
    ledger.check(keys.site_root.spki_der)
    authorities = Authorities({CLOUD_HOST: [beginning.transport_authority(config)]})
    own = TransportKey.unseal(beginning.transport_key(config), secret)
    credentials = Credentials(authorities, own.certified(read_chain(beginning.transport_chain(config))))
    fingerprint = beginning.pinned(config).fingerprint
    servicer = VaultServicer(keys, ledger, fingerprint, lambda: int(time.time()))
    server = MeshServer(Port(config.listen), credentials, [partial(add_VaultServicer_to_server, servicer)])
    await server.start()
    await server.serve_until_signal()
    ledger.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cloud.vault", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("init", "init-root", "install-cert", "serve"):
        each = verbs.add_parser(verb)
        each.add_argument("--config", type=Path, required=True)
        each.add_argument("--secrets-fd", type=int)
        if verb == "init-root":
            each.add_argument("--root", type=Path, required=True)
        if verb == "install-cert":
            each.add_argument("--chain", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
