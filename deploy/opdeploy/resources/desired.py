"""What a host should be: its resources, with the roles that asked for each, and the scopes that are ours whole."""

from __future__ import annotations

from dataclasses import dataclass

from opdeploy.resources.base import Resource, Scope, Scoped


@dataclass(frozen=True)
class Because:
    """A resource as a role asks for it, with the reason that every plan and report tells with it, in sync or not."""

    resource: Resource
    why: str


@dataclass(frozen=True)
class Managed:
    """A desired resource and the roles that asked for it; `why`: the reason that is told with it, a role's own or
    that no role named it (an unmanaged extra).

    `reported`: such a one that is not ours to remove.
    """

    resource: Resource
    roles: tuple[str, ...] = ()
    why: str = ""
    reported: bool = False


@dataclass(frozen=True)
class Desired:
    """All that a host should be: resources in order, and the scopes that its roles look through.

    `others`: what roles want in these scopes that were not asked for; nobody takes it for unmanaged.
    `work_log`: whether it keeps an event source for what is done to it (`resources/work_log`), by whichever of its roles.
    """

    resources: tuple[Managed, ...] = ()
    scopes: tuple[tuple[Scope, tuple[str, ...]], ...] = ()
    others: tuple[Scoped, ...] = ()
    work_log: bool = False
