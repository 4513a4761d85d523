"""What a host should be: its resources, with the roles that asked for each, and the scopes that are ours whole."""

from __future__ import annotations

from dataclasses import dataclass

from opdeploy.resources.base import Resource, Scope


@dataclass(frozen=True)
class Managed:
    """A desired resource and the roles that asked for it; `why` for one that no role named (an unmanaged extra)."""

    resource: Resource
    roles: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Desired:
    """All that a host should be: resources in order, and the scopes that its roles own whole."""

    resources: tuple[Managed, ...] = ()
    scopes: tuple[tuple[Scope, tuple[str, ...]], ...] = ()
