"""Any resource, written straight into the inventory: for what no role of its own is for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field, create_model

from opdeploy.inventory import Host
from opdeploy.resources import KINDS
from opdeploy.resources.base import Resource
from opdeploy.roles import RoleSettings


def _title(kind: str) -> str:
    return (sys.modules[KINDS[kind].__module__].__doc__ or "").partition("\n")[0]


if TYPE_CHECKING:
    Settings = RoleSettings
else:
    _LISTS = {kind: (tuple[KINDS[kind], ...], Field(default=(), description=_title(kind))) for kind in KINDS}
    Settings = create_model("Settings", __base__=RoleSettings, **_LISTS)


def resources(settings: Settings, host: Host) -> Iterator[Resource]:
    for kind in KINDS:
        yield from getattr(settings, kind)
