"""What is installed: names that are ours alone, locks without impostors, and one version of generated code."""

import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
# They install `factory` and `proto`: over our own package, or in the way of our folder.
IMPOSTORS = ("factory-boy", "proto-plus")


@pytest.mark.parametrize("name", PACKAGES)
def test_no_other_distribution_claims_our_name(name):
    others = set(packages_distributions().get(name, [])) - {"obis-mesh"}

    assert not others, f"{name} is also installed by {others}"


@pytest.mark.parametrize("name", [each for each in PACKAGES if each != "buf"])
def test_our_name_is_imported_from_this_tree(name):
    module = __import__(name)

    assert Path(module.__file__).is_relative_to(ROOT)


def test_the_proto_folder_is_no_package():
    assert not list((ROOT / "proto").rglob("__init__.py"))


def locks():
    return sorted((ROOT / "requirements").glob("*.lock"))


@pytest.mark.parametrize("lock", locks(), ids=lambda path: path.name)
def test_no_impostor_enters_a_lock(lock):
    assert not [name for name in IMPOSTORS if re.search(rf"^{name}==", lock.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("lock", locks(), ids=lambda path: path.name)
def test_every_locked_package_is_pinned_and_hashed(lock):
    for entry in re.split(r"\n(?=\S)", lock.read_text()):
        if not entry.startswith("#"):
            assert re.match(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==", entry), entry[:80]
            assert "--hash=sha256:" in entry, entry[:80]


def test_generator_and_run_time_floors_agree():
    """New generated code on an older run time is refused at import; the floors keep that from being installed."""
    stub = (ROOT / "obis/v1/reason_pb2.py").read_text()
    grpc_stub = (ROOT / "obis/v1/reason_pb2_grpc.py").read_text()
    generated_for = ".".join(re.search(r"Domain\.PUBLIC,\s*(\d+),\s*(\d+),\s*(\d+)", stub).groups())
    generator = re.search(r"GRPC_GENERATED_VERSION = '([\d.]+)'", grpc_stub).group(1)
    dependencies = PROJECT["project"]["dependencies"]

    assert f"grpcio-tools=={generator}" in PROJECT["build-system"]["requires"]
    assert f"grpcio-tools=={generator}" in PROJECT["dependency-groups"]["build"]
    assert f"grpcio>={generator},<2" in dependencies
    assert any(each.startswith(f"protobuf>={generated_for},") for each in dependencies)


def test_protovalidate_is_one_version_for_hook_and_run_time():
    """The hook reads a private module of the wheel, so the pin is exact to the minor version."""
    assert "protovalidate==2.1.*" in PROJECT["build-system"]["requires"]
    assert "protovalidate==2.1.*" in PROJECT["project"]["dependencies"]


def test_rules_of_the_contract_are_enforced_at_run_time():
    import protovalidate

    from obis.v1 import envelope_pb2

    with pytest.raises(protovalidate.ValidationError):
        protovalidate.validate(envelope_pb2.Sig(sig=b"x", key_id="not hex", scheme=envelope_pb2.SIG_SCHEME_P256))


def test_python_is_new_enough():
    assert sys.version_info >= (3, 11)
