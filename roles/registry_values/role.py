"""Values in the registry."""

from __future__ import annotations

from collections.abc import Iterator

from opdeploy.inventory import Host
from opdeploy.resources.base import Resource
from opdeploy.resources.registry_value import RegistryValue
from opdeploy.roles import Required, RoleSettings


class Settings(RoleSettings):
    values: tuple[RegistryValue, ...] = Required("a list: path, name, type and data of each")
    """Each value's path, name, type and data."""


def resources(settings: Settings, host: Host) -> Iterator[Resource]:
    yield from settings.values
