"""One digest over all that a desired state came from: the inventory, the roles it uses, their files, and this program."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import opdeploy
from opdeploy.inventory import Inventory, role_settings, validated
from opdeploy.roles.finding import Roles
from opdeploy.roles.project import Project

TOOL = Path(opdeploy.__file__).parent


def sources(inventory: Inventory, roles: Roles) -> str:
    """SHA-256 (hex) over names and bytes: another digest, and a plan must be made anew.

    Of an inventory that `compile` has taken; raises InventoryError for another.
    """
    digest = hashlib.sha256(f"inventory {inventory.sources}\0".encode())
    for name, data in _files(inventory, roles):
        digest.update(f"{name}\0{len(data)}\0".encode(errors="surrogateescape") + data)
    return digest.hexdigest()


def _files(inventory: Inventory, roles: Roles) -> Iterator[tuple[str, bytes]]:
    used = {name for host in inventory.hosts for name in host.variables}
    for role in roles:
        if role.name in used:
            yield from _below(role.folder, f"roles/{role.name}")
    yield from sorted(_of_project(inventory, roles).items())
    yield from _below(TOOL, "tool", (".py", ".ps1"))


def _of_project(inventory: Inventory, roles: Roles) -> dict[str, bytes]:
    """The templates and files that any host's settings name."""
    project = Project.around(inventory.path, roles.paths)
    for host in inventory.hosts:
        for name, node in role_settings(host, roles.names)[0].items():
            validated(roles.by_name[name].settings, node, name, {"project": project})
    return project.used


def _below(folder: Path, name: str, suffixes: tuple[str, ...] = ()) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and (not suffixes or path.suffix in suffixes):
            yield f"{name}/{path.relative_to(folder).as_posix()}", path.read_bytes()
