"""What a resource means to whoever takes a server over: which of the handover's tables it stands in, and what is said. Pure.

A function a kind; what has none stands under *also set*, so nothing is left out. Values pass through `rendering.show`, which
hides what is secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from opdeploy.model import Change, Principal
from opdeploy.rendering import NOTHING, printable, show
from opdeploy.resources.base import Resource, comparator, properties
from opdeploy.resources.firewall_rule import ANY, ANY_OF_THEM

Cells = tuple[str, ...]
Placed = tuple[str, Cells]  # in which table, and what stands there

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


def placed(change: Change[Any]) -> list[Placed]:
    """Where it stands; what must not be there is told apart from what is."""
    told = KINDS.get(change.resource.KIND)
    return (list(told(change)) if told and not change.resource.absent else []) or [_also(change)]


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


# ---------------------------------------------------------------- kind by kind


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
