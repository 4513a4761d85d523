"""One digest over all that a desired state came from: the inventory, the roles it uses, their files, and this program."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import opdeploy
from opdeploy.inventory import Inventory
from opdeploy.roles.finding import Roles
from opdeploy.roles.project import Project

TOOL = Path(opdeploy.__file__).parent


def sources(inventory: Inventory, roles: Roles) -> str:
    """SHA-256 (hex) over names and bytes: another digest, and a plan must be made anew."""
    digest = hashlib.sha256(f"inventory {inventory.sources}\0".encode())
    for name, path in _files(inventory, roles):
        data = path.read_bytes()
        digest.update(f"{name}\0{len(data)}\0".encode(errors="surrogateescape") + data)
    return digest.hexdigest()


def _files(inventory: Inventory, roles: Roles) -> Iterator[tuple[str, Path]]:
    used = {name for host in inventory.hosts for name in host.variables}
    for role in roles:
        if role.name in used:
            for path in _below(role.folder):
                yield f"roles/{role.name}/{path.relative_to(role.folder).as_posix()}", path
    yield from Project.around(inventory.path, roles.paths).files()
    for path in _below(TOOL):
        if path.suffix in (".py", ".ps1"):
            yield f"tool/{path.relative_to(TOOL).as_posix()}", path


def _below(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
