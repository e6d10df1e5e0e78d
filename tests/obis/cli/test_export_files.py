from types import SimpleNamespace

import pytest

from obis.cli.exits import Usage
from obis.cli.export_files import export_to
from obis.refusal import Refused
from obis.v1.trace_pb2 import ExportResponse

WHOLE = [
    ExportResponse(path="trust/root-0001.dsse", chunk=b"ro"),
    ExportResponse(path="trust/root-0001.dsse", chunk=b"ot", last=True),
    ExportResponse(path="manifest.dsse", chunk=b"manifest", last=True),
]


def cloud(*parts):
    async def stream(_request):
        for part in parts:
            yield part

    return SimpleNamespace(trace=SimpleNamespace(Export=stream))


async def test_files_come_whole(tmp_path):
    made = await export_to(cloud(*WHOLE), tmp_path / "export")

    assert (tmp_path / "export/trust/root-0001.dsse").read_bytes() == b"root"
    assert (made.files, made.octets) == (2, 12)


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b", ".hidden", ""])
async def test_a_name_that_leaves_the_folder_is_refused(tmp_path, path):
    with pytest.raises(Refused, match="MALFORMED"):
        await export_to(cloud(ExportResponse(path=path, chunk=b"x", last=True)), tmp_path / "export")

    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("parts", [WHOLE[:1], WHOLE[:2], [], [WHOLE[0], WHOLE[2]]])
async def test_an_export_that_ends_early_is_said_to_be_no_export(tmp_path, parts):
    with pytest.raises(Refused):
        await export_to(cloud(*parts), tmp_path / "export")


async def test_nothing_is_written_into_a_folder_that_holds_something(tmp_path):
    (tmp_path / "mine").touch()

    with pytest.raises(Usage, match="not empty"):
        await export_to(cloud(*WHOLE), tmp_path)
