"""Any resource, written straight into the inventory: for what no role of its own is for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

from pydantic import Field, create_model, model_validator

from opdeploy.inventory import Host
from opdeploy.resources import KINDS
from opdeploy.resources.base import Resource
from opdeploy.resources.firewall_rule import FirewallRule
from opdeploy.roles import RoleSettings, everybody, may_let_in


def _title(kind: str) -> str:
    return (sys.modules[KINDS[kind].__module__].__doc__ or "").partition("\n")[0]


class _Kinds(RoleSettings):
    firewall_rule: tuple[FirewallRule, ...] = ()

    @model_validator(mode="after")
    def _lets_not_everybody_in(self) -> Self:
        if opened := [rule.name for rule in self.firewall_rule if _is_open(rule)]:
            raise ValueError(f"firewall_rule {opened[0]} lets everybody in: write it under firewall: rules:, with its reason")
        return self


def _is_open(rule: FirewallRule) -> bool:
    made_for_any = rule.remote_addresses is None and rule.direction and rule.action  # as a new one
    return bool(may_let_in(rule) and (made_for_any or everybody(rule)))


if TYPE_CHECKING:
    Settings = RoleSettings
else:
    _LISTS = {kind: (tuple[KINDS[kind], ...], Field(default=(), description=_title(kind))) for kind in KINDS}
    Settings = create_model("Settings", __base__=_Kinds, **_LISTS)


def resources(settings: Settings, host: Host) -> Iterator[Resource]:
    for kind in KINDS:
        yield from getattr(settings, kind)
