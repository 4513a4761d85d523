"""``--limit``: Ansible's patterns over hosts and groups.

Names and globs (``db*``, ``*.example``), joined by ``,`` or ``:``; ``&NAME`` keeps what is also there, ``!NAME`` takes
out. Unions come first, then ``&``, then ``!``, wherever they stand, and begin with all hosts where no name stands alone.
Otherwise than in Ansible a pattern that matches nothing is an error, and several limits are one union.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar

from opdeploy.inventory.problems import near
from opdeploy.model import UsageError


class Named(Protocol):
    @property
    def name(self) -> str: ...


LIST = "list the hosts with: opdeploy inventory list"
H = TypeVar("H", bound=Named)


def selected(hosts: Sequence[H], groups: Mapping[str, tuple[str, ...]], limits: Sequence[str]) -> tuple[H, ...]:
    """The hosts that the limits leave, in the inventory's order. Raises UsageError where a pattern matches nothing."""
    patterns = [part.strip() for limit in limits for part in limit.replace(":", ",").split(",") if part.strip()]
    names = {host.name for host in hosts}
    matches = {pattern: _matches(pattern.lstrip("&!"), names, groups) for pattern in patterns}
    unions = [matches[pattern] for pattern in patterns if pattern[0] not in "&!"]
    chosen = set().union(*unions) if unions else names
    for pattern in patterns:
        if pattern[0] == "&":
            chosen = chosen & matches[pattern]
    for pattern in patterns:
        if pattern[0] == "!":
            chosen = chosen - matches[pattern]
    if not chosen:
        raise UsageError(f"the limit {', '.join(limits)} leaves no host", LIST)
    return tuple(host for host in hosts if host.name in chosen)


def _matches(pattern: str, names: set[str], groups: Mapping[str, tuple[str, ...]]) -> set[str]:
    if not pattern:
        raise UsageError("a limit's & or ! names nothing", "write the name of a host or a group behind it")
    found = {name for name in names if fnmatchcase(name, pattern)}
    of_groups = [group for group in groups if fnmatchcase(group, pattern)]
    if not found and not of_groups:
        hint = near(pattern, names | groups.keys()) or LIST
        raise UsageError(f"the limit {pattern} matches no host and no group", hint)
    return found.union(*(groups[group] for group in of_groups))
