"""OP Backup, OP's own backups: on a station that has Firebird too, without which it reads no database."""

from __future__ import annotations

from collections.abc import Iterator

from opdeploy.inventory import Host, InventoryError, Problem
from opdeploy.resources.base import Resource
from opdeploy.resources.desired import Because
from opdeploy.roles import Product

NEEDS = ("support_account", "firebird", "op_folders")


class Settings(Product):
    pass


def resources(backup: Settings, host: Host) -> Iterator[Resource | Because]:
    if "firebird" not in host.variables:
        raise InventoryError([_without_firebird(host)])
    yield from backup.resources("OP Backup")


def _without_firebird(host: Host) -> Problem:
    at = host.variables["op_backup"].key_at
    message = f"{host.name} has no firebird: any station that runs OP Backup needs it"
    return Problem(at, "op_backup", message, "give the host the role firebird, or take op_backup from it")
