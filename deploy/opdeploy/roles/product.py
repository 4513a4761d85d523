"""What a role's settings say of one of OP's products, and what that comes to: package, folders, services, ports.

What its installer, services, folders and ports are called is not public (`roles/op_services/catalogue.yml`): all of it has
to be given, and that there is none of something has to be written too. Only how a service should run has a default.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from opdeploy.resources.base import Resource
from opdeploy.resources.desired import Because
from opdeploy.resources.directory import Directory
from opdeploy.resources.package import Package
from opdeploy.resources.reachable import Reachable
from opdeploy.resources.service import Service
from opdeploy.resources.values import LocalPath
from opdeploy.roles.installer import Installer
from opdeploy.roles.opening import Opening
from opdeploy.roles.settings import Required, RoleSettings, keyed

RECOVERY = {"actions": ("restart 1m", "restart 5m", "none"), "reset": "1d"}
RUNS = {"start_mode": "automatic", "state": "running", "recovery": RECOVERY}


class Product(RoleSettings):
    """One of OP's products on one host."""

    installer: Installer = Required("what OP Support gave for it: type, source, sha256, detect (and signer, arguments)")
    """Where its installer comes from, what it is, and how the product is told to be there."""
    services: Annotated[dict[str, Service], keyed("name")] = Required(
        "its services by their short names, as Get-Service shows them once it is installed; {} where it runs none"
    )
    """Its services by their short names. Each starts with Windows, runs, and is restarted when it fails, unless it says
    otherwise; `grants` say who may start and stop it."""
    folders: tuple[LocalPath, ...] = Required("the folders that it works in, as OP Support names them; [] where there are none")
    """The folders that it works in: made where its installer makes none."""
    openings: Annotated[dict[str, Opening], keyed("name")] = Required(
        "firewall rules for its ports by their ids (OP-…), by OP's article 'OP Services and Ports'; {} where it needs none"
    )
    """Firewall rules for its ports, by their ids (`OP-…`), each with its remote addresses."""
    reaches: tuple[Reachable, ...] = Field(default=())
    """What it has to get through to: tried from the host at every plan."""

    def resources(self, name: str) -> Iterator[Resource | Because]:
        yield self._package(name)
        yield from (Directory(path=folder) for folder in self.folders)
        yield from map(kept_running, self.services.values())
        yield from (opening.rule() for opening in self.openings.values())
        yield from self.reaches

    def _package(self, name: str) -> Package:
        package = self.installer.package(name)
        brought = [service.name for service in self.services.values() if not service.command_line]
        services = tuple(dict.fromkeys((*package.provides_services, *brought)))
        paths = tuple(dict.fromkeys((*package.provides_paths, *self.folders)))
        return package.model_copy(update={"provides_services": services, "provides_paths": paths})


def kept_running(service: Service) -> Service:
    """The service as the product needs it, where nothing else is said."""
    usual: dict[str, Any] = {} if service.absent or service.start_mode == "disabled" else RUNS
    told = {name: getattr(service, name) for name in service.model_fields_set}
    return Service.model_validate({**usual, **told})
