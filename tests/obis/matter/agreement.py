"""What our rules say of every vector, beside what the vector says of itself.

`python -m tests.obis.matter.agreement` writes the table into docs/matter.md; a test keeps it true.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from obis.matter.certificate import read_certificate
from obis.matter.declaration import require_fit, verify_declaration
from obis.matter.errors import MatterError
from obis.matter.findings import errors_of
from obis.matter.lint_chain import lint_chain
from obis.matter.lint_extensions import authority_key_id, subject_key_id
from obis.matter.names import attestation_ids
from tests.obis.matter.vectors import CD_KEY_ID, CD_POINT, Case, cases, paas

PAGE = Path(__file__).parents[3] / "docs" / "matter.md"
BEGIN, END = "<!-- agreement -->\n", "<!-- /agreement -->\n"
NOW = datetime(2025, 11, 1, tzinfo=UTC)
VENDOR_OF_THE_VECTORS = 0xFFF1

NEEDS_A_LEDGER = "only the Alliance's ledger knows it"
# What we may see otherwise than the vector, and why.
EXCUSED = {
    "struct_cd_cert_id_mismatch": NEEDS_A_LEDGER,
    "struct_cd_device_type_id_mismatch": NEEDS_A_LEDGER,
}


@dataclass(frozen=True)
class Verdict:
    case: Case
    rules: tuple[str, ...]
    declaration: str

    @property
    def agrees(self) -> bool:
        return self.case.accepted == (not self.rules and not self.declaration)


def verdict(case: Case) -> Verdict:
    paa = next(paa for paa in paas() if subject_key_id(read_certificate(paa)) == _authority(case.pai))
    findings = errors_of(lint_chain(paa, case.pai, case.dac, NOW))
    return Verdict(case, tuple(sorted({finding.rule for finding in findings})), _declaration(case, paa))


def _authority(pai: bytes) -> bytes | None:
    return authority_key_id(read_certificate(pai))


def _declaration(case: Case, paa: bytes) -> str:
    """Why the declaration is refused, or nothing; names that C09 refuses leave its fit unjudged."""
    try:
        declaration = verify_declaration(case.declaration, {CD_KEY_ID: CD_POINT})
    except MatterError as error:
        return error.what
    try:
        dac, pai = (attestation_ids(read_certificate(each).subject) for each in (case.dac, case.pai))
    except MatterError:
        return ""
    asked = {"vendor_id": VENDOR_OF_THE_VECTORS, "product_id": case.product_id, "dac": dac, "pai": pai}
    try:
        require_fit(declaration, **asked, paa_key_id=subject_key_id(read_certificate(paa)) or b"")
    except MatterError as error:
        return error.what
    return ""


def table() -> str:
    rows = ["| vector | says | ours | by |", "|---|---|---|---|"]
    for each in map(verdict, cases()):
        says = "accept" if each.case.accepted else "refuse"
        ours = says if each.agrees else {"accept": "refuse", "refuse": "accept"}[says]
        by = ", ".join([*each.rules, *filter(None, [each.declaration and f"CD: {each.declaration}"])])
        name = each.case.name.removeprefix("struct_")
        rows.append(f"| {name} | {says} | {ours} | {by or EXCUSED.get(each.case.name, '')} |")
    return "\n".join(rows) + "\n"


def _write() -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2])


if __name__ == "__main__":
    _write()
