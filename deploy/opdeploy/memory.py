"""What is remembered of a host's resources between runs: when each was last as desired, and since when it is not. Pure.

The run store keeps it, `drifting` reads it. What was desired is remembered with accounts by name, since a SID is the host's,
and with secrets as fingerprints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opdeploy.model import SETTLED, Change, Principal
from opdeploy.rendering import plain, secrets
from opdeploy.resources.base import OPTION, Owned, Resource, map_principals, parts, properties
from opdeploy.results import HostResult, Item, Run

Thing = tuple[str, str]  # kind, identity
WHOLE = ""  # what differs where a resource is not there, or there and unwanted
UNREAD = "?"  # what differs where a resource is unknown


@dataclass(frozen=True)
class Known:
    """What was desired of a resource when a run last found or made it so, and when that was, ISO 8601 UTC."""

    desired: Mapping[str, Any]
    at: str


@dataclass(frozen=True)
class Seen:
    """When a difference was first and last seen, ISO 8601 UTC."""

    first: str
    last: str


@dataclass(frozen=True)
class OfHost:
    """What is remembered of one host; differences by property, WHOLE or UNREAD."""

    known: Mapping[Thing, Known] = field(default_factory=dict)
    differences: Mapping[Thing, Mapping[str, Seen]] = field(default_factory=dict)


@dataclass(frozen=True)
class Memory:
    """`key`: the run store's, for fingerprints."""

    key: bytes = field(repr=False)
    hosts: Mapping[str, OfHost] = field(default_factory=dict)

    def of(self, host: str) -> OfHost:
        return self.hosts.get(host.lower(), OfHost())


def thing(resource: Resource) -> Thing:
    return resource.KIND, resource.key.lower()


def desired(resource: Resource, key: bytes) -> dict[str, Any]:
    """What is wanted of a resource, in a form that tells whether the inventory still wants the same."""
    kind = type(resource)
    names = [*properties(kind), *(name for name in parts(kind, OPTION) if _is_said(resource, name))]
    return {name: _form(value, key) for name in names if (value := getattr(resource, name)) is not None}


def _is_said(resource: Resource, option: str) -> bool:
    """What is never shown (a file's content) speaks through a property of its own (the digest)."""
    info = type(resource).model_fields[option]
    return bool(info.repr and getattr(resource, option) != info.get_default(call_default_factory=True))


def _form(value: Any, key: bytes) -> Any:
    told = plain(map_principals(value, _by_name))
    held = [secret.fingerprint(key) for secret in secrets(value)]
    return {"value": told, "secret": held} if held else told


def _by_name(principal: Principal) -> Principal:
    return Principal(principal.name) if principal.name else principal


def differing(change: Change[Any]) -> tuple[str, ...]:
    """Which properties differ, or WHOLE, or UNREAD; nothing where none does."""
    if change.verdict in SETTLED:
        return ()
    if change.verdict == "unknown":
        return (UNREAD,)
    if change.actual is None or change.resource.absent:
        return (WHOLE,)
    return tuple(change.properties) or (WHOLE,)


# ---------------------------------------------------------------- what a run adds


def after(run: Run, host: HostResult, before: OfHost, key: bytes) -> OfHost:
    """What is remembered of a host once a run was made.

    A run that was limited to roles saw only a part of what is wanted: it takes nothing back but by what it applied.
    """
    items = {thing(item.change.resource): item for item in host.resources}
    stay = items.keys() if not run.roles and _was_read(host) else items.keys() | before.known.keys() | before.differences.keys()
    known = {one: told for one, told in before.known.items() if one in stay}
    seen = {one: told for one, told in before.differences.items() if one in stay}
    for one, item in items.items():
        if _is_as_desired(item) and (item.outcome == "applied" or not run.roles or one not in known):
            known[one] = Known(desired(item.change.resource, key), run.created_at)
        seen[one] = _seen(run, item, seen.get(one, {}))
    return OfHost(known, {one: told for one, told in seen.items() if told})


def _was_read(host: HostResult) -> bool:
    """Whether all that is on it was seen, also in the scopes that are ours whole: what is not told then is not there."""
    return not host.error and not any(isinstance(item.change.resource, Owned) for item in host.items)


def _is_as_desired(item: Item) -> bool:
    return item.outcome == "applied" or item.change.verdict == "in_sync"


def _seen(run: Run, item: Item, before: Mapping[str, Seen]) -> dict[str, Seen]:
    if item.outcome == "applied":
        return {}
    stay = before if run.roles or item.change.verdict == "unknown" else {}
    names = differing(item.change)
    firsts = {name: min(run.created_at, before[name].first if name in before else run.created_at) for name in names}
    return {**stay, **{name: Seen(first, run.created_at) for name, first in firsts.items()}}
