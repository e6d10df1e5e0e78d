"""People come in, and sign.

The OEM's people get certificates by requests signed with their keys; ODM engineers by invitation tokens. A sitting is the
real `obis approve --all`, one process a person, with one passphrase.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from loadtest.demo.failure import CALL_SECONDS
from loadtest.demo.keys import Keys
from loadtest.demo.processes import python
from loadtest.demo.stage import Stage
from obis.cli.connection import Cloud, connect
from obis.cli.login import login_by_key, login_by_token
from obis.cli.profile import Mesh
from obis.v1.organisations_pb2 import (
    CreateOrganisationRequest,
    InvitePersonRequest,
    Organisation,
    OrganisationKind,
)


@dataclass(frozen=True)
class Crew:
    """Open connections of the people who act: the OEM's proposer, and one engineer an ODM by factory id."""

    oem: Cloud
    odms: dict[str, Cloud]


@asynccontextmanager
async def people_come_in(stage: Stage, mesh: Mesh, keys: Keys) -> AsyncIterator[Crew]:
    """Everybody logs in; the connections stay open while the story goes on."""
    plan = stage.plan
    await asyncio.gather(*(_oem_person(stage, mesh, keys, each.id) for each in plan.people))
    async with AsyncExitStack() as open_connections:
        oem = await open_connections.enter_async_context(_connected(stage, plan.proposer.id))
        tokens = await asyncio.gather(*(_invite(oem, stage, each.id) for each in plan.factories))
        await asyncio.gather(
            *(
                _odm_person(stage, mesh, each.odm.person, token)
                for each, token in zip(plan.factories, tokens, strict=True)
            )
        )
        odms = {
            each.id: await open_connections.enter_async_context(_connected(stage, each.odm.person))
            for each in plan.factories
        }
        stage.board.say(f"{len(plan.people)} people of {plan.oem_name}, {len(odms)} ODMs with an engineer each")
        yield Crew(oem, odms)


async def sitting(stage: Stage, subject: str) -> int:
    """Every signer works through the queue, at their own desk; how many objects were signed by the quorum."""
    outputs = await asyncio.gather(*(_approve(stage, each.id, subject) for each in stage.plan.signers))
    signed = [int(each.strip().rsplit("\n", 1)[-1].split()[0]) for each in outputs]
    names = " and ".join(each.name.partition(" ")[0] for each in stage.plan.signers)
    stage.board.say(f"{names} read and signed {min(signed)} objects: {subject}")
    return min(signed)


async def _approve(stage: Stage, person_id: str, subject: str) -> str:
    name = f"approve-{person_id}-{subject.split(maxsplit=1)[0]}"
    secret = {person_id: stage.passphrase(person_id)}
    home = str(stage.profile(person_id).home)
    return await stage.processes.run(python(name, "obis.cli", "approve", "--all", secrets=secret, OBIS_HOME=home))


async def _oem_person(stage: Stage, mesh: Mesh, keys: Keys, person_id: str) -> None:
    profile = stage.profile(person_id)
    mesh.write(profile.mesh_path)
    passphrase = stage.passphrase(person_id).encode()
    await login_by_key(profile, person_id, keys.people[person_id], passphrase, now=int(time.time()))


async def _odm_person(stage: Stage, mesh: Mesh, person_id: str, token: str) -> None:
    profile = stage.profile(person_id)
    mesh.write(profile.mesh_path)
    await login_by_token(profile, person_id, token, stage.passphrase(person_id).encode())


async def _invite(oem: Cloud, stage: Stage, factory_id: str) -> str:
    odm = stage.plan.factory(factory_id).odm
    made = Organisation(
        organisation_id=odm.id, name=odm.name, kind=OrganisationKind.ORGANISATION_KIND_ODM, factory_ids=[factory_id]
    )
    await oem.organisations.CreateOrganisation(CreateOrganisationRequest(organisation=made), timeout=CALL_SECONDS)
    request = InvitePersonRequest(organisation_id=odm.id, person_id=odm.person)
    return (await oem.organisations.InvitePerson(request, timeout=CALL_SECONDS)).invitation_token


def _connected(stage: Stage, person_id: str) -> AbstractAsyncContextManager[Cloud]:
    return connect(stage.profile(person_id), stage.passphrase(person_id).encode())
