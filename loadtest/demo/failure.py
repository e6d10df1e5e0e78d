"""How the demo fails: with one sentence, and the place to look; and how long it waits before that."""

from __future__ import annotations

from typing import Final

CALL_SECONDS: Final = 120  # deadline of a call: only something broken takes that long, even on a busy machine


class DemoFailed(Exception):
    """A step did not do what the story says. `what` is a sentence, `look` a file or a command."""

    def __init__(self, what: str, look: str = "") -> None:
        super().__init__(f"{what}\n  look at {look}" if look else what)
