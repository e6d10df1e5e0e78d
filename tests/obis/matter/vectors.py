"""The public vectors, read from tests/vectors/matter (its README says where they come from)."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "vectors" / "matter"

# The SDK's published test signer of Certification Declarations: key identifier and uncompressed point.
CD_KEY_ID = bytes.fromhex("62fa823359acfaa9963e1cfa140addf504f37160")
CD_POINT = bytes.fromhex(
    "043c398922452b55caf389c25bd1bca4656952ccb90e8869249ad8474653014cbf"
    "95d687965e036b521c51037e6b8cedefca1eb44046694fa08882eed6519decba"
)


@dataclass(frozen=True)
class Case:
    name: str
    accepted: bool
    product_id: int
    dac: bytes
    pai: bytes
    declaration: bytes


@cache
def cases() -> tuple[Case, ...]:
    return tuple(_case(path) for path in sorted((FOLDER / "commissioner_dut").glob("*.json")))


def _case(path: Path) -> Case:
    said = json.loads(path.read_text())
    dac, pai, declaration = (bytes.fromhex(said[key]) for key in ("dac_cert", "pai_cert", "certification_declaration"))
    return Case(path.stem, said["is_success_case"] == "true", said["basic_info_pid"], dac, pai, declaration)


def chain(name: str) -> bytes:
    return (FOLDER / "chains" / f"Chip-Test-{name}-Cert.der").read_bytes()


def paas() -> list[bytes]:
    return [chain("PAA-FFF1"), chain("PAA-NoVID")]


def declarations() -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in sorted((FOLDER / "certification-declaration").glob("*.der"))}


def rows(name: str) -> list[dict]:
    return json.loads((FOLDER / name).read_text())
