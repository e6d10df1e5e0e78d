"""One log of an export: its checkpoint, and its leaves one after another.

1. The checkpoint is signed by the log key that people approved for this EdgeHSM and epoch, and cosigned by a key of
   role WITNESS under this mesh's name.
2. The leaves are as many as its size says, and their tree has its root: nothing is missing, changed, moved or added.
3. Each leaf is closed, names this EdgeHSM and epoch, stands at its index, and time never goes back.
4. No log is left out whole: an EdgeHSM that a PAI or an Authorization is for has one, and it is here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from obis.refusal import Refused
from obis.trust.checkpoint import Checkpoint, log_origin, verify_cosignature, verify_note, witness_name
from obis.trust.merkle import leaf_hash, root_of
from obis.trust.payload import parse_message
from obis.trust.verify.files import Entry, Files, get_file
from obis.trust.verify.framing import frames
from obis.trust.verify.governance import Governance
from obis.trust.verify.place import at
from obis.trust.verify.roots import Judged, Roots
from obis.trust.verify.state import Everything
from obis.v1.enrolment_objects_pb2 import EnrolmentApproval
from obis.v1.leaf_pb2 import LogLeaf
from obis.v1.reason_pb2 import Reason
from obis.v1.trust_root_pb2 import RootRole


@dataclass(frozen=True)
class Log:
    """A log whose checkpoint and root hold; its leaves are still to be judged."""

    edgehsm_id: str
    epoch: int
    path: str
    content: bytes
    approval: Judged[EnrolmentApproval]
    checkpoint: Checkpoint
    cosigned_at: int

    def leaves(self) -> Iterator[tuple[bytes, LogLeaf]]:
        """Each leaf's exact bytes and its message, as rule 3 has it. Raises Refused with its index."""
        for index, leaf_bytes in enumerate(frames(self.content, self.path)):
            leaf = parse_message(LogLeaf, leaf_bytes, f"{self.path} leaf {index}")
            if (leaf.edgehsm_id, leaf.epoch, leaf.index) != (self.edgehsm_id, self.epoch, index):
                raise Refused(
                    Reason.REASON_BROKEN_CHAIN, "the leaf names another log or index", f"{self.path} leaf {index}"
                )
            yield leaf_bytes, leaf


def open_log(files: Files, entry: Entry, governance: Governance, roots: Roots) -> Log:
    """Rules 1 and 2. Raises Refused."""
    edgehsm_id, epoch = entry.names[0], entry.number(1)
    approval = governance.approvals.get((edgehsm_id, epoch))
    if approval is None:
        raise Refused(Reason.REASON_DEPENDENCY_MISSING, "nobody approved this EdgeHSM and epoch", entry.path)
    note_path = entry.path.removesuffix(".leaves") + ".checkpoint"
    with at(note_path):
        note = get_file(files, note_path)
        checkpoint = verify_note(note, log_origin(edgehsm_id, epoch), approval.message.keys.log_spki_der)
        cosigned_at = _witnessed(note, roots)
    content = get_file(files, entry.path)
    _check_root(content, entry.path, checkpoint)
    return Log(edgehsm_id, epoch, entry.path, content, approval, checkpoint, cosigned_at)


def _witnessed(note: bytes, roots: Roots) -> int:
    """When a witness of this mesh saw the checkpoint, by whichever key then held the role."""
    refusals = [Refused(Reason.REASON_KEY_UNKNOWN, "the trust root names no witness")]
    for key in roots.keys_of(RootRole.ROOT_ROLE_WITNESS):
        try:
            return verify_cosignature(note, witness_name(roots.fingerprint), key.spki_der)[1]
        except Refused as refused:
            refusals.append(refused)
    raise refusals[-1]


def _check_root(content: bytes, path: str, checkpoint: Checkpoint) -> None:
    hashes = [leaf_hash(leaf_bytes) for leaf_bytes in frames(content, path)]
    if len(hashes) != checkpoint.size:
        raise Refused(Reason.REASON_BROKEN_CHAIN, f"{len(hashes)} leaves, the checkpoint says {checkpoint.size}", path)
    if root_of(hashes) != checkpoint.root:
        raise Refused(Reason.REASON_BROKEN_CHAIN, "the leaves are not those the checkpoint is of", path)


def require_paired(files: Files, entries: dict[str, list[Entry]]) -> None:
    """Every checkpoint has its leaves; `open_log` asks for the other half."""
    for entry in entries["checkpoint"]:
        get_file(files, entry.path.removesuffix(".checkpoint") + ".leaves")


def require_shown(logs: Iterable[Log], everything: Everything) -> None:
    """Rule 4. Raises Refused BROKEN_CHAIN."""
    shown = {(log.edgehsm_id, log.epoch) for log in logs}
    batches = [each.message for each in everything.governance.authorizations.values()]
    named = [(each.edgehsm_id, each.epoch, each.path) for each in everything.pais.values()]
    named += [(each.edgehsm_id, each.epoch, f"authorizations/{each.auth_id.hex()}.dsse") for each in batches]
    for edgehsm_id, epoch, path in named:
        if (edgehsm_id, epoch) not in shown:
            raise Refused(Reason.REASON_BROKEN_CHAIN, f"the log of {edgehsm_id}/{epoch} is not in the export", path)
