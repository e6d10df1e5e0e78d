"""This project's own files, for tests that read them instead of running them."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("cloud", "factory", "edgehsm", "station", "loadtest")


@cache
def files() -> tuple[Path, ...]:
    """Every file that is, or would be, committed; paths relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = (Path(name) for name in sorted(set(listed.stdout.decode().split("\0"))) if name)
    return tuple(path for path in paths if (ROOT / path).is_file())


def sources() -> list[Path]:
    """Python that ships: the rooms and the floor below them."""
    return [path for path in files() if path.suffix == ".py" and path.parts[0] in {*ROOMS, "obis"}]


def checks() -> list[Path]:
    return [path for path in files() if path.suffix == ".py" and path.parts[0] == "tests"]


@cache
def text(path: Path) -> str:
    """The file's text, or nothing if it is binary."""
    try:
        return (ROOT / path).read_text()
    except UnicodeDecodeError:
        return ""


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(text(path), filename=str(path))


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an attribute chain; what is no name in it becomes `?`."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def imported(path: Path) -> set[str]:
    """Dotted names of what the module imports, with and without the name taken from it."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def within(path: Path, *places: str) -> bool:
    """Is the file one of these modules or packages? `cloud/vault` means cloud/vault.py and cloud/vault/**."""
    name = path.with_suffix("").as_posix()
    return any(name == place or name.startswith(f"{place}/") for place in places)
