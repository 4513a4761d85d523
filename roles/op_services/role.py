"""Windows services: how they start, whether they run, what happens when they fail, who may start and stop them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from opdeploy.inventory import Host
from opdeploy.resources.base import Resource
from opdeploy.resources.service import Service
from opdeploy.roles import Required, RoleSettings, keyed

NEEDS = ("support_account",)  # grants may name its account


class Settings(RoleSettings):
    services: Annotated[dict[str, Service], keyed("name")] = Required(
        "each service's short name, as Get-Service shows it, and below it what it should be"
    )


def resources(settings: Settings, host: Host) -> Iterator[Resource]:
    yield from settings.services.values()
