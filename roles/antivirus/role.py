"""Files, folders and programs that the antivirus is to leave alone: set in Defender, or listed for whoever runs another."""

from __future__ import annotations

from collections.abc import Iterator

from opdeploy.inventory import Host
from opdeploy.resources.base import Resource
from opdeploy.resources.defender_exclusion import DefenderExclusion
from opdeploy.roles import Antivirus, RoleSettings, unscanned

WHY = "a scanner that holds a database's file open stops the practice's program, and whatever is excluded is not guarded"


class Settings(RoleSettings):
    product: Antivirus = "detected"
    """Which antivirus guards this host: `detected`, as the host says; `defender`; or `other`, not reached from here."""
    paths: tuple[str, ...] = ()
    """Folders and files, as whole paths; `*` and `?` stand for a part."""
    processes: tuple[str, ...] = ()
    """Programs whose opened files are not scanned, best as whole paths."""
    extensions: tuple[str, ...] = ()
    """Extensions of files that are not scanned wherever they are."""

    def exclusions(self) -> Iterator[DefenderExclusion]:
        yield from (DefenderExclusion(type="path", value=path) for path in self.paths)
        yield from (DefenderExclusion(type="process", value=process) for process in self.processes)
        yield from (DefenderExclusion(type="extension", value=extension) for extension in self.extensions)


def resources(antivirus: Settings, host: Host) -> Iterator[Resource]:
    yield from unscanned(tuple(antivirus.exclusions()), antivirus.product, "op", WHY)
