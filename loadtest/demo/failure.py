"""How the demo fails: with one sentence, and the place to look."""

from __future__ import annotations


class DemoFailed(Exception):
    """A step did not do what the story says. `what` is a sentence, `look` a file or a command."""

    def __init__(self, what: str, look: str = "") -> None:
        super().__init__(f"{what}\n  look at {look}" if look else what)
