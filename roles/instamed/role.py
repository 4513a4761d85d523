"""Instamed Connect Batch Agent: billing files to and from the clearing house InstaMed."""

from __future__ import annotations

from collections.abc import Iterator

from opdeploy.inventory import Host
from opdeploy.resources.base import Resource
from opdeploy.resources.desired import Because
from opdeploy.resources.reachable import Reachable
from opdeploy.roles import Product, Required

NEEDS = ("support_account", "firebird", "op_folders")


class Settings(Product):
    reaches: tuple[Reachable, ...] = Required(
        "names and ports that it connects to, as InstaMed says for this agent (its batch service: connect.instamed.com by "
        "SFTP 22 or 2201, or FTPS 21); [] to try none"
    )
    """What it has to get through to, by name and port: tried from the host at every plan."""


def resources(instamed: Settings, host: Host) -> Iterator[Resource | Because]:
    yield from instamed.resources("Instamed Connect Batch Agent")
