"""An import-linter contract for the places that decide: what they may not reach, directly or through others.

It is import-linter's own `forbidden`, with two differences: a module that does not exist yet is passed over, and the
generated modules of services are forbidden to decisions, while those of objects (plain values) are not.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.domain.imports import ModuleExpression

if TYPE_CHECKING:
    from grimp import ImportGraph
    from importlinter.domain.contract import ContractCheck

PROTOS = Path(__file__).parents[1] / "proto/obis/v1"
SERVICES = {
    f"obis.v1.{path.stem}_pb2"
    for path in PROTOS.glob("*.proto")
    if re.search(r"^service ", path.read_text(), re.MULTILINE)
}


class DecisionsContract(ForbiddenContract):
    """`source_modules` reach none of `forbidden_modules` and no generated module of a service."""

    type_name = "decisions"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        self.source_modules = {each for each in self.source_modules if each.expression in graph.modules}
        services = {each for each in graph.modules if each in SERVICES or each.endswith("_pb2_grpc")}
        self.forbidden_modules = {*self.forbidden_modules, *map(ModuleExpression, services)}
        return super().check(graph, verbose)
