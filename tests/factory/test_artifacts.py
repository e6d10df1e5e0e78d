"""A blob is whole and has its digest, or it is not there; a fetch goes on where it was cut."""

import asyncio
from hashlib import sha256

import pytest

from factory.artifacts import Artifacts
from obis.refusal import Refused
from obis.v1.factory_link_pb2 import FetchArtifactResponse
from obis.v1.reason_pb2 import Reason

BLOB = b"firmware" * 100_000
DIGEST = sha256(BLOB).digest()
STEP = 65536


class Source:
    """The cloud: serves `content`, breaks off before `cut_at`, notes from where it was asked."""

    def __init__(self, content=BLOB, cut_at=None):
        self.content, self.cut_at, self.offsets = content, cut_at, []

    async def fetch(self, digest, offset):
        self.offsets.append(offset)
        for at in range(offset, len(self.content), STEP):
            if self.cut_at is not None and at >= self.cut_at:
                raise ConnectionResetError("cut")
            yield FetchArtifactResponse(offset=at, chunk=self.content[at : at + STEP], size=len(self.content))


async def whole(artifacts, offset=0):
    return b"".join([chunk async for _, chunk, _ in artifacts.read(DIGEST, offset)])


async def test_a_cut_fetch_goes_on_where_it_ended_even_after_a_restart(tmp_path):
    source = Source(cut_at=5 * STEP)
    with pytest.raises(ConnectionResetError):
        await Artifacts(tmp_path, source.fetch).ensure(DIGEST)
    source.cut_at = None
    artifacts = Artifacts(tmp_path, source.fetch)

    assert not artifacts.has(DIGEST)
    await artifacts.ensure(DIGEST)

    assert source.offsets == [0, 5 * STEP]
    assert await whole(artifacts) == BLOB
    assert await whole(artifacts, 7) == BLOB[7:]
    assert artifacts.count() == 1


async def test_other_bytes_are_thrown_away(tmp_path):
    source = Source(content=BLOB[:-1] + b"!")
    artifacts = Artifacts(tmp_path, source.fetch)

    with pytest.raises(Refused) as refusal:
        await artifacts.ensure(DIGEST)

    assert refusal.value.reason == Reason.REASON_DIGEST_MISMATCH
    assert not artifacts.has(DIGEST)
    source.content = BLOB
    await artifacts.ensure(DIGEST)
    assert source.offsets == [0, 0]


async def test_many_stations_cause_one_fetch(tmp_path):
    source = Source()
    artifacts = Artifacts(tmp_path, source.fetch)

    await asyncio.gather(*(artifacts.ensure(DIGEST) for _ in range(20)))

    assert source.offsets == [0]
