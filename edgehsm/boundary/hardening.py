"""What a process with keys denies itself and others, before it has any. Best effort is said, not hidden.

No core dump (RLIMIT_CORE 0), no reading of its memory by its own user (PR_SET_DUMPABLE 0), no swap of its pages
(mlockall). Root still reads everything: that is what a software EdgeHSM cannot prevent.
"""

from __future__ import annotations

import ctypes
import os
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # linux/prctl.h
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4  # bits/mman-linux.h


class HardeningFailed(Exception):
    """The kernel refused what the boundary does not start without."""


def harden() -> list[str]:
    """Names of what could not be had (mlockall alone may be missing). Raises HardeningFailed for the rest."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise HardeningFailed(f"prctl: {os.strerror(ctypes.get_errno())}")
    return [] if _lock_memory(libc) else ["mlockall"]


def _lock_memory(libc: ctypes.CDLL) -> bool:
    """Under a limit, locking future pages would make an ordinary allocation fail later: then it is left alone."""
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft != resource.RLIM_INFINITY and os.geteuid() != 0:
        return False
    return int(libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT)) == 0
