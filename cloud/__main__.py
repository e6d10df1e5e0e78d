"""`python -m cloud {init|init-root|certify-vault|migrate|serve} --config cloud.toml [--secrets-fd N]`.

1. `init` makes the keys and the database and writes data/public.json.
2. `init-root --root FILE` keeps the TrustRoot people signed, and prints the fingerprint; again for each next version.
3. `certify-vault --csr FILE --out FILE` makes the vault's certificate of its data/vault.csr.
4. `migrate` brings the database to this program's revision.
5. `serve` serves.
The start secret is `cloud`: JSON on the descriptor, or $CREDENTIALS_DIRECTORY. `migrate` needs none.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

from cloud.config import CloudConfig, ConfigInvalid, read_config
from obis.mesh.secret import SecretUnavailable, read_secrets
from obis.refusal import Refused

SECRET = "cloud"  # noqa: S105 (the secret's name)


def main() -> int:
    """The exit status: 0, or 1 with a sentence."""
    from cloud.keystore import KeysUnusable
    from cloud.store.migrate import WrongRevision
    from cloud.witness import WitnessMissing

    told = _arguments()
    try:
        _run(told, read_config(told.config))
    except (ConfigInvalid, KeysUnusable, SecretUnavailable, WrongRevision, WitnessMissing, Refused, OSError) as failure:
        advice = f" ({failure.next_step})" if isinstance(failure, Refused) else ""
        print(f"cloud: {failure}{advice}", file=sys.stderr)
        return 1
    return 0


def _run(told: argparse.Namespace, config: CloudConfig) -> None:
    from cloud import beginning

    if told.verb == "migrate":
        beginning.migrate_database(config)
        return
    secret, now = read_secrets([SECRET], told.secrets_fd)[SECRET], int(time.time())
    if told.verb == "init":
        print(json.dumps(beginning.init(config, secret, now=now)))
    elif told.verb == "init-root":
        print(beginning.init_root(config, secret, told.root.read_bytes(), now=now).fingerprint.hex())
    elif told.verb == "certify-vault":
        told.out.write_bytes(beginning.certify_vault(config, secret, told.csr.read_bytes(), now=now))
    else:
        asyncio.run(_serve(config, secret))


async def _serve(config: CloudConfig, secret: bytes) -> None:
    from cloud.composition import build
    from obis.mesh.journal import configure_log

    configure_log("cloud")
    await build(config, secret, lambda: int(time.time())).serve()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cloud", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("init", "init-root", "certify-vault", "migrate", "serve"):
        each = verbs.add_parser(verb)
        each.add_argument("--config", type=Path, required=True)
        each.add_argument("--secrets-fd", type=int)
        if verb == "init-root":
            each.add_argument("--root", type=Path, required=True)
        if verb == "certify-vault":
            each.add_argument("--csr", type=Path, required=True)
            each.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
