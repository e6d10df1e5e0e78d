"""An import-linter contract for the places that decide: what they may not reach, directly or through others.

It is import-linter's own `forbidden`, with two differences: a module that does not exist yet is passed over, and the
generated modules of services are forbidden to decisions while those of signed objects (plain values) are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.domain.imports import ModuleExpression

if TYPE_CHECKING:
    from grimp import ImportGraph
    from importlinter.domain.contract import ContractCheck

# Signed objects and the vocabulary of refusals: values a decision is about. All other generated modules are services'.
PAYLOADS = frozenset(
    {"envelope", "reason", "scope", "trust_root", "rule", "grant", "enrolment_objects", "authorization"}
)
PAYLOADS |= {"package", "leaf", "device_objects", "revocation", "export"}


class DecisionsContract(ForbiddenContract):
    """`source_modules` reach none of `forbidden_modules` and no generated module of a service."""

    type_name = "decisions"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        self.source_modules = {each for each in self.source_modules if each.expression in graph.modules}
        services = {each for each in graph.modules if each.startswith("obis.v1.") and not _is_payload(each)}
        self.forbidden_modules = {*self.forbidden_modules, *map(ModuleExpression, services)}
        return super().check(graph, verbose)


def _is_payload(module: str) -> bool:
    return module.rsplit(".", 1)[1].removesuffix("_pb2") in PAYLOADS
