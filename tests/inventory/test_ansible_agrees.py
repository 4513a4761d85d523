"""`ansible-inventory --list` reads the same hosts, groups and variables from the same directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from opdeploy.inventory import Inventory, as_written, read
from opdeploy.inventory.load import load

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
GOOD = Path(__file__).parent / "good"
SHIPPED = [path for path in (ROOT / "inventories" / "lab", ROOT / "inventories" / "example-practice") if path.is_dir()]
DIRECTORIES = [*sorted(GOOD.iterdir()), *SHIPPED]


def ansible(directory: Path, home: Path) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    (home / "ansible.cfg").write_text("[defaults]\n")
    environ = kept | {
        "HOME": str(home),
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
        "ANSIBLE_CONFIG": str(home / "ansible.cfg"),
        "ANSIBLE_INVENTORY_ENABLED": "yaml",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
        "LC_ALL": "C.UTF-8",
    }
    command = [str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(directory), "--list"]
    done = subprocess.run(command, env=environ, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ansible_members(listed: dict[str, Any]) -> dict[str, set[str]]:
    """The hosts of each group and of those below it."""

    def below(group: str) -> set[str]:
        entry = listed.get(group, {})
        return set(entry.get("hosts", [])).union(*(below(child) for child in entry.get("children", [])))

    return {group: below(group) for group in listed if group != "_meta"}


def our_members(inventory: Inventory) -> dict[str, set[str]]:
    return {group: set(names) for group, names in inventory.groups.items()}


def as_json(inventory: Inventory) -> dict[str, Any]:
    variables = {host.name: {name: as_written(node) for name, node in host.variables.items()} for host in inventory.hosts}
    return json.loads(json.dumps(variables, default=lambda value: value.isoformat()))


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: path.name)
def test_hosts_groups_and_variables_are_the_same(directory: Path, tmp_path: Path) -> None:
    listed = ansible(directory, tmp_path)
    inventory = read(directory)
    theirs = defaultdict(set, ansible_members(listed))
    ours = our_members(inventory)
    assert {host.name for host in inventory.hosts} == theirs["all"] != set()
    assert {group: theirs[group] for group in theirs.keys() | ours.keys() if theirs[group]} == {
        group: names for group, names in ours.items() if names
    }
    hostvars = listed["_meta"]["hostvars"]
    assert as_json(inventory) == {name: hostvars.get(name, {}) for name in theirs["all"]}


@pytest.mark.parametrize("directory", sorted(GOOD.iterdir()), ids=lambda path: path.name)
def test_these_inventories_have_no_problem(directory: Path) -> None:
    assert load(directory, {"OP_ADMIN": "x", "OP_FIREBIRD": "y"}).hosts
