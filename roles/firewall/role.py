"""The practice's own rules of the Windows Firewall, and the group that they share with those of other roles.

Each role yields the rules of its own ports; this one looks through the group for what no role of the host named.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field, model_validator

from opdeploy.inventory import Host
from opdeploy.resources.base import OPTION, Resource, Scope
from opdeploy.resources.desired import Because
from opdeploy.resources.firewall_rule import FirewallRule
from opdeploy.roles import GROUP, RoleSettings, everybody, keyed, may_let_in, told_why


class Rule(FirewallRule):
    """A rule as an inventory has it. It stands for something in use, so it is enabled unless it says otherwise."""

    enabled: bool | None = True
    """Whether it counts."""
    reason: Annotated[str, OPTION] = ""
    """Why it lets everybody in; needed with `remote_addresses: Any`, and with more than a network of one's own (/8)."""

    @model_validator(mode="after")
    def _says_from_where(self) -> Self:
        if self.group is not None:
            raise ValueError("the group stands once, for all rules; take it out of the rule")
        if not may_let_in(self):
            return self
        if self.remote_addresses is None and self.direction and self.action:
            raise ValueError("an inbound allow rule names its remote_addresses: the practice's network, such as 10.20.0.0/24")
        if (address := everybody(self)) and not self.reason.strip():
            said = f"remote_addresses {address} lets everybody in"
            raise ValueError(f"{said}: name the practice's network, or say why (reason: …)")
        return self

    def in_group(self, group: str) -> FirewallRule:
        if self.absent:
            return FirewallRule(name=self.name, absent=True)
        named = {name: getattr(self, name) for name in FirewallRule.model_fields if getattr(self, name) is not None}
        return FirewallRule.model_validate({"display_name": self.name, **named, "group": group})


class Settings(RoleSettings):
    group: Annotated[str, Field(min_length=1)] = "OP"
    """The group of its rules. Other roles' stand in `OP`, which is looked through too."""
    exact: bool = False
    """Rules in the group that no role names are removed; without it they are reported."""
    rules: Annotated[dict[str, Rule], keyed("name")] = Field(default_factory=dict)
    """The practice's own: each rule's id, and below it what it allows or blocks."""


def resources(firewall: Settings, host: Host) -> Iterator[Resource | Scope | Because]:
    for rule in firewall.rules.values():
        yield told_why(rule.in_group(firewall.group), rule.reason)
    for group in dict.fromkeys((firewall.group, GROUP)):
        yield Scope(FirewallRule, group, firewall.exact)
