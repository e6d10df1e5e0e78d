"""Passphrases: asked once a person and sitting, on the terminal, or handed over as start secrets are.

From a program they come as one JSON object `{name: passphrase}` on an inherited descriptor (`--secrets-fd N`), or as
files of $CREDENTIALS_DIRECTORY, by the same names. Never by argument or environment. A name is the person's id, or the
key file's name without suffix.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable

from obis.cli.exits import Usage

SHORTEST = 8  # characters; scrypt does the rest


class Passphrases:
    """What was typed or handed over in this sitting; it is kept in memory alone, and asked for once a name."""

    def __init__(self, known: dict[str, bytes] | None = None, ask: Callable[[str], str] = getpass.getpass) -> None:
        self._known = dict(known or {})
        self._ask = ask

    def of(self, name: str) -> bytes:
        """The passphrase of `name`. Raises Usage where there is no terminal to ask on."""
        if name not in self._known:
            self._known[name] = self._typed(f"Passphrase of {name}: ")
        return self._known[name]

    def chosen_for(self, name: str) -> bytes:
        """A new passphrase, typed twice; one that was handed over is taken as it is."""
        if name not in self._known:
            first = self._typed(f"New passphrase for {name}: ")
            if self._typed("Again: ") != first:
                raise Usage("the two passphrases differ", "try again")
            self._known[name] = first
        if len(self._known[name]) < SHORTEST:
            raise Usage(f"a passphrase has at least {SHORTEST} characters")
        return self._known[name]

    def _typed(self, prompt: str) -> bytes:
        if self._ask is getpass.getpass and not sys.stdin.isatty():
            raise Usage("there is no terminal to ask for a passphrase on", "give --secrets-fd N")
        return self._ask(prompt).encode()


def passphrases_from(descriptor: int) -> Passphrases:
    """What a program hands over: one JSON object on a pipe, read once. Raises Usage for anything else."""
    import json
    import os

    try:
        with os.fdopen(descriptor, "rb") as pipe:
            found = json.loads(pipe.read(1 << 16))
    except (OSError, ValueError) as failure:
        raise Usage(f"--secrets-fd {descriptor} cannot be read as JSON: {type(failure).__name__}") from None
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise Usage("--secrets-fd gives one JSON object of names and passphrases")
    return Passphrases({name: text.encode() for name, text in found.items()})
