"""What is wrong with an inventory, and where: every problem names file, line, column, the key's path and what to do.

Problems are collected, never raised one by one: a person sees all of them at once, in the order of file and line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from opdeploy.model import UsageError


@dataclass(frozen=True, order=True)
class Position:
    """A place in a file as editors count: lines and columns from 1; line 0 is the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake: ``path`` is the key's (``firebird.ports[0]``; '' for none), ``hint`` what to do ('' for none)."""

    at: Position
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        subject = f"{self.path}: " if self.path else ""
        hint = f"\n    {self.hint}" if self.hint else ""
        return f"{self.at}  {subject}{self.message}{hint}"


class InventoryError(UsageError):
    """All problems of an inventory: one block each, sorted by file and line, none twice (64)."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


def merged(first: Iterable[Problem], then: Iterable[Problem]) -> tuple[Problem, ...]:
    """Both, without those of ``then`` that only follow from what ``first`` already says of the very same place."""
    first = tuple(first)
    known = {problem.at for problem in first}
    return (*first, *(problem for problem in then if problem.at not in known))


def near(name: str, names: Iterable[str]) -> str:
    """The hint for a misspelt name: the nearest right one, '' where none is near."""
    found = get_close_matches(name, sorted(names), n=1, cutoff=0.6)
    return f"did you mean {found[0]}?" if found else ""


def joined(path: str, *steps: str | int) -> str:
    """``joined("a", "b", 0)`` is ``a.b[0]``."""
    for step in steps:
        path = f"{path}[{step}]" if isinstance(step, int) else f"{path}.{step}" if path else step
    return path


def printable(text: str) -> str:
    """Text from a file as it may stand in a message: no line ends and no terminal's escape sequences."""
    return text if text.isprintable() else ascii(text)[1:-1]


def shown(path: Path) -> str:
    """A path as errors show it: relative to the current directory where it lies below."""
    absolute = path.absolute()
    here = Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)
