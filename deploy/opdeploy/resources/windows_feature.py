"""A role, role service or feature of Windows Server, by the name that `Get-WindowsFeature` has for it.

Installed or `absent`; never restarted for: what waits for the next start of Windows is told as the change's reboot. What
`management_tools` brings along is a matter of the installation and is not compared. A feature whose files were taken off the
disk (`Removed`) needs installation media, which only a person has. The states are the members of
Microsoft.Windows.ServerManager.Commands.InstallState, as Chef's windows_feature knows them. That `Get-WindowsFeature` says
nothing of a name that it does not know was not verified on a Windows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import AfterValidator, model_validator

from opdeploy.calls import Write, cmdlet_read, cmdlet_write
from opdeploy.model import Change, Machine, Missing, Unknown
from opdeploy.resources.base import KEY, Answers, Option, Reads, Resource

THERE = {"Installed": True, "InstallPending": True, "Available": False, "UninstallPending": False, "Removed": False}
PENDING = {
    "InstallPending": "it is installed at the next start of Windows",
    "UninstallPending": "it is uninstalled at the next start of Windows",
}
NEEDED = {"net-framework-45-features", "net-framework-45-core", "powershellroot", "powershell"}  # by this session
NO_SOURCE = "its files are not on this disk: install it by hand with the media (Install-WindowsFeature -Source …)"


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", text):
        raise ValueError(f"{text!r} is no feature's name: Get-WindowsFeature shows them in its column Name (Web-Server)")
    return text


class WindowsFeature(Resource):
    KIND = "windows_feature"
    EXAMPLE = """
        - { name: Web-Server, management_tools: true }
        - { name: FS-SMB1, absent: true }
    """

    name: Annotated[str, KEY, AfterValidator(_name)]
    """As `Get-WindowsFeature` has it in its column Name."""
    management_tools: Option = False
    """Whether an installation brings along the tools to manage it with."""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.absent and self.name.lower() in NEEDED:
            raise ValueError(f"{self.name} carries PowerShell, and with it this session: it can't be uninstalled")
        if self.absent and self.management_tools:
            raise ValueError("management_tools come with an installation: with absent they say nothing")
        return self

    def refusal(self, machine: Machine) -> str:
        return "Windows 10 and 11 have no server roles" if machine.product == "WinNT" else ""

    def reads(self) -> Reads:
        return {"feature": cmdlet_read("Get-WindowsFeature", ["Name", "InstallState"], Name=self.name)}

    def actual(self, answers: Answers) -> Self | None:
        state = self._state(answers)
        if state not in THERE:
            raise Unknown(f"its state is {state}, which is none that is known")
        return self.observed(name=self.name) if THERE[state] else None

    def _state(self, answers: Answers) -> str:
        """As Windows names it. Raises `Missing` for a feature that this Windows does not have."""
        if not answers.feature:
            reason = f"no such feature on this Windows: {self.name} (Get-WindowsFeature lists the names)"
            raise Missing(f"feature:{self.name.lower()}", reason)
        return str(answers.feature[0]["InstallState"])

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        state = self._state(answers)
        if change.action == "none":
            return ""
        return NO_SOURCE if state == "Removed" else f"{PENDING[state]}: start it anew first" if state in PENDING else ""

    def may_reboot(self, change: Change[Any]) -> bool:
        return change.action in ("create", "remove")

    def reboot(self, answers: Answers) -> str:
        rows = [] if answers.failure("feature") else answers.feature
        return PENDING.get(str(rows[0]["InstallState"]), "") if rows else ""

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        if change.action == "remove":
            yield cmdlet_write("Uninstall-WindowsFeature", Name=self.name)
        else:
            tools = {"IncludeManagementTools": True} if self.management_tools else {}
            yield cmdlet_write("Install-WindowsFeature", Name=self.name, **tools)
