"""Counts operations against a rule: its total, its share for one device, its share for one UTC day."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from obis.refusal import Refused
from obis.v1.grant_pb2 import OpRule
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import Operation

DeviceKey = tuple[str, bytes]
"""Chip family and unique id."""


@dataclass
class Tallies:
    """What was spent under one Authorization, or under one Grant at one EdgeHSM."""

    total: Counter[Operation.ValueType] = field(default_factory=Counter)
    by_device: Counter[tuple[Operation.ValueType, DeviceKey]] = field(default_factory=Counter)
    by_day: Counter[tuple[Operation.ValueType, int]] = field(default_factory=Counter)

    def spend(self, rule: OpRule, device: DeviceKey, day: int) -> None:
        """One more. Raises Refused QUANTITY_SPENT, DEVICE_LIMIT_REACHED or DAY_LIMIT_REACHED."""
        self.total[rule.operation] += 1
        if self.total[rule.operation] > rule.max_total:
            raise Refused(Reason.REASON_QUANTITY_SPENT, f"{self.total[rule.operation]} of {rule.max_total}")
        if rule.max_per_device:
            self.by_device[rule.operation, device] += 1
            if self.by_device[rule.operation, device] > rule.max_per_device:
                raise Refused(Reason.REASON_DEVICE_LIMIT_REACHED, f"more than {rule.max_per_device} for one device")
        if rule.max_per_day:
            self.by_day[rule.operation, day] += 1
            if self.by_day[rule.operation, day] > rule.max_per_day:
                raise Refused(Reason.REASON_DAY_LIMIT_REACHED, f"more than {rule.max_per_day} in one day")
