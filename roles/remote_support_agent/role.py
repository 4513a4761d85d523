"""The agent by which OP's support comes in unattended: ConnectWise ScreenConnect or Automate, installed from this host's link.

Names of services and products as public installers and modules have them (ScreenConnect's clients are told apart by their
instance's id alone; Automate's module ConnectWiseAutomateAgent); nothing of it was tried with a real agent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import model_validator

from opdeploy.inventory import Host
from opdeploy.model import OneHost, Secret
from opdeploy.resources.base import Resource, Scope
from opdeploy.resources.installers import Signer, Type
from opdeploy.resources.package import Arguments, Package
from opdeploy.resources.package_detection import Version
from opdeploy.resources.reachable import Reachable
from opdeploy.resources.service import Recovery, Service
from opdeploy.resources.values import Duration
from opdeploy.roles import Required, RoleSettings

CLIENTS = "ScreenConnect Client (*"  # the product and the service of every ScreenConnect client, whosever it is
AUTOMATE = ("LTService", "LTSvcMon")
THIS_HOSTS_LINK = OneHost("installer link", "ask OP Support for one for each: a link can't be used on several devices")
COMES_BACK = Recovery(actions=("restart 1m", "restart 5m", "restart 15m"), reset=Duration(86400))


class Settings(RoleSettings):
    product: Literal["screenconnect", "automate"] = Required("which agent OP's link installs: screenconnect or automate")
    """Which of ConnectWise's agents OP's link installs."""
    link: Annotated[Secret, THIS_HOSTS_LINK] = Required("ask OP Support by phone or e-mail; each device has its own")
    """The address that OP gave for this very device; a secret: whoever has it could install the agent elsewhere."""
    sha256: str = Required("of the installer behind the link: download it once, then Get-FileHash FILE")
    """Of the installer behind the link."""
    signer: Signer = Required("subject and issuer of its signature: Get-AuthenticodeSignature FILE")
    """Who must have signed it; checked before it is run."""
    type: Type = "msi"
    """What kind of installer it is."""
    arguments: Arguments = ""
    """What its installer is told besides; `{key}` stands for the key."""
    key: Secret | None = None
    """What the arguments hold as `{key}`, such as Automate's installer token."""
    instance: str | None = None
    """OP's instance of ScreenConnect: what stands in brackets in `ScreenConnect Client (…)`."""
    version: Version | None = None
    """Of ScreenConnect, where it matters; its server brings it up to date."""
    relay: Reachable = Required("name and port that the agent calls: h= and p= in ScreenConnect's link, or ask OP Support")
    """Where the agent calls out to; tried from the host."""
    recovery: Recovery = COMES_BACK
    """What Windows does when its service fails."""
    exact: bool = False
    """Other ScreenConnect clients are not only reported but removed; also one of your own IT."""

    @model_validator(mode="after")
    def _fits_the_product(self) -> Self:
        if self.product == "screenconnect" and not re.fullmatch("[0-9a-f]+", self.instance or ""):
            raise ValueError("screenconnect needs its instance: the digits 0-9a-f in brackets in ScreenConnect Client (…)")
        if self.product == "automate" and (self.instance or self.version):
            raise ValueError("instance and version are ScreenConnect's: Automate's agent is told by its service")
        return self

    @property
    def client(self) -> str:
        return f"ScreenConnect Client ({self.instance})" if self.instance else "ConnectWise Automate"

    @property
    def services(self) -> tuple[str, ...]:
        return (self.client,) if self.instance else AUTOMATE

    def package(self) -> Package:
        given = {
            "name": self.client,
            "type": self.type,
            "source": {"url": self.link},
            "sha256": self.sha256,
            "signer": self.signer,
            "arguments": self.arguments,
            "secrets": {"key": self.key} if self.key else {},
            "detect": {"display_name": self.client} if self.instance else {"service": AUTOMATE[0]},
            "version": self.version,
            "provides_services": self.services,
        }
        return Package.model_validate(given)


def resources(agent: Settings, host: Host) -> Iterator[Resource | Scope]:
    yield agent.package()
    for name in agent.services:
        yield Service(name=name, start_mode="automatic", state="running", recovery=agent.recovery)
    yield agent.relay
    yield Scope(Package, CLIENTS, agent.exact)
    yield Scope(Service, CLIENTS, agent.exact)
