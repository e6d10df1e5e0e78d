"""How a command ends: its exit status, and the sentence a person gets when it did not do what was asked.

| status | meaning |
|---|---|
| 0 | done |
| 1 | refused: the mesh, or a check made here, said no |
| 2 | usage: the command line, a file or a passphrase is not what it must be |
| 3 | unconfirmed: all that was checked holds, but nobody vouched for the trust root (`obis verify` without fingerprint) |
| 4 | unreachable: no answer; the same command may be given again |

A refusal is three lines on stderr: the reason's word and what was wrong, where, and the next step.
"""

from __future__ import annotations

import json
import sys
from enum import IntEnum

from obis.refusal import Kind, Refused, word

_NO_ANSWER = frozenset({Kind.UNREACHABLE, Kind.TIMED_OUT})


class Exit(IntEnum):
    """The exit statuses of `obis`."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNCONFIRMED = 3
    UNREACHABLE = 4


class Usage(Exception):
    """The person can put it right: a missing file, a malformed id, a wrong passphrase. One sentence, and what to do."""

    def __init__(self, what: str, next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step


def exit_of(failure: Refused | Usage) -> Exit:
    """The status a failure ends with."""
    if isinstance(failure, Usage):
        return Exit.USAGE
    return Exit.UNREACHABLE if failure.kind in _NO_ANSWER else Exit.REFUSED


def sentence(failure: Refused | Usage) -> str:
    """What a person reads."""
    if isinstance(failure, Usage):
        head, where = f"obis: {failure.what}", ""
    else:
        said = "no answer" if failure.kind in _NO_ANSWER else "refused"
        head, where = f"{said}: {word(failure.reason)}: {failure.what}", failure.where
    lines = [head, where and f"  where  {where}", failure.next_step and f"  next   {failure.next_step}"]
    return "\n".join(line for line in lines if line)


def structured(failure: Refused | Usage) -> str:
    """The same as one JSON object, for `--json`."""
    reason = "USAGE" if isinstance(failure, Usage) else word(failure.reason)
    where = "" if isinstance(failure, Usage) else failure.where
    told = {"reason": reason, "what": failure.what, "where": where, "next_step": failure.next_step}
    return json.dumps({"error": told})


def report(failure: Refused | Usage, *, as_json: bool = False) -> Exit:
    """Say on stderr what went wrong; returns the exit status."""
    print(structured(failure) if as_json else sentence(failure), file=sys.stderr)
    return exit_of(failure)
