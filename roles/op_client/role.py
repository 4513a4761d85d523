"""OP Client, the program that the practice's people work with; by default in C:\\OP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from opdeploy.inventory import Host
from opdeploy.resources.base import Resource
from opdeploy.resources.desired import Because
from opdeploy.resources.service import Service
from opdeploy.resources.values import LocalPath
from opdeploy.roles import Product, keyed

NEEDS = ("support_account", "firebird", "op_folders")  # grants may name the account; its folder is made with its rules


class Settings(Product):
    folders: tuple[LocalPath, ...] = (r"C:\OP",)
    r"""The folders that it works in: `C:\OP` where nothing is said, as OP installs it."""
    services: Annotated[dict[str, Service], keyed("name")] = Field(default_factory=dict)
    """Its services by their short names; OP names none."""


def resources(client: Settings, host: Host) -> Iterator[Resource | Because]:
    yield from client.resources("OP Client")
