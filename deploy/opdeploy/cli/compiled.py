"""From a command line to what every host should be, and to a run's record of who asked for it."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from opdeploy.cli.options import Asked
from opdeploy.inventory import Host, Inventory, near, read, select
from opdeploy.model import UsageError
from opdeploy.rendering import timestamp
from opdeploy.resources.desired import Desired
from opdeploy.results import Command, HostResult, Run
from opdeploy.roles import Roles, compile, find, sources


@dataclass(frozen=True)
class Compiled:
    """An inventory that is right, with the chosen hosts and what each should be."""

    inventory: Inventory
    roles: Roles
    hosts: tuple[tuple[Host, Desired], ...]
    asked_roles: tuple[str, ...] = ()

    @property
    def sources(self) -> str:
        return sources(self.inventory, self.roles)

    def host(self, name: str) -> tuple[Host, Desired]:
        """Raises UsageError where none of the chosen hosts has this name."""
        known = {host.name: (host, desired) for host, desired in self.hosts}
        if name not in known:
            raise UsageError(f"no host {name} in {self.inventory.path}", near(name, known) or f"there are: {', '.join(known)}")
        return known[name]


def compiled(asked: Asked, environment: Mapping[str, str] = os.environ) -> Compiled:
    """Raises InventoryError with everything that is wrong, UsageError for a limit or role that names nothing."""
    roles = find(asked.roles_path)
    inventory = read(asked.inventory, environment)
    everything = compile(inventory, inventory.hosts, roles, asked.roles)
    chosen = {host.name for host in select(inventory, asked.limits)}
    hosts = tuple((host, desired) for host, desired in everything if host.name in chosen)
    return Compiled(inventory, roles, hosts, asked.roles)


def new_run(command: Command, what: Compiled, hosts: Sequence[HostResult] = ()) -> Run:
    """A run of now, by whoever is at the keyboard."""
    now = datetime.now(UTC)
    return Run(
        command=command,
        run_id=f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
        created_at=timestamp(now),
        by=f"{user()}@{socket.gethostname()}",
        inventory=str(what.inventory.path),
        sources=what.sources,
        roles=what.asked_roles,
        hosts=tuple(hosts),
        practice=what.inventory.practice,
    )


def user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an id without an entry in passwd, as in some containers
        return "unknown"
