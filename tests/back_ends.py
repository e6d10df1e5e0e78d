"""What tests use besides Python, and how to tell whether it is here.

A test says `@pytest.mark.needs("hsm")`. Without SoftHSM2 it is skipped and the run's last lines say so; with
OBIS_REQUIRE=hsm (CI sets every name) the same test fails instead, so that a green run hides no untested back end.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path

SOFTHSM_PLACES = ("/usr/lib/softhsm", "/usr/lib/*/softhsm", "/usr/local/lib/softhsm", "/opt/homebrew/lib/softhsm")


def softhsm_library() -> Path | None:
    """The PKCS#11 library of SoftHSM2, or None."""
    found = (path for place in SOFTHSM_PLACES for path in Path("/").glob(f"{place[1:]}/libsofthsm2.so"))
    return next(found, None)


def _openssl() -> str | None:
    return None if shutil.which("openssl") else "openssl is not on the PATH (apt-get install openssl)"


def _hsm() -> str | None:
    if importlib.util.find_spec("pkcs11") is None:
        return "python-pkcs11 is not installed (make setup)"
    if softhsm_library() is None or not shutil.which("softhsm2-util"):
        return "SoftHSM2 is not installed (apt-get install softhsm2)"
    return None


def _root() -> str | None:
    return None if os.geteuid() == 0 else "only root can do this"


# name -> why it is missing, or None. A new back end is one function, one row, and its name in .ci/run.
BACK_ENDS: dict[str, Callable[[], str | None]] = {"openssl": _openssl, "hsm": _hsm, "root": _root}


def required() -> frozenset[str]:
    """The names in OBIS_REQUIRE; raises KeyError for one that is no back end."""
    names = frozenset(filter(None, os.environ.get("OBIS_REQUIRE", "").split(",")))
    unknown = names - BACK_ENDS.keys()
    if unknown:
        raise KeyError(f"OBIS_REQUIRE names no back end of tests/back_ends.py: {', '.join(sorted(unknown))}")
    return names
