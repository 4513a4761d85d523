"""Which files of ``group_vars/`` and ``host_vars/`` belong to which name, as Ansible finds them.

For NAME the first of NAME (a file or a folder), NAME.yml, NAME.yaml, NAME.json; of a folder all such files, also in
folders below, in sorted order. Hidden files, backups (``x~``) and ``.md`` files are left alone. So is all else in
Ansible, without a word; here the caller is told, so that a misspelt name is not silently without effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = ("", ".yml", ".yaml", ".json")


@dataclass(frozen=True)
class VarsFiles:
    """``names``: the files of each name, in the order in which they are read; ``shadowed``: what another hides."""

    names: dict[str, list[Path]]
    entries: dict[str, Path]
    shadowed: list[tuple[Path, Path]]


def find(folder: Path) -> VarsFiles:
    """All of a folder (none where it is missing). Raises OSError where something cannot be listed."""
    found = VarsFiles({}, {}, [])
    for entry in sorted(_visible(folder), key=_rank) if folder.is_dir() else ():
        name = entry.name.removesuffix(_suffix(entry))
        if name in found.entries:
            found.shadowed.append((entry, found.entries[name]))
            continue
        found.entries[name] = entry
        found.names[name] = list(_below(entry)) if entry.is_dir() else [entry]
    return found


def _rank(entry: Path) -> tuple[int, str]:
    return SUFFIXES.index(_suffix(entry)), entry.name


def _suffix(entry: Path) -> str:
    return entry.suffix if entry.suffix in SUFFIXES else ""


def _visible(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if not entry.name.startswith(".") and not entry.name.endswith("~") and entry.suffix != ".md":
            yield entry


def _below(folder: Path) -> Iterator[Path]:
    for entry in sorted(_visible(folder), key=lambda entry: entry.name):
        if entry.is_dir() and not entry.suffix:
            yield from _below(entry)
        elif entry.is_file() and entry.suffix in SUFFIXES:
            yield entry
