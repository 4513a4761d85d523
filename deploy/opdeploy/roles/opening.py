"""A firewall rule that a role makes for its own port: enabled, in the group OP, and never open to any without a reason."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import model_validator

from opdeploy.resources.base import OPTION
from opdeploy.resources.firewall_rule import ANY_OF_THEM, FirewallRule

GROUP = "OP"


class Opening(FirewallRule):
    """A rule as a role's settings have it, by its id."""

    enabled: bool | None = True
    """Whether it counts."""
    reason: Annotated[str, OPTION] = ""
    """Why it is open to any address; needed with `remote_addresses: Any`."""

    @model_validator(mode="after")
    def _says_from_where(self) -> Self:
        if not self.name.startswith("OP-"):
            raise ValueError(f"a rule's id begins with OP-, so that it is known for ours: OP-{self.name}")
        if self.group is not None or self.absent:
            raise ValueError(f"a product's rule is there, and in the group {GROUP}: take group and absent out")
        if self.remote_addresses is None:
            raise ValueError("a rule names its remote_addresses: the practice's network, such as 10.20.0.0/24")
        if self.remote_addresses == ANY_OF_THEM and not self.reason.strip():
            raise ValueError("remote_addresses Any opens it to everybody: name addresses, or say why (reason: …)")
        return self

    def rule(self) -> FirewallRule:
        told = {name: getattr(self, name) for name in FirewallRule.model_fields if getattr(self, name) is not None}
        return FirewallRule.model_validate({"display_name": self.name, **told, "group": GROUP})
