"""What OP's support looks into logs, messages and the database with: three programs, each where its installer is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from pydantic import model_validator

from opdeploy.inventory import Host
from opdeploy.resources.base import Resource
from opdeploy.roles import Installer, RoleSettings

NAMES = {"notepad_plus_plus": "Notepad++", "wingrep": "Wingrep", "ibexpert": "IBExpert"}


class Settings(RoleSettings):
    notepad_plus_plus: Installer | None = None
    """Notepad++: log files and configuration files."""
    wingrep: Installer | None = None
    """Windows Grep: searches many HL7 and billing files for a text."""
    ibexpert: Installer | None = None
    """IBExpert: looks into the database."""

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if not any(getattr(self, name) for name in NAMES):
            raise ValueError(f"expected the installer of at least one: {', '.join(NAMES)}")
        return self


def resources(tools: Settings, host: Host) -> Iterator[Resource]:
    for setting, name in NAMES.items():
        if installer := getattr(tools, setting):
            yield installer.package(name)
