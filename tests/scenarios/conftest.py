"""One mesh of real processes for all scenarios of a run."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from loadtest.demo import goods as g
from loadtest.demo.people import sitting
from loadtest.demo.plan import read_plan
from loadtest.demo.stage import Stage
from obis.v1.scope_pb2 import Operation
from tests.scenarios.mesh import LATE, running_mesh

# The first scenario of a run waits for the mesh.
SECONDS = 300


@pytest.fixture(scope="session")
async def mesh(tmp_path_factory):
    async with running_mesh(tmp_path_factory.mktemp("mesh")) as running:
        yield running


@dataclass(frozen=True)
class Later:
    """A product that came to a running factory, and who ran before and after."""

    goods: g.Goods
    before: dict[str, int]
    after: dict[str, int]


@pytest.fixture(scope="session")
async def later(mesh):
    """Set up by the OEM and the ODM through the cloud alone; its Grant allows no Secure Debug."""
    product = next(each for each in read_plan().products if each.name == LATE)
    stage: Stage = replace(mesh.stage, plan=replace(mesh.stage.plan, products=(product,)))
    before = running(mesh)
    (goods,) = await g.create_products(stage, mesh.crew, mesh.keys)
    await sitting(stage, "a later product's rule")
    await g.prepare_versions(stage, mesh.crew, mesh.keys, [goods])
    grant = g._grant(stage, goods)
    kept = [each for each in grant.operations if each.operation in OPERATIONS]
    del grant.operations[:]
    grant.operations.extend(kept)
    await mesh.crew.oem.grants.ProposeGrant(grant, timeout=30)
    await sitting(stage, "a later product's grant")
    return Later(goods, before, running(mesh))


OPERATIONS = {Operation.OPERATION_ISSUE_DAC, Operation.OPERATION_PROGRAM_FIRMWARE}


def running(mesh) -> dict[str, int]:
    """Process ids of everything that runs."""
    children = mesh.stage.processes._children
    return {name: child.process.pid for name, child in children.items() if child.is_running}


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent and "mesh" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(SECONDS))
