"""Small inventories and roles written on the spot, for the tests of what roles come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from opdeploy import roles
from opdeploy.inventory import InventoryError, read
from opdeploy.rendering import show
from opdeploy.resources.base import OPTION, Resource, Scope, parts, properties
from opdeploy.resources.desired import Desired

ENVIRONMENT = {"OP_ONE": "Correct-Horse-1", "OP_TWO": "Correct-Horse-2"}
HEAD = """
from typing import Annotated
from opdeploy.resources.service import Service
from opdeploy.roles import RoleSettings, Required, keyed
"""


def inventory(folder: Path, hosts: Mapping[str, Mapping[str, object]]) -> Path:
    """An inventory with these variables for each host."""
    folder.mkdir(parents=True, exist_ok=True)
    reached = {"ansible_user": "installer", "ansible_password": {"from_env": "OP_ONE"}}
    written = {"all": {"vars": reached, "children": {"servers": {"hosts": {name: dict(v) for name, v in hosts.items()}}}}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(written, sort_keys=False, allow_unicode=True))
    return folder


def role(folder: Path, name: str, text: str, head: str = HEAD) -> Path:
    """A role in a folder of roles. Its text is that of role.py; returns the folder of roles."""
    (folder / name).mkdir(parents=True)
    (folder / name / "role.py").write_text(head + dedent(text))
    return folder


def compiled(directory: Path, found: roles.Roles, only: Sequence[str] = ()) -> dict[str, Desired]:
    """What each host of an inventory should be, by name."""
    read_one = read(directory, ENVIRONMENT)
    return {host.name: desired for host, desired in roles.compile(read_one, read_one.hosts, found, only)}


def told(desired: Desired) -> str:
    """A golden list: a line for each resource (kind, key, roles), below it a line for each property; then the scopes."""
    lines = []
    for managed in desired.resources:
        resource = managed.resource
        lines.append(f"{resource.label}  [{', '.join(managed.roles)}]")
        lines += [f"    {name} {show(getattr(resource, name))}" for name in _said(resource)]
    lines += [_scope(scope, roles) for scope, roles in desired.scopes]
    return "\n".join(lines) + "\n"


def _scope(scope: Scope, roles: Sequence[str]) -> str:
    reported = "" if scope.exact else " reported only"
    return f"scope {scope.kind.KIND} {scope.kind.SCOPE} {scope.of}{reported}  [{', '.join(roles)}]"


def _said(resource: Resource) -> list[str]:
    """What is not as it is anyway, and may be shown."""
    fields = type(resource).model_fields
    names = [*parts(type(resource), OPTION), *properties(type(resource))]
    return [name for name in names if fields[name].repr and getattr(resource, name) != fields[name].default]


# ---------------------------------------------------------------- the project's own roles, on one host


def shipped(tmp_path: Path, variables: str) -> str:
    """What a host with these variables (YAML) should be, as `told`."""
    return told(compiled(one_host(tmp_path, variables), roles.find())["db1"])


def refused(tmp_path: Path, variables: str) -> str:
    """What is wrong with these variables, without the places."""
    with pytest.raises(InventoryError) as raised:
        compiled(one_host(tmp_path, variables), roles.find())
    return "\n".join(f"{p.path}: {p.message}" + (f" ({p.hint})" if p.hint else "") for p in raised.value.problems)


def one_host(tmp_path: Path, variables: str) -> Path:
    folder = inventory(tmp_path / "practices" / "one", {"db1": {}})
    (folder / "host_vars").mkdir(exist_ok=True)
    (folder / "host_vars" / "db1.yml").write_text(dedent(variables), encoding="utf-8")
    return folder
