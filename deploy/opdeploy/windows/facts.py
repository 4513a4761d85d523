"""pyinfra facts for scripts of one's own: `host.get_fact(Registry, path=r"SOFTWARE\\OP")`.

Our operations never build on them: a fact that fails returns its default, which reads like an absence.
"""

from __future__ import annotations

import json
from typing import Any

from pyinfra.api import FactBase

from opdeploy import calls
from opdeploy.windows.carrier import AgentCommand


class _Answer(FactBase[Any]):
    abstract = True

    def process(self, output: list[str]) -> Any:
        return json.loads(output[0])


class Windows(_Answer):
    """What the host says of itself: name, product, build, language mode, user, domain, time."""

    def command(self) -> AgentCommand:
        return AgentCommand(reads=[calls.host_read()])


class Registry(_Answer):
    """A key's values with their types, and its subkeys down to a depth; None where there is no such key."""

    def command(self, path: str, hive: str = "LocalMachine", view: str = "Registry64", depth: int = 0) -> AgentCommand:
        return AgentCommand(reads=[calls.registry_read(path, hive=hive, view=view, depth=depth)])


class File(_Answer):
    """Size, time, version and hash of a file, or that it is a folder; None where there is nothing."""

    def command(self, path: str) -> AgentCommand:
        return AgentCommand(reads=[calls.file_stat(path, hash=True)])


class Descriptor(_Answer):
    """Owner and access list of a file or folder, as SDDL; None where there is nothing."""

    def command(self, path: str) -> AgentCommand:
        return AgentCommand(reads=[calls.sddl_read(path)])


class GroupMembers(_Answer):
    """The SIDs in a local group, given by name or SID; orphaned ones too."""

    def command(self, group: str) -> AgentCommand:
        return AgentCommand(reads=[calls.group_members(group)])


class Sid(_Answer):
    """The SID of an account or group: {"sid": None} where it is nobody's name."""

    def command(self, account: str) -> AgentCommand:
        return AgentCommand(reads=[calls.sid_resolve(account)])
