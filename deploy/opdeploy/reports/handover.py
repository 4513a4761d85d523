"""What a practice's IT is left with, ``opdeploy.handover/1``: every resource of every server, as what it means to them. Pure.

A function a kind says which table a resource stands in and what its row says; what has none stands under *also set*, so
nothing is left out. Values pass through `rendering.show`, which hides what is secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from opdeploy import __version__
from opdeploy.model import Change, Principal
from opdeploy.rendering import NOTHING, printable, show
from opdeploy.reports.document import product
from opdeploy.reports.html import page
from opdeploy.reports.text import WORDS
from opdeploy.resources.base import Resource, comparator, properties
from opdeploy.resources.firewall_rule import ANY, ANY_OF_THEM
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

# [Microsoft, 'User Rights Assignment': the names that its pages have]
LOGON_RIGHTS = {
    "SeBatchLogonRight": "log on as a batch job",
    "SeDenyBatchLogonRight": "not log on as a batch job",
    "SeDenyInteractiveLogonRight": "not log on locally",
    "SeDenyNetworkLogonRight": "not access this computer from the network",
    "SeDenyRemoteInteractiveLogonRight": "not log on through Remote Desktop",
    "SeDenyServiceLogonRight": "not log on as a service",
    "SeInteractiveLogonRight": "log on locally",
    "SeNetworkLogonRight": "access this computer from the network",
    "SeRemoteInteractiveLogonRight": "log on through Remote Desktop",
    "SeServiceLogonRight": "log on as a service",
}

REMOVAL = (
    "Role by role, the last first. Each command shows beforehand what it would take away. What a role made is removed, what it "
    "only changed goes back to the value recorded before, what has no record is left and said. Data folders are never deleted."
)

Cells = tuple[str, ...]
Placed = tuple[str, Cells]  # in which table, and what stands there


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
    for place, cells in _placed(change):
        yield place, Row((cells[0], host, *cells[1:], seen), change.verdict, item.id, change.roles)


def _placed(change: Change[Any]) -> list[Placed]:
    """Where it stands; what must not be there is told apart from what is."""
    told = KINDS.get(change.resource.KIND)
    return (list(told(change)) if told and not change.resource.absent else []) or [_also(change)]


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


def _who(principal: Principal) -> str:
    return printable(principal.name or principal.sid)


def _named(wanted: Any) -> str:
    """By its name, and below it by what Windows' console shows, where that is another."""
    return "\n".join(dict.fromkeys(map(show, filter(None, (wanted.name, wanted.display_name)))))


def _lines(values: Sequence[Any] | None) -> str:
    return "\n".join(map(show, values)) if values else NOTHING


def _text(text: str) -> str:
    """Of several lines, each on its own."""
    return "\n".join(map(printable, text.split("\n")))


# ---------------------------------------------------------------- what each kind means to whoever takes over


def _also(change: Change[Any]) -> Placed:
    wanted = change.resource
    told = [f"{name}: {show(value)}" for name, value in _telling(wanted)]
    head = ["must not be there"] if wanted.absent else []
    return "also", (wanted.KIND, printable(wanted.key), "\n".join([*head, *told]) or NOTHING)


def _telling(wanted: Resource) -> Iterator[tuple[str, Any]]:
    for name in properties(type(wanted)):
        value = getattr(wanted, name)
        if value is not None and value != comparator(type(wanted), name).nothing:
            yield name, value


def _package(change: Change[Any]) -> Iterator[Placed]:
    wanted, there = change.resource, change.actual
    version = show(there.version) if there else NOTHING
    signer = show(wanted.signer.subject) if wanted.signer else NOTHING
    yield "programs", (show(wanted.name), version, show(wanted.version), _installer(wanted.source), show(wanted.sha256), signer)


def _installer(source: Any) -> str:
    if source is None:
        return NOTHING
    return show(source.file.name if source.file else source.url or source.path)


def _local_user(change: Change[Any]) -> Iterator[Placed]:
    user = change.resource
    told = {
        "enabled": user.enabled,
        "account expires": user.account_expires,
        "password never expires": user.password_never_expires,
    }
    may = "\n".join(["has an account", *(f"{name}: {show(value)}" for name, value in told.items() if value is not None)])
    yield "people", (f".\\{show(user.name)}", may, "local account")


def _group_members(change: Change[Any]) -> Iterator[Placed]:
    group = _who(change.resource.group)
    for member in change.resource.members or ():
        yield "people", (_who(member), f"what {group} may", f"member of {group}")


def _user_right(change: Change[Any]) -> Iterator[Placed]:
    right = change.resource.right
    for holder in change.resource.principals or ():
        yield "people", (_who(holder), LOGON_RIGHTS.get(right, right), f"user right {right}")


def _access_rule(change: Change[Any]) -> Iterator[Placed]:
    rule = change.resource
    may = show(rule.rights) if rule.type == "allow" else f"not: {show(rule.rights)}"
    reach = show(rule.applies_to).replace("_", " ") + ("" if rule.propagation == "all_levels" else ", one level down")
    yield "people", (_who(rule.principal), may, f"access list of {show(rule.path)} ({reach})")


def _service(change: Change[Any]) -> Iterator[Placed]:
    service = change.resource
    grants = service.grants or ()
    runs_as = _who(service.account) if service.account else NOTHING
    starts = show(service.start_mode).replace("_", " ")
    may = "\n".join(f"{_who(grant.principal)}: {show(grant.rights)}" for grant in grants) or NOTHING
    yield "services", (_named(service), starts, show(service.state), runs_as, show(service.recovery), may)
    for grant in grants:
        yield "people", (_who(grant.principal), show(grant.rights), f"access list of the service {show(service.name)}")


def _share(change: Change[Any]) -> Iterator[Placed]:
    share = change.resource
    given = [(_who(one.principal), show(one.rights)) for one in share.permissions or ()]
    may = "\n".join(f"{who}: {rights}" for who, rights in given) or NOTHING
    yield "shares", (show(share.name), show(share.path), may, show(share.remark))
    for who, rights in given:
        yield "people", (who, rights, f"share {show(share.name)}")


def _jea_endpoint(change: Change[Any]) -> Iterator[Placed]:
    endpoint = change.resource
    may = _lines([*endpoint.cmdlets, *endpoint.functions, *endpoint.programs])
    written = f"\nwritten down in {show(endpoint.transcripts)}" if endpoint.transcripts else ""
    for who in endpoint.allowed:
        yield (
            "people",
            (_who(who), may, f"PowerShell endpoint {show(endpoint.name)}, which carries it out as an administrator{written}"),
        )


def _sql_login(change: Change[Any]) -> Iterator[Placed]:
    login = change.resource
    who = _who(login.login) if isinstance(login.login, Principal) else show(login.login)
    may = [*(login.roles or ()), *(login.grants or ())]
    databases = [f"{show(user)}: user" for user in login.users or ()]
    yield "people", (who, "\n".join([*databases, *map(show, may)]) or "log on", f"login of SQL Server {show(login.server)}")


def _firewall_rule(change: Change[Any]) -> Iterator[Placed]:
    rule = change.resource
    inbound = rule.direction != "outbound"
    ports = rule.icmp_types if (rule.protocol or "").startswith("ICMP") else rule.local_ports if inbound else rule.remote_ports
    traffic = f"{show(rule.direction)}, {show(rule.action)}" + (", off" if rule.enabled is False else "")
    protocol = f"{_any(rule.protocol)} {_any(ports)}"
    by = "\n".join(f"{word} {show(value)}" for word, value in (("program", rule.program), ("service", rule.service)) if value)
    yield "ports", (_named(rule), traffic, protocol, _any(rule.remote_addresses), _any(rule.profiles), by or "any")


def _any(value: Any) -> str:
    """Nothing said of a rule is no limit to it."""
    return "any" if value in (None, ANY, ANY_OF_THEM) else show(value)


def _defender_exclusion(change: Change[Any]) -> Iterator[Placed]:
    yield "exclusions", (show(change.resource.value), change.resource.type)


def _scheduled_task(change: Change[Any]) -> Iterator[Placed]:
    task = change.resource
    runs_as = _who(task.principal) if task.principal else NOTHING
    if task.run_level == "highest":
        runs_as += ", with all its rights"
    yield "tasks", (show(task.path), _lines(task.triggers), _lines(task.actions), runs_as, show(task.description))


def _manual_step(change: Change[Any]) -> Iterator[Placed]:
    step = change.resource
    yield "steps", (f"{show(step.title)}\n{step.id}", show(step.who), _text(step.how), _text(step.why))


KINDS: Mapping[str, Callable[[Change[Any]], Iterator[Placed]]] = {
    "access_rule": _access_rule,
    "defender_exclusion": _defender_exclusion,
    "firewall_rule": _firewall_rule,
    "group_members": _group_members,
    "jea_endpoint": _jea_endpoint,
    "local_user": _local_user,
    "manual_step": _manual_step,
    "package": _package,
    "scheduled_task": _scheduled_task,
    "service": _service,
    "share": _share,
    "sql_login": _sql_login,
    "user_right": _user_right,
}
