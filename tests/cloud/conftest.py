"""One small mesh for the whole folder: two ODMs, two enrolled EdgeHSMs, one product that is ready for batches."""

from dataclasses import dataclass

import pytest_asyncio

from obis.v1.versions_pb2 import ProductVersion
from tests.cloud.small_mesh import Edge, SmallMesh


@dataclass
class Ready:
    """What can be made a batch of."""

    product_id: bytes
    version: ProductVersion
    edge: Edge
    factory_id: str
    grant_digest: bytes


@pytest_asyncio.fixture(scope="session")
async def mesh(tmp_path_factory):
    mesh = SmallMesh(tmp_path_factory.mktemp("mesh"))
    await mesh.begin()
    await mesh.login("ann")
    await mesh.login("bob")
    await mesh.join("odm-a", "oda", ["th-01"])
    await mesh.join("odm-b", "odb", ["vn-01"])
    yield mesh
    await mesh.end()


@pytest_asyncio.fixture(scope="session")
async def edge(mesh):
    return await mesh.enrol_edge("th-01", "edge-th")


@pytest_asyncio.fixture(scope="session")
async def ready(mesh, edge):
    return await make_ready(mesh, edge)


async def make_ready(mesh, edge, quantity=1000, share=1000, name="Bulb"):
    from hashlib import sha256

    product_id = await mesh.product(quantity, name)
    version = await mesh.version(product_id)
    signed = await mesh.grant(version.version_id, [("th-01", edge.id, edge.epoch, share)])
    grant_digest = sha256(signed.envelope.payload).digest()
    await mesh.pai(edge, product_id, grant_digest)
    return Ready(product_id, version, edge, "th-01", grant_digest)
