"""OP Web Update, with which OP's own releases are brought to an on-premise server."""

from __future__ import annotations

from collections.abc import Iterator

from opdeploy.inventory import Host
from opdeploy.resources.base import Resource
from opdeploy.resources.desired import Because
from opdeploy.roles import Product

NEEDS = ("support_account", "firebird", "op_client")  # it updates what is installed


class Settings(Product):
    pass


def resources(update: Settings, host: Host) -> Iterator[Resource | Because]:
    yield from update.resources("OP Web Update")
