"""What the roles do above the inventory, with one small role: settings validated, the unclaimed named, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from opdeploy.inventory import (
    Host,
    Inventory,
    InventoryError,
    Problem,
    read,
    role_settings,
    secret_uses,
    shared_secrets,
    unclaimed,
    validated,
)
from opdeploy.model import Secret
from opdeploy.resources.local_user import OWN_PASSWORD

ENVIRONMENT = {"OP_ADMIN": "administrator-password", "OP_FIREBIRD": "firebird-password"}


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Account(Strict):
    name: str
    password: Secret


class Firebird(Strict):
    version: Literal["2.5", "3.0"]
    remote_addresses: list[str] = Field(description="the practice's own network, never any")
    ports: list[int] = [3050]
    event_port: int = 3051
    backup_at: str | None = None
    account: Account | None = None


def compiled(directory: Path, environ: Mapping[str, str] = ENVIRONMENT) -> Inventory:
    """The inventory with its one role's settings checked. Raises InventoryError with all problems."""
    inventory = read(directory, environ)
    inventory.refuse(problem for host in inventory.hosts for problem in _of_role(host))
    uses = [
        use
        for host in inventory.hosts
        for name, node in role_settings(host, ["firebird"])[0].items()
        for use in secret_uses(host.name, node, name)
    ]
    inventory.refuse(shared_secrets(uses, OWN_PASSWORD))
    return inventory


def _of_role(host: Host) -> Iterator[Problem]:
    roles, problems = role_settings(host, ["firebird"])
    yield from [*problems, *unclaimed(host, ["firebird"])]
    for name, node in roles.items():
        try:
            validated(Firebird, node, name)
        except InventoryError as error:
            yield from error.problems
