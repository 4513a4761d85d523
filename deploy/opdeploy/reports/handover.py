"""What a practice's IT is left with, ``opdeploy.handover/1``: every resource of every server, as what it means to them. Pure.

`handover_kinds` says which table a resource stands in and what its row says. Values pass through `rendering.show`, which hides
what is secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from opdeploy import __version__
from opdeploy.model import Change
from opdeploy.rendering import NOTHING, printable, show
from opdeploy.reports.document import product
from opdeploy.reports.handover_kinds import Cells, placed
from opdeploy.reports.html import page
from opdeploy.reports.text import WORDS
from opdeploy.results import HostResult, Item, summary

SCHEMA = "opdeploy.handover/1"
SEEN = "As it was seen"

# The tables, in their order: title, what it says, columns. The server stands after the first of them, what was seen at the end.
SECTIONS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "programs": (
        "Installed programs",
        "What was installed, from which installer. The hash is of the installer, not of what it put there.",
        ("Program", "Version there", "Version wanted", "Installer", "SHA-256 of the installer", "Signed by"),
    ),
    "people": (
        "Who can do what",
        "Each account and group with what it was given here, and through what.",
        ("Who", "May", "Through"),
    ),
    "services": (
        "Services",
        "How each runs, and who besides administrators may start and stop it.",
        ("Service", "Starts", "State wanted", "Runs as", "When it fails", "Who may do what with it"),
    ),
    "ports": (
        "Ports and firewall rules",
        "Which traffic Windows' firewall lets in and out, and from where.",
        ("Rule", "Traffic", "Protocol and ports", "From or to", "Networks", "Program or service"),
    ),
    "shares": ("Shares", "Folders that are reached over the network.", ("Share", "Folder", "Who may do what", "Remark")),
    "exclusions": ("What the virus scanner leaves out", "Exclusions of Microsoft Defender.", ("What", "By its")),
    "tasks": ("Scheduled tasks", "What runs by itself, when, and as whom.", ("Task", "When", "Runs", "As", "Description")),
    "steps": ("Manual steps", "What only a person can do, signed off or open.", ("Step", "Whose", "What to do", "Why")),
    "also": ("Also set", "Everything else that is managed on these servers.", ("Kind", "What", "Values")),
}  # fmt: skip

REMOVAL = (
    "Role by role, the last first. Each command shows beforehand what it would take away. What a role made is removed, what it "
    "only changed goes back to the value recorded before, what has no record is left and said. Data folders are never deleted."
)


@dataclass(frozen=True)
class Row:
    """`id` and `roles` of the resource that it is about, '' and none where it is about something else."""

    cells: Cells
    verdict: str = ""
    id: str = ""
    roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """One table; the first cell of a row names what it is about."""

    id: str
    title: str
    says: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Handover:
    practice: str
    date: str
    sections: tuple[Section, ...]


def handover(
    practice: str, date: str, inventory: str, hosts: Sequence[HostResult], taken_at: Mapping[str, str] = MappingProxyType({})
) -> Handover:
    """All tables. A host that was not read has its items all the same, each `unknown`; `taken_at` is of snapshots."""
    rows = [found for host in hosts for item in host.items for found in _rows(host.name, item)]
    rows.sort(key=lambda row: row[1].cells[0].lower() if row[0] == "people" else "")
    tables = [
        Section(id, title, says, (first, "Server", *others, SEEN), tuple(row for place, row in rows if place == id))
        for id, (title, says, (first, *others)) in SECTIONS.items()
    ]
    return Handover(practice, date, (_servers(hosts, taken_at), *tables, _removal(hosts, inventory)))


def as_json(told: Handover) -> dict[str, Any]:
    """The same for a program: each row's cells by the name of their column."""
    return {
        "schema": SCHEMA,
        "tool": __version__,
        "practice": told.practice,
        "date": told.date,
        "sections": [_section(section) for section in told.sections],
    }


def _section(section: Section) -> dict[str, Any]:
    return {"id": section.id, "title": section.title, "rows": [_row(section.columns, row) for row in section.rows]}


def _row(columns: Cells, row: Row) -> dict[str, Any]:
    cells = dict(zip(columns, row.cells, strict=True))
    return {"id": row.id, "roles": list(row.roles), "verdict": row.verdict, "cells": cells}


def as_html(told: Handover) -> str:
    """The same for people, one file without anything beside it."""
    return page("handover.html.j2", told=told)


# ---------------------------------------------------------------- the servers, and how to take it all away


def _servers(hosts: Sequence[HostResult], taken_at: Mapping[str, str]) -> Section:
    columns = ("Server", "Windows", "Resources", SEEN)
    rows = tuple(
        Row((host.name, _windows(host), _counted(host), _read(host, taken_at.get(host.name, ""))), _VERDICTS[host.status])
        for host in hosts
    )
    return Section("servers", "Servers", "Which servers this is about, and whether each could be read.", columns, rows)


_VERDICTS = {"in_sync": "in_sync", "changes": "would_change"} | dict.fromkeys(("unknown", "unreachable", "failed"), "unknown")


def _windows(host: HostResult) -> str:
    return f"{product(host.machine)} ({host.machine.build})" if host.machine else NOTHING


def _counted(host: HostResult) -> str:
    counts = summary([item.change for item in host.items])
    return ", ".join(f"{count} {WORDS[verdict]}" for verdict, count in counts.items() if count) or "none"


def _read(host: HostResult, taken_at: str) -> str:
    if host.error:
        return printable(f"not read: {host.reason}")
    return f"its answers of {taken_at}, from a snapshot" if taken_at else "read"


def _removal(hosts: Sequence[HostResult], inventory: str) -> Section:
    """The roles, what was put there last first."""
    managed: dict[str, list[str]] = {}
    for host in hosts:
        for role in (role for item in host.items for role in item.change.roles):
            managed.setdefault(role, []).append(host.name)
    rows = tuple(
        Row((role, ", ".join(dict.fromkeys(names)), str(len(names)), f"opdeploy remove --role {role} -i {inventory}"))
        for role, names in reversed(managed.items())
    )
    columns = ("Role", "Servers", "Resources", "Command")
    return Section("removal", "How to take it all away", REMOVAL, columns, rows)


# ---------------------------------------------------------------- one resource


def _rows(host: str, item: Item) -> Iterator[tuple[str, Row]]:
    change, seen = item.change, _seen(item)
    for place, cells in placed(change):
        yield place, Row((cells[0], host, *cells[1:], seen), change.verdict, item.id, change.roles)


def _seen(item: Item) -> str:
    change = item.change
    if item.by_hand:
        return _signed(change)
    if change.verdict == "in_sync":
        return "not there, as it must be" if change.resource.absent else "as wanted"
    return "\n".join(filter(None, (_difference(change), printable(change.reason))))


def _difference(change: Change[Any]) -> str:
    if change.verdict != "would_change":
        return WORDS[change.verdict]
    if change.action in ("create", "remove"):
        return {"create": "not there yet", "remove": "there, to be removed"}[change.action]
    return "\n".join(f"{name}: {show(value.before)} → {show(value.after)}" for name, value in change.properties.items())


def _signed(change: Change[Any]) -> str:
    if change.actual is None:
        word = "open" if change.verdict == "would_change" else WORDS[change.verdict]
        return f"{word}: {printable(change.reason)}"
    by = change.actual.signed
    return f"signed off by {printable(by.by)} on {by.at[:10]}: {printable(by.note)}"
