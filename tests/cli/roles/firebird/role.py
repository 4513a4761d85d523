"""The role of the bad inventories in tests/inventory/bad, as `fake_roles` has it."""

from collections.abc import Iterator
from typing import Literal

from opdeploy.inventory import Host
from opdeploy.model import Secret
from opdeploy.resources.base import Resource
from opdeploy.resources.local_user import LocalUser
from opdeploy.roles import Required, RoleSettings


class Account(RoleSettings):
    name: str
    password: Secret


class Settings(RoleSettings):
    version: Literal["2.5", "3.0"]
    remote_addresses: list[str] = Required("the practice's own network, never any")
    ports: list[int] = [3050]
    event_port: int = 3051
    backup_at: str | None = None
    account: Account | None = None


def resources(settings: Settings, host: Host) -> Iterator[Resource]:
    if settings.account:
        yield LocalUser(name=settings.account.name, password=settings.account.password)
