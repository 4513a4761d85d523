"""Where the differences of a drift check come from, since when they are known, and which a waiver accepts. Pure.

`corrective`: the host was as desired and is not any more. `intentional`: the inventory moved on and was not applied.
`never_applied`: nobody ever saw it as desired. `waived`: accepted until a date. `unknown` is never waived.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Literal

from pydantic import TypeAdapter

from opdeploy import memory
from opdeploy.inventory.waivers import Waiver
from opdeploy.memory import WHOLE, Memory, OfHost, differing, thing
from opdeploy.model import Change, Unproven
from opdeploy.rendering import secrets
from opdeploy.resources.base import NOT_NAMED, OPTION, Owned, comparator, parts, principals
from opdeploy.results import Drift, DriftKind, HostResult, Item, Run, Waived, WaiverUse


def classified(run: Run, remembered: Memory, waivers: Sequence[Waiver], today: date) -> Run:
    """The run with every difference's `Drift`, and with what became of each waiver that it can tell of."""
    valid = [waiver for waiver in waivers if waiver.until >= today]
    hosts = tuple(_host(run, host, remembered, [waiver for waiver in valid if host.name in waiver.named]) for host in run.hosts)
    return replace(run, hosts=hosts, waivers=tuple(_uses(run, waivers, today)))


def _host(run: Run, host: HostResult, remembered: Memory, waivers: Sequence[Waiver]) -> HostResult:
    of_host = remembered.of(host.name)
    roles = {role for item in host.items if thing(item.change.resource) in of_host.known for role in item.change.roles}

    def told(item: Item) -> Item:
        names = differing(item.change)
        if item.by_hand or not names:
            return item
        accepted = {waiver: by_it for waiver in waivers if (by_it := _accepted(item, waiver))}
        left = set(names).difference(*accepted.values())
        kind = _kind(item.change, of_host, roles, remembered.key) if left else "waived"
        return replace(item, drift=Drift(kind, *_since(run, item.change, of_host), tuple(map(_waived, accepted.items()))))

    return replace(host, items=tuple(told(item) for item in host.items))


# ---------------------------------------------------------------- one difference


def _kind(change: Change[Any], of_host: OfHost, roles: Collection[str], key: bytes) -> DriftKind:
    if change.verdict == "unknown":
        return "unknown"
    known = of_host.known.get(thing(change.resource))
    if known is None:
        return "corrective" if _is_extra(change) and set(change.roles) & set(roles) else "never_applied"
    return "corrective" if _host_moved(change, known.desired, memory.desired(change.resource, key)) else "intentional"


def _is_extra(change: Change[Any]) -> bool:
    """Found in a scope that is ours whole, and named by no role."""
    return change.resource.absent and NOT_NAMED in change.reason


def _host_moved(change: Change[Any], then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether something differs that is wanted as it was when the host last had it: a property, or that it is there at all."""
    if WHOLE in differing(change):
        return then.get("absent") == now.get("absent")
    changed = {name for name in then.keys() | now.keys() if then.get(name) != now.get(name)}
    if changed.intersection(parts(type(change.resource), OPTION)):
        return False
    return any(name not in changed or _is_neither(change, name, then) for name in change.properties)


def _is_neither(change: Change[Any], name: str, then: Mapping[str, Any]) -> bool:
    """Whether a property that is wanted otherwise since is not what was wanted then either. Not where that can't be told: of
    what could not be proved, and of what names accounts or holds secrets, which are remembered in another form.
    """
    kind, before = type(change.resource), change.properties[name].before
    values = (before, getattr(change.resource, name))
    if name not in then or isinstance(before, Unproven) or any(principals(value) or any(secrets(value)) for value in values):
        return False
    try:
        wanted: Any = TypeAdapter(kind.model_fields[name].rebuild_annotation()).validate_python(then[name])
    except ValueError:
        return False
    if before is None or type(wanted) is not type(before):
        return before is None
    how = comparator(kind, name)
    return not how.same(how.after(wanted, before, bool(getattr(change.resource, "exact", False))), before)


def _since(run: Run, change: Change[Any], of_host: OfHost) -> tuple[str, str]:
    """When it was first seen, and when last by a run before this one. A run whose clock was ahead saw it no later than this."""
    seen = of_host.differences.get(thing(change.resource), {})
    rows = [seen[name] for name in differing(change) if name in seen]
    return min([run.created_at, *(row.first for row in rows)]), max((row.last for row in rows), default="")


# ---------------------------------------------------------------- waivers


def _accepted(item: Item, waiver: Waiver) -> tuple[str, ...]:
    """Which of a resource's differences a waiver accepts. One of single properties does not accept that it is not there."""
    if item.by_hand or item.change.verdict == "unknown" or not waiver.matches(item.id):
        return ()
    return tuple(name for name in differing(item.change) if not waiver.properties or name in waiver.properties)


def _waived(accepted: tuple[Waiver, tuple[str, ...]]) -> Waived:
    waiver, names = accepted
    return Waived(tuple(name for name in names if name != WHOLE), waiver.reason, waiver.by, waiver.until.isoformat())


def _uses(run: Run, waivers: Sequence[Waiver], today: date) -> Iterator[WaiverUse]:
    hosts = {host.name: host for host in run.hosts}
    for waiver in waivers:
        if state := _state(run, waiver, [hosts.get(name) for name in waiver.named], today):
            names = ("at", "hosts", "resource", "properties", "reason", "by")
            told = {name: getattr(waiver, name) for name in names}
            yield WaiverUse(**told, until=waiver.until.isoformat(), state=state)


def _state(
    run: Run, waiver: Waiver, hosts: Sequence[HostResult | None], today: date
) -> Literal["used", "unused", "expired"] | None:
    """None where the run did not see all that a waiver is about, and met nothing that it accepts."""
    if waiver.until < today:
        return "expired"
    if any(_accepted(item, waiver) for host in hosts if host for item in host.items):
        return "used"
    return "unused" if not run.roles and all(host and _was_seen(host, waiver) for host in hosts) else None


def _was_seen(host: HostResult, waiver: Waiver) -> bool:
    unread = [item for item in host.items if item.change.verdict == "unknown"]
    return not host.error and not any(isinstance(item.change.resource, Owned) or waiver.matches(item.id) for item in unread)
