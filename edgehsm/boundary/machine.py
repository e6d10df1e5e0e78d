"""The machine's clocks, read where I/O is allowed: decisions get `Clocks` as an argument."""

from __future__ import annotations

import time
from pathlib import Path

from edgehsm.boundary.clock import Clocks

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """The kernel's name for this boot."""
    return _BOOT_ID.read_text().strip()


class Machine:
    """Callable: what the clocks say now."""

    def __init__(self) -> None:
        self._boot_id = boot_id()

    def __call__(self) -> Clocks:
        """Wall clock and boot-time clock in whole seconds."""
        return Clocks(int(time.time()), int(time.clock_gettime(time.CLOCK_BOOTTIME)), self._boot_id)
