"""The mesh begins: keys of the cloud, the vault and the people; a trust root signed by its quorum; two servers.

Nobody is trusted by being first: the fingerprint comes from what people signed, and the cloud and the vault load it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from loadtest.demo.keys import Keys, make_keys
from loadtest.demo.processes import python
from loadtest.demo.stage import Stage, write_toml
from obis.cli.files import read_json, write_envelope
from obis.cli.profile import Mesh
from obis.cli.root_draft import (
    DraftPerson,
    DraftRole,
    DraftSite,
    MachineKeys,
    draft_root,
    fingerprint,
    sign_root,
)
from obis.v1.envelope_pb2 import Envelope


async def begin(stage: Stage) -> tuple[Mesh, Keys]:
    """The mesh's public facts, and the people's keys. Cloud and vault serve."""
    cloud, vault = _cloud_config(stage), _vault_config(stage)
    _, _, keys = await asyncio.gather(
        stage.processes.run(
            python("cloud-init", "cloud", "init", "--config", str(cloud), secrets=_cloud_secret(stage))
        ),
        stage.processes.run(
            python("vault-init", "cloud.vault", "init", "--config", str(vault), secrets=_vault_secret(stage))
        ),
        make_keys(stage),
    )
    root = _draft(stage, keys)
    write_envelope(stage.folder / "root.bin", root)
    mesh = _mesh_file(stage, fingerprint(root))
    await _load_root(stage, cloud, vault)
    stage.board.say(f"fingerprint {mesh.fingerprint.hex()[:32]} {mesh.fingerprint.hex()[32:]}")
    return mesh, keys


async def _load_root(stage: Stage, cloud: Path, vault: Path) -> None:
    """The cloud begins to serve while the vault is certified and follows."""
    await asyncio.gather(_begin_cloud(stage, cloud), _begin_vault(stage, cloud, vault))


async def _begin_cloud(stage: Stage, config: Path) -> None:
    secret = _cloud_secret(stage)
    await _init_root(stage, "cloud", config, secret)
    stage.processes.start(python("cloud", "cloud", "serve", "--config", str(config), secrets=secret))
    await stage.processes.listening("cloud", stage.ports["cloud"])
    await stage.processes.listening("cloud", stage.ports["cloud-enrolment"])


async def _begin_vault(stage: Stage, cloud: Path, config: Path) -> None:
    secret, told = _vault_secret(stage), ("--config", str(config))
    chain, csr = stage.folder / "vault" / "chain.pem", stage.folder / "vault" / "data" / "vault.csr"
    certify = ("cloud", "certify-vault", "--config", str(cloud), "--csr", str(csr), "--out", str(chain))
    await asyncio.gather(
        stage.processes.run(python("certify-vault", *certify, secrets=_cloud_secret(stage))),
        _init_root(stage, "cloud.vault", config, secret),
    )
    install = ("cloud.vault", "install-cert", *told, "--chain", str(chain))
    await stage.processes.run(python("vault-install", *install, secrets=secret))
    stage.processes.start(python("vault", "cloud.vault", "serve", *told, secrets=secret))


async def _init_root(stage: Stage, room: str, config: Path, secret: dict[str, str]) -> None:
    name, root = f"{room}-init-root", str(stage.folder / "root.bin")
    await stage.processes.run(python(name, room, "init-root", "--config", str(config), "--root", root, secrets=secret))


def _draft(stage: Stage, keys: Keys) -> Envelope:
    plan = stage.plan
    everybody = tuple(each.id for each in plan.people)
    root = draft_root(
        plan.mesh_name,
        [DraftPerson(each.id, each.name, keys.people[each.id].public) for each in plan.people],
        [DraftRole(role, plan.threshold, everybody) for role in plan.roles],
        [DraftSite(each.id, each.country, each.name, (keys.sites[each.id].public,)) for each in plan.factories],
        MachineKeys.parse(_public(stage, "cloud"), _public(stage, "vault")),
        now=stage.began_at,
    )
    for each in plan.signers:
        root = sign_root(root, keys.people[each.id])
    return root


def _mesh_file(stage: Stage, fingerprint_of_root: bytes) -> Mesh:
    pem = str(_public(stage, "cloud")["transport_ca_cert_pem"])
    mesh = Mesh(fingerprint_of_root, stage.ports["cloud"], stage.ports["cloud-enrolment"], pem)
    mesh.write(stage.mesh_path)
    return mesh


def _public(stage: Stage, room: str) -> dict[str, object]:
    return read_json(stage.folder / room / "data" / "public.json")


def _cloud_config(stage: Stage) -> Path:
    return write_toml(
        stage.folder / "cloud" / "cloud.toml",
        {
            "data": "data",
            "listen": stage.ports["cloud"],
            "enrolment_listen": stage.ports["cloud-enrolment"],
            "vault": stage.ports["vault"],
            "oem": {"organisation_id": stage.plan.oem_id, "name": stage.plan.oem_name},
        },
    )


def _vault_config(stage: Stage) -> Path:
    return write_toml(
        stage.folder / "vault" / "vault.toml",
        {"data": "data", "listen": stage.ports["vault"], "vendor_id": stage.plan.vendor_id},
    )


def _cloud_secret(stage: Stage) -> dict[str, str]:
    return {"cloud": stage.passphrase("cloud")}


def _vault_secret(stage: Stage) -> dict[str, str]:
    return {"vault": stage.passphrase("vault")}
