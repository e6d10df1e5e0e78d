"""Which files an export has, and that they are the ones its manifest lists.

1. Every path is one of the layout (docs/architecture.md, "Export layout"); no other file may be there.
2. The manifest lists each file but itself, sorted, once, with its SHA-256 and size; every file is as listed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from obis.refusal import Refused
from obis.v1.export_pb2 import ExportManifest
from obis.v1.reason_pb2 import Reason

Files = Mapping[str, bytes]
MANIFEST: Final = "manifest.dsse"
TRANSPORT_CA: Final = "certificates/transport_ca.der"
SITE_ROOT: Final = "certificates/site_root.der"
ACTS: Final = "vault/acts.bin"

_ID: Final = "[a-z0-9-]{1,32}"
_EPOCH: Final = "[1-9][0-9]*"
_NUMBER: Final = "[0-9]{4}|[1-9][0-9]{4,}"
_HEX16: Final = "[0-9a-f]{32}"
_HEX32: Final = "[0-9a-f]{64}"
_KINDS: Final = {
    "root": rf"trust/root-({_NUMBER})\.dsse",
    "paa": rf"paa/({_HEX32})\.der",
    "rule": rf"rules/({_HEX16})-({_NUMBER})\.dsse",
    "grant": rf"grants/({_HEX16})-({_NUMBER})\.dsse",
    "approval": rf"approvals/({_ID})-({_EPOCH})\.dsse",
    "site_ca": rf"site-ca/({_ID})-({_EPOCH})\.der",
    "version": rf"versions/({_HEX32})\.bin",
    "pai": rf"pai/({_ID})-({_EPOCH})-({_HEX16})\.der",
    "pai_request": rf"pai/({_ID})-({_EPOCH})-({_HEX16})\.request\.dsse",
    "authorization": rf"authorizations/({_HEX16})\.dsse",
    "leaves": rf"logs/({_ID})-({_EPOCH})\.leaves",
    "checkpoint": rf"logs/({_ID})-({_EPOCH})\.checkpoint",
    "revocation": rf"revocations/({_NUMBER})\.dsse",
}
_PATTERNS: Final = {kind: re.compile(pattern) for kind, pattern in _KINDS.items()}
_FIXED: Final = frozenset({MANIFEST, TRANSPORT_CA, SITE_ROOT, ACTS})


@dataclass(frozen=True)
class Entry:
    """One file: its path and what its name says (ids, epoch, sequence), as text."""

    path: str
    names: tuple[str, ...]

    def number(self, position: int) -> int:
        """A part of the name that is a number."""
        return int(self.names[position])


def sort_files(files: Files) -> dict[str, list[Entry]]:
    """The files by kind, each kind in the order of its names. Raises Refused for a path outside the layout."""
    sorted_files: dict[str, list[Entry]] = {kind: [] for kind in _KINDS}
    for path in sorted(set(files) - _FIXED):
        for kind, pattern in _PATTERNS.items():
            if match := pattern.fullmatch(path):
                sorted_files[kind].append(Entry(path, match.groups()))
                break
        else:
            raise Refused(Reason.REASON_DIGEST_MISMATCH, "no such file belongs to an export", path)
    for entries in sorted_files.values():
        entries.sort(key=lambda entry: [(len(name), name) if name.isdigit() else (0, name) for name in entry.names])
    return sorted_files


def get_file(files: Files, path: str) -> bytes:
    """One file's bytes. Raises Refused DEPENDENCY_MISSING."""
    try:
        return files[path]
    except KeyError:
        raise Refused(Reason.REASON_DEPENDENCY_MISSING, "the file is missing", path) from None


def check_files(files: Files, manifest: ExportManifest) -> None:
    """Rule 2."""
    paths = [each.path for each in manifest.files]
    if paths != sorted(set(paths)) or MANIFEST in paths:
        raise Refused(Reason.REASON_MALFORMED, "paths are not sorted, each once, without the manifest", MANIFEST)
    if unlisted := sorted(set(files) - set(paths) - {MANIFEST}):
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "the manifest does not list this file", unlisted[0])
    for listed in manifest.files:
        content = get_file(files, listed.path)
        if len(content) != listed.size:
            raise Refused(
                Reason.REASON_DIGEST_MISMATCH, f"{len(content)} bytes, the manifest says {listed.size}", listed.path
            )
        if sha256(content).digest() != listed.digest:
            raise Refused(Reason.REASON_DIGEST_MISMATCH, "the bytes are not those the manifest lists", listed.path)
