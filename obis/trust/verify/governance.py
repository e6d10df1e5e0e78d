"""What people signed, and what the cloud signed under it.

1. Rules, Grants and approvals by their quorums; Authorizations and nothing else by ONLINE; revocation lists by
   REVOCATION. Each file is named after what it holds.
2. A product's rules and its Grants are whole chains from 1 on, each naming the one before; granted_before is
   recomputed. A Grant fits the rule it names and the Product Version it names.
3. An Authorization is a subset of the Grant it names. Its sequences at one EdgeHSM and epoch have no gap, in an export
   of everything.
4. An approval's EdgeHSM stands at a factory of the trust root; no key is approved twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from google.protobuf.message import Message

from obis.refusal import Refused
from obis.trust.authorization import check_authorization
from obis.trust.grant import check_grant
from obis.trust.payload import AUTHORIZATION, ENROLMENT_APPROVAL, GRANT, PRODUCT_RULE, REVOCATION_LIST
from obis.trust.rule import check_rule
from obis.trust.verify.files import Entry, Files
from obis.trust.verify.place import at
from obis.trust.verify.roots import Judged, Roots
from obis.trust.verify.versions import check_version
from obis.v1.authorization_pb2 import Authorization
from obis.v1.enrolment_objects_pb2 import EnrolmentApproval
from obis.v1.grant_pb2 import Grant
from obis.v1.package_pb2 import VersionManifest
from obis.v1.reason_pb2 import Reason
from obis.v1.revocation_pb2 import RevocationList
from obis.v1.rule_pb2 import ProductRule

M = TypeVar("M", bound=Message)
EdgeHsm = tuple[str, int]
"""EdgeHSM id and epoch."""


@dataclass(frozen=True)
class Governance:
    """Everything signed, by the name others use for it: digests, ids, sequences."""

    rules: dict[bytes, Judged[ProductRule]] = field(default_factory=dict)
    grants: dict[bytes, Judged[Grant]] = field(default_factory=dict)
    approvals: dict[EdgeHsm, Judged[EnrolmentApproval]] = field(default_factory=dict)
    authorizations: dict[bytes, Judged[Authorization]] = field(default_factory=dict)
    revocations: dict[int, Judged[RevocationList]] = field(default_factory=dict)
    versions: dict[bytes, VersionManifest] = field(default_factory=dict)

    def grant_of(self, auth: Authorization) -> Judged[Grant]:
        """The Grant an Authorization names. Raises Refused DEPENDENCY_MISSING."""
        return find(self.grants, auth.grant_digest, "Grant")

    def rule_of(self, grant: Grant) -> Judged[ProductRule]:
        """The rule a Grant names. Raises Refused DEPENDENCY_MISSING."""
        return find(self.rules, grant.rule_digest, "ProductRule")

    def root_versions(self) -> Iterable[int]:
        """By which version of the trust root each object stands."""
        yield from (each.root_version for each in self.rules.values())
        yield from (each.root_version for each in self.grants.values())
        yield from (each.root_version for each in self.approvals.values())
        yield from (each.root_version for each in self.authorizations.values())
        yield from (each.root_version for each in self.revocations.values())


def find(table: dict[bytes, Judged[M]], digest: bytes, what: str) -> Judged[M]:
    """What a digest names. Raises Refused DEPENDENCY_MISSING."""
    if digest not in table:
        raise Refused(Reason.REASON_DEPENDENCY_MISSING, f"names a {what} that is not in the export")
    return table[digest]


def load_governance(files: Files, entries: dict[str, list[Entry]], roots: Roots, *, is_whole: bool) -> Governance:
    """Judge everything signed. `is_whole`: the export covers every organisation. Raises Refused."""
    governance = Governance()
    for entry in entries["revocation"]:
        _load_revocation(files, entry, roots, governance)
    for entry in entries["rule"]:
        _load_rule(files, entry, roots, governance)
    for entry in entries["grant"]:
        _load_grant(files, entry, roots, governance)
    for entry in entries["approval"]:
        _load_approval(files, entry, roots, governance)
    for entry in entries["authorization"]:
        _load_authorization(files, entry, roots, governance)
    if is_whole:
        _require_no_gap(governance)
    return governance


def _load_revocation(files: Files, entry: Entry, roots: Roots, governance: Governance) -> None:
    judged = roots.judge(files, entry.path, REVOCATION_LIST)
    with at(entry.path):
        _require_name(entry.number(0) == judged.message.sequence)
    governance.revocations[judged.message.sequence] = judged


def _load_rule(files: Files, entry: Entry, roots: Roots, governance: Governance) -> None:
    judged = roots.judge(files, entry.path, PRODUCT_RULE)
    rule = judged.message
    with at(entry.path):
        _require_name(entry.names[0] == rule.product_id.hex() and entry.number(1) == rule.sequence)
        before = [each for each in governance.rules.values() if each.message.product_id == rule.product_id]
        if rule.sequence != len(before) + 1:
            raise Refused(Reason.REASON_SEQUENCE_GAP, f"rule {rule.sequence} after {len(before)}")
        check_rule(judged, before[-1] if before else None)
    governance.rules[judged.digest] = judged


def _load_grant(files: Files, entry: Entry, roots: Roots, governance: Governance) -> None:
    judged = roots.judge(files, entry.path, GRANT)
    grant = judged.message
    with at(entry.path):
        _require_name(entry.names[0] == grant.product_id.hex() and entry.number(1) == grant.sequence)
        rule = governance.rule_of(grant)
        before = [each for each in governance.grants.values() if each.message.product_id == grant.product_id]
        check_grant(rule, judged, before)
        governance.versions[grant.version_digest] = check_version(files, grant, rule.message)
    governance.grants[judged.digest] = judged


def _load_approval(files: Files, entry: Entry, roots: Roots, governance: Governance) -> None:
    judged = roots.judge(files, entry.path, ENROLMENT_APPROVAL)
    approval = judged.message
    with at(entry.path):
        _require_name(entry.names[0] == approval.edgehsm_id and entry.number(1) == approval.epoch)
        roots.require_site(approval.factory_id)
        taken = {key for each in governance.approvals.values() for key in _keys(each.message)}
        keys = _keys(approval)
        if len(set(keys)) != len(keys) or taken.intersection(keys):
            raise Refused(Reason.REASON_KEY_REUSED, "one of its keys is approved for something else too")
    governance.approvals[approval.edgehsm_id, approval.epoch] = judged


def _keys(approval: EnrolmentApproval) -> list[bytes]:
    keys = approval.keys
    return [
        keys.identity_spki_der,
        keys.log_spki_der,
        keys.hpke_spki_der,
        keys.site_ca_spki_der,
        keys.wrap_spki_der,
    ]


def _load_authorization(files: Files, entry: Entry, roots: Roots, governance: Governance) -> None:
    judged = roots.judge(files, entry.path, AUTHORIZATION)
    auth = judged.message
    with at(entry.path):
        _require_name(entry.names[0] == auth.auth_id.hex())
        check_authorization(governance.grant_of(auth), judged)
        if (auth.edgehsm_id, auth.epoch) not in governance.approvals:
            raise Refused(Reason.REASON_DEPENDENCY_MISSING, "nobody approved the EdgeHSM and epoch it names")
    governance.authorizations[auth.auth_id] = judged


def _require_no_gap(governance: Governance) -> None:
    sequences: dict[EdgeHsm, list[int]] = defaultdict(list)
    for judged in governance.authorizations.values():
        auth = judged.message
        sequences[auth.edgehsm_id, auth.epoch].append(auth.sequence)
    for (edgehsm_id, epoch), found in sequences.items():
        if sorted(found) != list(range(1, len(found) + 1)):
            where = f"authorizations/ of {edgehsm_id}-{epoch}"
            raise Refused(Reason.REASON_SEQUENCE_GAP, "their sequences are not 1 to n, each once", where)


def _require_name(is_named_so: bool) -> None:  # noqa: FBT001 - reads as a sentence where it is called
    if not is_named_so:
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "the file is not named after what it holds")
