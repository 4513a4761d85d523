"""Any resource, written straight into the inventory: for what no role of its own is for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import create_model

from opdeploy.inventory import Host
from opdeploy.resources import KINDS
from opdeploy.resources.base import Resource
from opdeploy.roles import RoleSettings

if TYPE_CHECKING:
    Settings = RoleSettings
else:
    Settings = create_model("Settings", __base__=RoleSettings, **{kind: (tuple[KINDS[kind], ...], ()) for kind in KINDS})


def resources(settings: Settings, host: Host) -> Iterator[Resource]:
    for kind in KINDS:
        yield from getattr(settings, kind)
