"""Roles: found by folder, ordered by need, their wishes joined, and everything that is wrong told at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from roles_at_hand import compiled, inventory, role, told

from opdeploy.inventory import InventoryError
from opdeploy.model import ExitCode, UsageError
from opdeploy.roles import find

STARTED = """
class Settings(RoleSettings):
    name: str = Required("the service's short name, as Get-Service has it")
    mode: str = "automatic"

def resources(settings, host):
    yield Service(name=settings.name, start_mode=settings.mode)
"""
RUNNING = """
class Settings(RoleSettings):
    name: str
    state: str = "running"

def resources(settings, host):
    yield Service(name=settings.name, state=settings.state)
"""


# ---------------------------------------------------------------- finding


def test_a_role_is_a_folder_with_a_role_py(tmp_path: Path) -> None:
    found = find(own=role(tmp_path, "started", STARTED))
    assert found.names == ("started",)


def test_further_folders_extend_the_projects_own(tmp_path: Path) -> None:
    own, more = role(tmp_path / "own", "started", STARTED), role(tmp_path / "more", "running", RUNNING)
    assert find([more], own).names == ("running", "started")


def test_what_a_role_needs_comes_before_it(tmp_path: Path) -> None:
    for name, needs in {"a": ("c",), "b": (), "c": ("d",), "d": ()}.items():
        role(tmp_path, name, f"NEEDS = {needs!r}\n{STARTED}")
    assert find(own=tmp_path).names == ("d", "c", "a", "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class = 1\n", "roles/broken/role.py:5  the role is broken: invalid syntax"),
        ("import nowhere\n", "roles/broken/role.py:5  the role is broken: ModuleNotFoundError: No module named 'nowhere'"),
        ("1 / 0\n", "roles/broken/role.py:5  the role is broken: ZeroDivisionError: division by zero"),
        ("def resources(s, h): ...\n", "roles/broken/role.py:1  there is no class Settings(RoleSettings) here"),
        ("class Settings: ...\n", "roles/broken/role.py:1  there is no class Settings(RoleSettings) here"),
        ("class Settings(RoleSettings): ...\n", "roles/broken/role.py:1  there is no def resources(settings, host) here"),
        ("NEEDS = 'x'\n" + STARTED, "roles/broken/role.py:1  NEEDS is no tuple of roles' names"),
        ("NEEDS = ('brokem',)\n" + STARTED, "roles/broken/role.py:1  NEEDS names brokem, which is no role"),
        ("NEEDS = ('broken',)\n" + STARTED, "roles need each other in a circle: broken → broken"),
    ],
)
def test_a_folder_that_is_no_role_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    role(tmp_path / "roles", "broken", text)
    with pytest.raises(UsageError) as raised:
        find(own=tmp_path / "roles")
    assert raised.value.message == message
    assert raised.value.hint
    assert raised.value.exit_code == ExitCode.USAGE


def test_a_folder_without_role_py_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "roles" / "empty").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"^roles/empty: a folder of roles/ without a role\.py$"):
        find(own=tmp_path / "roles")


def test_two_roles_of_one_name_name_both_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own, more = role(tmp_path / "own", "started", STARTED), role(tmp_path / "more", "started", STARTED)
    with pytest.raises(UsageError, match=r"^two roles are called started: own/started and more/started$"):
        find([more], own)


def test_a_circle_is_named(tmp_path: Path) -> None:
    for name, needs in {"a": ("b",), "b": ("c",), "c": ("b",)}.items():
        role(tmp_path, name, f"NEEDS = {needs!r}\n{STARTED}")
    with pytest.raises(UsageError, match=r"in a circle: b → c → b$"):
        find(own=tmp_path)


# ---------------------------------------------------------------- compiling


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder of two roles that speak of services."""
    return role(role(tmp_path / "roles", "started", STARTED), "running", RUNNING)


def test_a_host_has_the_roles_that_its_variables_name(tmp_path: Path, two: Path) -> None:
    one = {"started": {"name": "OPMsg"}}
    desired = compiled(inventory(tmp_path / "i", {"db1": one, "ts1": {}}), find(own=two))
    assert told(desired["db1"]) == "service OPMsg  [started]\n    start_mode automatic\n"
    assert told(desired["ts1"]) == "\n"


def test_properties_of_one_resource_are_joined_and_both_roles_named(tmp_path: Path, two: Path) -> None:
    both = {"started": {"name": "OPMsg"}, "running": {"name": "opmsg"}}
    desired = compiled(inventory(tmp_path / "i", {"db1": both}), find(own=two))["db1"]
    assert told(desired) == "service opmsg  [running, started]\n    start_mode automatic\n    state running\n"


def test_only_some_roles(tmp_path: Path, two: Path) -> None:
    both = {"started": {"name": "OPMsg"}, "running": {"name": "OPMsg"}}
    desired = compiled(inventory(tmp_path / "i", {"db1": both}), find(own=two), ["running"])["db1"]
    assert told(desired) == "service OPMsg  [running]\n    state running\n"


def test_only_an_unknown_role_is_refused(tmp_path: Path, two: Path) -> None:
    with pytest.raises(UsageError, match=r"^no role runing$") as raised:
        compiled(inventory(tmp_path / "i", {"db1": {}}), find(own=two), ["runing"])
    assert raised.value.hint == "did you mean running?"


def problems(tmp_path: Path, roles: Path, hosts: dict[str, dict[str, object]]) -> str:
    with pytest.raises(InventoryError) as raised:
        compiled(inventory(tmp_path / "i", hosts), find(own=roles))
    return raised.value.message.replace(f"{tmp_path}/", "")


def test_everything_wrong_on_every_host_is_told_at_once(tmp_path: Path, two: Path) -> None:
    hosts: dict[str, dict[str, object]] = {
        "db1": {"started": {"nam": "OPMsg"}, "runing": {}},
        "ts1": {"running": {"name": "OPMsg", "state": 7}, "started": "OPMsg"},
    }
    assert problems(tmp_path, two, hosts) == (
        "i/hosts.yml:10:11  started.name: missing\n"
        "    the service's short name, as Get-Service has it\n"
        "i/hosts.yml:11:13  started.nam: no such setting\n"
        "    did you mean name?\n"
        "i/hosts.yml:12:11  runing: no such variable: no role has this name\n"
        "    did you mean running?\n"
        "i/hosts.yml:16:13  running.state: expected text, found 7\n"
        "    write it in quotes\n"
        "i/hosts.yml:17:11  started: expected the role's settings (keys and values) or nothing after the colon"
    )


def test_two_values_for_one_property_name_both_roles_and_both_values(tmp_path: Path, two: Path) -> None:
    other = role(two, "stopped", RUNNING.replace('"running"', '"stopped"'))
    hosts: dict[str, dict[str, object]] = {"db1": {"running": {"name": "OPMsg"}, "stopped": {"name": "OPMsg"}}}
    assert problems(tmp_path, other, hosts) == (
        "i/hosts.yml:12:11  stopped: service OPMsg: state is running by running (i/hosts.yml:10:11), "
        "and stopped by stopped (i/hosts.yml:12:11)\n"
        "    let one role say it"
    )
