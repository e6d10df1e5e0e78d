"""Build hook: proto/**/*.proto -> typed Python stubs, a buf image and the rules module that the stubs import.

It promises that what lies in obis/v1 is what proto/ says, for wheels and for editable installs alike: everything is
made in a temporary folder first and moved over file by file, so a proto that does not compile changes nothing and
a test that runs meanwhile never finds half a stub.

    obis/v1/*_pb2{,_grpc}.py{,i}   messages, stubs and servicers, typed by mypy-protobuf
    buf/validate/validate_pb2.py   protovalidate's annotations; its .proto text is in no wheel, its descriptor is
    build/obis.binpb               the same protos as a descriptor image, for buf lint and buf breaking

Run by hand (`make proto`): python hatch_build.py
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WELL_KNOWN = Path(protoc.__file__).parent / "_proto"
RULES = "buf/validate/validate.proto"


class ProtoHook(BuildHookInterface[Any]):
    """What hatchling calls before it builds or installs."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Generate the stubs; `version` is "standard" or "editable" and makes no difference here."""
        del version, build_data
        generate(Path(self.root))


def generate(root: Path) -> None:
    """Make all generated files below `root`; raises RuntimeError with protoc's exit code."""
    # An isolated build has the plugins on PATH already; `--no-build-isolation` has them beside the interpreter.
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    files = sorted(str(path.relative_to(root / "proto")) for path in (root / "proto").rglob("*.proto"))
    with tempfile.TemporaryDirectory(dir=_folder(root / "build")) as made:
        out = Path(made)
        rules = out / "validate.binpb"
        rules.write_bytes(_rules_descriptor())
        _protoc(f"--descriptor_set_in={rules}", f"--python_out={out}", f"--mypy_out=quiet:{out}", RULES)
        _move(out, root, "buf/validate", "validate_pb2*")
        if not files:
            return
        image = out / "obis.binpb"
        _protoc(
            f"-I{root / 'proto'}",
            f"-I{WELL_KNOWN}",
            f"--descriptor_set_in={rules}",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            f"--mypy_out=quiet:{out}",
            f"--mypy_grpc_out=quiet:{out}",
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={image}",
            *files,
        )
        _move(out, root, "obis/v1", "*_pb2*")
        image.replace(root / "build" / "obis.binpb")


def _rules_descriptor() -> bytes:
    """validate.proto and its imports as a FileDescriptorSet, taken from the protovalidate wheel.

    The module is private: hence the exact pin of protovalidate, and tests/test_distribution.py.
    """
    from google.protobuf import duration_pb2, field_mask_pb2, timestamp_pb2
    from protovalidate._gen.buf.validate import validate_pb

    described = descriptor_pb2.FileDescriptorSet()
    for module in (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2):
        module.DESCRIPTOR.CopyToProto(described.file.add())
    described.file.add().ParseFromString(validate_pb.desc().proto.to_binary())
    return described.SerializeToString(deterministic=True)


def _protoc(*arguments: str) -> None:
    code = protoc.main(["protoc", *arguments])
    if code:
        raise RuntimeError(f"protoc stopped with exit code {code}; its message is above")


def _move(made: Path, root: Path, folder: str, pattern: str) -> None:
    """Move what was made into place and drop stubs whose proto is gone."""
    target = _folder(root / folder)
    fresh = {path.name for path in (made / folder).glob(pattern)}
    for name in sorted(fresh):
        (made / folder / name).replace(target / name)
    for stale in target.glob(pattern):
        if stale.name not in fresh:
            stale.unlink()


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    generate(Path(__file__).resolve().parent)
