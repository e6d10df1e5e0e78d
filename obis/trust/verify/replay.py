"""What one log says happened, leaf by leaf, judged as the gate should have judged it before it wrote each one.

A leaf that should never have been written refuses the whole export: a gate that let it through was broken or bent. Kinds
that only inform (refusals, time, fronts, pruning) are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from obis.refusal import Refused, word
from obis.trust.merkle import leaf_hash
from obis.trust.verify import admission, making, rework
from obis.trust.verify.log import Log
from obis.trust.verify.place import at
from obis.trust.verify.state import Everything, LogState
from obis.trust.verify.verdict import LogLine
from obis.v1.leaf_pb2 import LogLeaf, RefusedLeaf
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import TimeQuality

Handler = Callable[[LogState, LogLeaf, Any], None]


def _inform(state: LogState, leaf: LogLeaf, entry: object) -> None:
    del state, leaf, entry


def _take_refused(state: LogState, leaf: LogLeaf, entry: RefusedLeaf) -> None:
    del leaf
    state.everything.tally.refusals[_word(entry.reason)] += 1 + entry.suppressed


def _word(reason: Reason.ValueType) -> str:
    return word(reason) if reason in Reason.values() else str(reason)


HANDLERS: Final[dict[str, Handler]] = {
    "incarnation": admission.take_incarnation,
    "grant_admitted": admission.take_grant_admitted,
    "product_keys": admission.take_product_keys,
    "pai_installed": admission.take_pai_installed,
    "authorization_admitted": admission.take_authorization_admitted,
    "authorization_closed": admission.take_authorization_closed,
    "grant_closed": admission.take_grant_closed,
    "issued": making.take_issued,
    "replaced": making.take_replaced,
    "key_delivered": making.take_key_delivered,
    "firmware_authorized": making.take_firmware_authorized,
    "outcome": making.take_outcome,
    "scrapped": rework.take_scrapped,
    "relabelled": rework.take_relabelled,
    "debug_opened": rework.take_debug_opened,
    "debug_closed": rework.take_debug_closed,
    "station_enrolled": admission.take_station_enrolled,
    "front_certified": _inform,
    "refused": _take_refused,
    "time": _inform,
    "trust_root": admission.take_trust_root,
    "revocation": admission.take_revocation,
    "device_list": _inform,
    "pruned": _inform,
}


def replay(log: Log, everything: Everything) -> LogState:
    """The state after the last leaf. Raises Refused with the leaf's index."""
    state = LogState((log.edgehsm_id, log.epoch), log.approval, everything)
    for leaf_bytes, leaf in log.leaves():
        kind = leaf.WhichOneof("entry") or ""
        with at(f"{log.path} leaf {leaf.index} ({kind})"):
            _take_header(state, leaf, kind)
            HANDLERS[kind](state, leaf, getattr(leaf, kind))
        hashed = leaf_hash(leaf_bytes)
        if kind == "grant_closed":
            everything.closed_leaves[hashed] = (leaf.grant_closed.grant_digest, leaf.grant_closed.released)
        state.frontier = state.frontier.append(hashed)
    return state


def _take_header(state: LogState, leaf: LogLeaf, kind: str) -> None:
    """Time never goes back, and a station that asked was enrolled before."""
    if leaf.at < state.last_at:
        raise Refused(Reason.REASON_BROKEN_CHAIN, "its time is before that of the leaf before it")
    state.last_at = leaf.at
    state.size += 1
    digest = leaf.station_key_digest
    if digest and kind not in {"station_enrolled", "refused"} and digest not in state.stations:
        raise Refused(Reason.REASON_STATION_NOT_ENROLLED, "the station that asked was not enrolled before this leaf")
    quality = TimeQuality.Name(leaf.time_quality).removeprefix("TIME_QUALITY_")
    state.everything.tally.time_quality[quality] += 1


def line_of(log: Log, state: LogState) -> LogLine:
    """The log in one line."""
    devices = [each for each in state.everything.devices.values() if each.edgehsm == state.edgehsm]
    outcomes = [each.outcome for each in devices]
    return LogLine(
        edgehsm_id=log.edgehsm_id,
        epoch=log.epoch,
        factory_id=log.approval.message.factory_id,
        leaves=state.size,
        issued=sum(batch.issued for batch in state.batches.values()),
        replaced=sum(batch.replaced for batch in state.batches.values()),
        passed=outcomes.count(True),
        failed=outcomes.count(False),
        abandoned=outcomes.count(None),
        cosigned_at=log.cosigned_at,
    )
