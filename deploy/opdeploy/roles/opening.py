"""A firewall rule that a role makes for its own port: enabled, in the group OP, and never open to any without a reason."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated, Self

from pydantic import model_validator

from opdeploy.resources.base import OPTION, Resource
from opdeploy.resources.desired import Because
from opdeploy.resources.firewall_rule import FirewallRule

GROUP = "OP"
WIDEST = {4: 2**24, 6: 2**96}  # addresses in one entry: 10.0.0.0/8, and an IPv6 /32


def wide(address: str) -> bool:
    """Whether it is more than a network of one's own can be; `address` as a firewall rule has it."""
    first, _, last = address.partition("-")
    if not re.fullmatch(r"[0-9a-fA-F:.]+(/\d+)?", first):
        return address in ("Any", "Internet")
    network = ip_network(first)
    size = int(ip_address(last)) - int(ip_address(first)) + 1 if last else network.num_addresses
    return size > WIDEST[network.version]


def everybody(rule: FirewallRule) -> str:
    """The first of its remote addresses that is more than a network of one's own, '' if none is."""
    return next(filter(wide, rule.remote_addresses or ()), "")


def may_let_in(rule: FirewallRule) -> bool:
    """Whether it is inbound and allows; a direction or an action that it leaves out may be that of the rule on the host."""
    return not rule.absent and rule.direction != "outbound" and rule.action != "block"


class Opening(FirewallRule):
    """A rule as a role's settings have it, by its id."""

    enabled: bool | None = True
    """Whether it counts."""
    reason: Annotated[str, OPTION] = ""
    """Why it is open to any address; needed with `remote_addresses: Any`, and with more than a network of one's own (/8)."""

    @model_validator(mode="after")
    def _says_from_where(self) -> Self:
        if not self.name.startswith("OP-"):
            raise ValueError(f"a rule's id begins with OP-, so that it is known for ours: OP-{self.name}")
        if self.group is not None or self.absent:
            raise ValueError(f"a product's rule is there, and in the group {GROUP}: take group and absent out")
        if self.remote_addresses is None:
            raise ValueError("a rule names its remote_addresses: the practice's network, such as 10.20.0.0/24")
        if (address := everybody(self)) and not self.reason.strip():
            raise ValueError(f"remote_addresses {address} opens it to everybody: name addresses, or say why (reason: …)")
        return self

    def rule(self) -> Resource | Because:
        """Its reason is told in every plan."""
        told = {name: getattr(self, name) for name in FirewallRule.model_fields if getattr(self, name) is not None}
        return told_why(FirewallRule.model_validate({"display_name": self.name, **told, "group": GROUP}), self.reason)


def told_why(rule: FirewallRule, reason: str) -> Resource | Because:
    return Because(rule, f"open to any address, because: {reason.strip()}") if everybody(rule) else rule
