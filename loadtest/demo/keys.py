"""Keys of the demo's people: three of the OEM, one supervisor a site, and the signer of its certification declarations.

Made by the same functions as `obis key new`, each sealed under its owner's passphrase; no two share a file or a secret.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from loadtest.demo.stage import Stage
from obis.cli.approver_key import ApproverKey, make_key


@dataclass(frozen=True)
class Keys:
    """Opened keys, by person or factory id."""

    people: dict[str, ApproverKey]
    sites: dict[str, ApproverKey]
    declarations: ApproverKey
    secure_boot: ApproverKey


async def make_keys(stage: Stage) -> Keys:
    """Make them all, side by side: sealing takes a moment on purpose."""
    people = {each.id: stage.profile(each.id).home / f"{each.id}.key" for each in stage.plan.people}
    sites = {each.id: stage.site(each.id) / f"{each.id}-supervisor.key" for each in stage.plan.factories}
    others = {name: stage.folder / "people" / f"{name}.key" for name in ("declarations", "secure-boot")}
    made = await asyncio.gather(*(_make(stage, path) for path in (*people.values(), *sites.values(), *others.values())))
    by_path = dict(made)
    declarations, secure_boot = _picked(by_path, others.values())
    return Keys(
        {name: by_path[path] for name, path in people.items()},
        {name: by_path[path] for name, path in sites.items()},
        declarations,
        secure_boot,
    )


async def _make(stage: Stage, path: Path) -> tuple[Path, ApproverKey]:
    path.parent.mkdir(parents=True, exist_ok=True)
    passphrase = stage.passphrase(path.stem).encode()
    return path, await asyncio.to_thread(make_key, path, passphrase)


def _picked(keys: dict[Path, ApproverKey], paths: Iterable[Path]) -> list[ApproverKey]:
    return [keys[path] for path in paths]
