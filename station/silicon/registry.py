"""Which chip families there are. A new one is one file and one line here (docs/new-soc.md)."""

from __future__ import annotations

from typing import Final

from obis.refusal import Refused
from obis.v1.reason_pb2 import Reason
from station.silicon import generic_ble, generic_dual, generic_se, generic_thread, generic_wifi
from station.silicon.family import Family

FAMILIES: Final[tuple[Family, ...]] = (
    generic_wifi.FAMILY,
    generic_thread.FAMILY,
    generic_ble.FAMILY,
    generic_se.FAMILY,
    generic_dual.FAMILY,
)


def family(soc: str) -> Family:
    """The family by its name; raises Refused PREFLIGHT_FAILED for one this station does not know."""
    for each in FAMILIES:
        if each.soc == soc:
            return each
    known = ", ".join(each.soc for each in FAMILIES)
    raise Refused(Reason.REASON_PREFLIGHT_FAILED, "this station knows no such chip", soc, f"it knows {known}")
