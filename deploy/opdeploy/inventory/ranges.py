"""Ansible's host ranges: ``db[1:3].example`` is db1, db2 and db3; so ``[01:10]``, ``[a:f]``, ``[1:9:2]``, several in a name.

As ansible.plugins.inventory.expand_hostname_range does it, but what stands for no host at all (``[3:1]``) is an error.
"""

from __future__ import annotations

import re
from itertools import product
from string import ascii_letters

MAX_HOSTS = 1000
_RANGE = re.compile(r"\[([^\[\]]*)\]")
_BOUNDS = re.compile(r"(\d{0,9}):(\d{1,9})(?::(\d{1,9}))?|([A-Za-z]):([A-Za-z])(?::(\d{1,9}))?", re.ASCII)


def expand(pattern: str) -> list[str]:
    """The names that a pattern stands for, in order. Raises ValueError with what is wrong with it."""
    parts = _RANGE.split(pattern)
    ranges = [_members(bounds) for bounds in parts[1::2]]
    count = 1
    for members in ranges:
        count *= len(members)
    if count > MAX_HOSTS:
        raise ValueError(f"{count} hosts in one range, more than {MAX_HOSTS}")
    return ["".join(_woven(parts[::2], choice)) for choice in product(*ranges)]


def _woven(texts: list[str], choice: tuple[str, ...]) -> list[str]:
    return [piece for pair in zip(texts, (*choice, ""), strict=True) for piece in pair]


def _members(bounds: str) -> list[str]:
    found = _BOUNDS.fullmatch(bounds)
    if not found:
        raise ValueError(f"[{bounds}] is no range: write [1:3], [01:10], [a:c] or [1:9:2]")
    first, last, step, first_letter, last_letter, letter_step = found.groups()
    if first_letter:
        span = range(ascii_letters.index(first_letter), ascii_letters.index(last_letter) + 1)
        return [ascii_letters[index] for index in _stepped(span, letter_step, bounds)]
    first = first or "0"
    width = len(first) if first[0] == "0" and len(first) > 1 else 0
    if width and width != len(last):
        raise ValueError(f"[{bounds}]: with leading zeros both ends are as long as each other")
    return [str(number).zfill(width) for number in _stepped(range(int(first), int(last) + 1), step, bounds)]


def _stepped(span: range, step: str | None, bounds: str) -> range:
    if not span:
        raise ValueError(f"[{bounds}] begins after its end")
    if step and not int(step):
        raise ValueError(f"[{bounds}] has a step of 0")
    stepped = span[:: int(step or 1)]
    if len(stepped) > MAX_HOSTS:
        raise ValueError(f"{len(stepped)} hosts in one range, more than {MAX_HOSTS}")
    return stepped
