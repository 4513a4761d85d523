"""A plan as a person reads it in a review: one block a host, one line a resource that differs, one line a property."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from opdeploy.model import HIDDEN, Change, Secret, Unproven
from opdeploy.results import summary

NOTHING = "–"
SIGNS = {"create": "+", "update": "~", "replace": "±", "remove": "-", "none": "!"}
WORDS = {"in_sync": "in sync", "would_change": "would change", "unknown": "unknown", "not_applicable": "not applicable"}


def show(value: Any) -> str:
    """A value as a plan shows it: yes and no, lists with commas, nothing as a dash, secrets never."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Secret):
        return HIDDEN
    if isinstance(value, Unproven):
        return "unknown"
    if isinstance(value, str):
        return value.replace("\r", "\\r").replace("\n", "\\n") or "''"
    if isinstance(value, Sequence | frozenset):
        return ", ".join(map(show, value)) or "(none)"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {show(item)}" for name, item in value.items())
    return str(value)


def sign(change: Change[Any]) -> str:
    if change.verdict == "in_sync":
        return "="
    return "?" if change.verdict == "unknown" else SIGNS[change.action]


def change_lines(change: Change[Any], commands: Iterable[str] = ()) -> Iterator[str]:
    """One resource: its line, a line a property, the reason, and with `commands` the calls that would close it."""
    head = f"  {sign(change)} {change.resource.KIND:<18} {change.resource.key:<46} {', '.join(change.roles)}"
    yield head.rstrip()
    for name, item in change.properties.items():
        before = "known after apply" if name in change.known_after_apply else show(item.before)
        yield f"      {name:<16} {before} → {show(item.after)}"
    if change.reason:
        yield f"      {change.reason}"
    for command in commands:
        yield f"      {command}"


def summary_line(changes: Sequence[Change[Any]]) -> str:
    counted = summary(changes)
    said = [f"{count} {WORDS[verdict]}" for verdict, count in counted.items() if count or verdict == "in_sync"]
    return "  " + " · ".join(said)
