"""What a server owes the OP Portal: its services run, and it gets out over HTTPS. The portal itself runs elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import field_validator

from opdeploy.inventory import Host
from opdeploy.resources.base import Resource
from opdeploy.resources.manual_step import ManualStep
from opdeploy.resources.reachable import Reachable
from opdeploy.resources.service import Service
from opdeploy.roles import Required, RoleSettings

E_CORRESPONDENTS = ManualStep(
    id="portal-e-correspondents",
    title="Set up OP's E-Correspondents for the portal",
    who="whoever administers OP at the practice",
    how="In OP, see that the right E-Correspondents are set up for the portal; which they are, OP Support says.\n"
    "What comes after it: opdeploy runbook show creating-an-account",
    why="without them Create/Validate makes no portal account",
)


class Settings(RoleSettings):
    services: tuple[str, ...] = Required(
        "short names of the services that carry data to the portal, as Get-Service shows them; OP Support names them"
    )
    """Services that carry data to and from the portal."""
    hosts: tuple[str, ...] = Required("names that they call over HTTPS; OP Support names them")
    """Names that the server must get through to over HTTPS, port 443."""

    @field_validator("services", "hosts")
    @classmethod
    def _at_least_one(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names:
            raise ValueError("expected at least one: without it there is nothing to check")
        return names


def resources(portal: Settings, host: Host) -> Iterator[Resource]:
    for service in portal.services:
        yield Service(name=service, state="running")
    for name in portal.hosts:
        yield Reachable.model_validate({"name": name, "port": 443, "tls": True})
    yield E_CORRESPONDENTS
