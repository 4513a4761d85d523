"""The inventories that come with the project are right, and show what a newcomer should see."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from example_practice import ENVIRONMENT, EXAMPLE
from lab_practice import copied
from roles_at_hand import compiled

from opdeploy import roles
from opdeploy.inventory import read
from opdeploy.resources import KINDS
from opdeploy.resources.desired import Desired


@pytest.fixture
def lab(tmp_path: Path) -> dict[str, Desired]:
    """What the lab's hosts should be, with the files that `lab up` makes."""
    folder = copied(tmp_path / "inventories" / "lab")
    return compiled(folder, roles.find())


HOSTS = ("db1", "backup1", "ts1")
ROLES = Path(__file__).parents[1] / "roles"


def test_the_lab_has_three_hosts_with_every_kind_between_them(lab: dict[str, Desired]) -> None:
    assert tuple(lab) == HOSTS
    assert all(25 <= len(desired.resources) <= 150 for desired in lab.values())
    kinds = Counter(managed.resource.KIND for desired in lab.values() for managed in desired.resources)
    assert set(kinds) == set(KINDS)


def test_the_lab_uses_every_role_and_owns_scopes(lab: dict[str, Desired]) -> None:
    used = {role for desired in lab.values() for managed in desired.resources for role in managed.roles}
    assert used == set(roles.find().names)
    assert all({scope.kind.KIND for scope, _ in desired.scopes} >= {"firewall_rule", "access_rule"} for desired in lab.values())


def test_the_example_to_copy_is_right_and_uses_every_role() -> None:
    found = read(EXAMPLE, ENVIRONMENT)
    desired = [desired for _, desired in roles.compile(found, found.hosts, roles.find())]
    assert all(one.resources for one in desired)
    assert {role for one in desired for managed in one.resources for role in managed.roles} == set(roles.find().names)


def test_the_example_says_first_which_environment_variables_it_takes() -> None:
    texts = [path.read_text(encoding="utf-8") for path in EXAMPLE.rglob("*.yml")]
    assert {name for text in texts for name in re.findall(r"from_env: (\w+)", text)} == set(ENVIRONMENT)


def test_every_role_has_a_readme_that_names_each_of_its_settings() -> None:
    for role in roles.find():
        if set(role.settings.model_fields) == set(KINDS):
            continue  # `resources`: what it takes are the kinds, which the reference has
        text = (role.folder / "README.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {role.name}\n")
        assert not [name for name in role.settings.model_fields if f"`{name}`" not in text and f"  {name}:" not in text]


def test_the_index_of_roles_has_a_line_for_each() -> None:
    index = (ROLES / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| \[(\w+)\]\(\1/README\.md\) \|", index, re.MULTILINE)) == sorted(roles.find().names)
