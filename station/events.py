"""Events of a line, as the JSON objects of `station.remote`, and the counts at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeAlias

from obis.refusal import Refused, word
from obis.v1.scope_pb2 import EvidenceLevel
from station.bench import Outcome
from station.order import Order
from station.rework import Reworked
from station.sockets import Socket

Event: TypeAlias = dict[str, Any]
Say: TypeAlias = Callable[[Event], None]


class Tally:
    """How units ended, over all commands."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.leaves: dict[str, list[int]] = {}

    def add(self, edgehsm_id: str, outcome: Outcome) -> None:
        """One unit more."""
        finish = outcome.finish
        self.results[finish.result] += 1
        if finish.refusal:
            self.reasons[word(finish.refusal.reason)] += 1
        leaves = self.leaves.setdefault(edgehsm_id, [])
        leaves.extend(index for index in (finish.issue_index, finish.outcome_index) if index >= 0)


def device(order: Order, socket: Socket, outcome: Outcome) -> Event:
    """A unit ended."""
    finish = outcome.finish
    level = EvidenceLevel.Name(finish.evidence).removeprefix("EVIDENCE_LEVEL_") if finish.evidence else ""
    return {
        "event": "device",
        "auth_id": order.auth_id.hex(),
        "product": order.product_name,
        "uid": outcome.uid.hex(),
        "soc": order.soc,
        "socket": socket.plan.name,
        "result": finish.result.value,
        **_why(finish.refusal),
        "duration_ms": outcome.duration_ms,
        "log_index": _index(finish.issue_index),
        "outcome_index": _index(finish.outcome_index),
        "evidence": level,
        "repeated": finish.repeated,
        "dac_digest": finish.dac_digest.hex(),
        "serial": finish.serial.hex(),
        "trips": outcome.trips,
        "same_dac": outcome.same_dac,
    }


def reworked(auth_id: bytes, uid: bytes, done: Reworked | Refused) -> Event:
    """A rework ended."""
    event: Event = {"event": "rework", "auth_id": auth_id.hex(), "uid": uid.hex()}
    if isinstance(done, Refused):
        result = "FAIL" if done.reason >= 140 else "REFUSED"
        return {**event, "result": result, **_why(done), "session_id": "", "opened_index": None, "closed_index": None}
    indexes = {"opened_index": done.opened_index, "closed_index": done.closed_index}
    return {**event, "result": "PASS", **_why(None), "session_id": done.session_id.hex(), **indexes}


def order_ready(order: Order) -> Event:
    """An order is verified and its firmware is here."""
    return {
        "event": "order",
        "auth_id": order.auth_id.hex(),
        "product": order.product_name,
        "soc": order.soc,
        "quantity": order.quantity,
        "edgehsm": order.edgehsm_id,
    }


def order_refused(auth_id: bytes, refused: Refused) -> Event:
    """An order was judged and is not believed."""
    return {"event": "order_refused", "auth_id": auth_id.hex(), **_why(refused), "where": refused.where}


def error(command: str, refused: Refused) -> Event:
    """A command could not be done."""
    return {"event": "error", "do": command, **_why(refused), "next_step": refused.next_step}


def _why(refused: Refused | None) -> Event:
    return {"reason": word(refused.reason), "what": refused.what} if refused else {"reason": "", "what": ""}


def _index(index: int) -> int | None:
    return index if index >= 0 else None
