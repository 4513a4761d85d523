"""Several roles and one resource: what joins, what clashes, and what only shows when all hosts are looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
from roles_at_hand import ENVIRONMENT, compiled, inventory, role, told

from opdeploy.inventory import InventoryError, read
from opdeploy.model import UsageError
from opdeploy.roles import compile, find, sources

HEAD = """
from typing import Annotated
from opdeploy.model import OneHost, Principal, Secret
from opdeploy.resources.base import Scope
from opdeploy.resources.access_rule import AccessRule
from opdeploy.resources.group_members import GroupMembers
from opdeploy.resources.local_user import LocalUser
from opdeploy.resources.service import Service
from opdeploy.roles import RoleSettings
"""
USERS = "GroupMembers(group=Principal.parse('Users'), members=(Principal.parse('{0}'),), exact={1}, absent={2})"


def yields(folder: Path, name: str, *things: str, settings: str = "pass") -> Path:
    """A role with no settings that yields these."""
    lines = "\n".join(f"    yield {thing}" for thing in things)
    return role(folder, name, f"class Settings(RoleSettings):\n    {settings}\ndef resources(settings, host):\n{lines}\n", HEAD)


def desired(tmp_path: Path, *names: str) -> str:
    hosts = {"db1": dict.fromkeys(names)}
    return told(compiled(inventory(tmp_path / "i", hosts), find(own=tmp_path / "roles"))["db1"])


def refused(tmp_path: Path, *names: str) -> str:
    with pytest.raises(InventoryError) as raised:
        desired(tmp_path, *names)
    return raised.value.message.replace(f"{tmp_path}/", "")


# ---------------------------------------------------------------- joined


def test_additive_properties_are_united_and_exact_stays_exact(tmp_path: Path) -> None:
    yields(tmp_path / "roles", "one", USERS.format("S-1-5-19", False, False))
    yields(tmp_path / "roles", "two", USERS.format("S-1-5-20", True, False))
    assert desired(tmp_path, "one", "two") == (
        "group_members Users  [one, two]\n    exact yes\n    members LOCAL SERVICE (S-1-5-19), NETWORK SERVICE (S-1-5-20)\n"
    )


def test_equal_values_are_no_clash(tmp_path: Path) -> None:
    yields(tmp_path / "roles", "one", "Service(name='OPMsg', start_mode='manual', command_line='C:\\\\A.exe')")
    yields(tmp_path / "roles", "two", "Service(name='OPMsg', start_mode='manual', command_line='c:\\\\a.EXE')")
    assert desired(tmp_path, "one", "two") == ("service OPMsg  [one, two]\n    command_line C:\\A.exe\n    start_mode manual\n")


def test_grants_of_several_roles_are_united(tmp_path: Path) -> None:
    grant = "Service(name='OPMsg', grants=[{{'principal': 'Users', 'rights': ['{0}']}}])"
    yields(tmp_path / "roles", "one", grant.format("start"))
    yields(tmp_path / "roles", "two", grant.format("query"))
    assert desired(tmp_path, "one", "two") == ("service OPMsg  [one, two]\n    grants Users (S-1-5-32-545): query, start\n")


def test_a_scope_of_two_roles_is_one(tmp_path: Path) -> None:
    yields(tmp_path / "roles", "one", "Scope(AccessRule, r'D:\\OP')")
    yields(tmp_path / "roles", "two", "Scope(AccessRule, r'd:\\op')")
    assert desired(tmp_path, "one", "two") == "scope access_rule folder D:\\OP  [one, two]\n"


def test_a_scope_is_exact_as_soon_as_one_role_has_it_so(tmp_path: Path) -> None:
    yields(tmp_path / "roles", "one", "Scope(AccessRule, r'D:\\OP', exact=False)")
    yields(tmp_path / "roles", "two", "Scope(AccessRule, r'D:\\OP')")
    assert desired(tmp_path, "one") == "scope access_rule folder D:\\OP reported only  [one]\n"
    assert desired(tmp_path, "one", "two") == "scope access_rule folder D:\\OP  [one, two]\n"


def test_a_role_asked_for_alone_knows_what_the_others_want_in_its_scopes(tmp_path: Path) -> None:
    rule = r"AccessRule(path=r'D:\OP', principal='Users', rights='Read')"
    yields(tmp_path / "roles", "one", r"Scope(AccessRule, r'D:\OP')")
    yields(tmp_path / "roles", "two", rule, "Service(name='A')")
    folder = inventory(tmp_path / "i", {"db1": {"one": None, "two": None}})
    alone = compiled(folder, find(own=tmp_path / "roles"), ["one"])["db1"]
    assert alone.resources == ()
    assert [other.key for other in alone.others] == ["D:\\OP Users allow"]
    assert compiled(folder, find(own=tmp_path / "roles"), ["two"])["db1"].others == ()


def test_resources_come_in_the_order_of_the_roles_needs(tmp_path: Path) -> None:
    roles = tmp_path / "roles"
    role(roles, "a", "NEEDS = ('z',)\nclass Settings(RoleSettings): ...\ndef resources(s, h): yield Service(name='A')", HEAD)
    yields(roles, "z", "Service(name='Z')")
    assert desired(tmp_path, "a", "z") == "service Z  [z]\nservice A  [a]\n"
    assert desired(tmp_path, "a") == "service A  [a]\n"


# ---------------------------------------------------------------- clashes


def test_present_and_absent_clash(tmp_path: Path) -> None:
    yields(tmp_path / "roles", "one", "Service(name='OPMsg', state='running')")
    yields(tmp_path / "roles", "two", "Service(name='OPMsg', absent=True)")
    assert refused(tmp_path, "one", "two") == (
        "i/hosts.yml:11:11  two: service OPMsg: is to be absent by two (i/hosts.yml:11:11), "
        "and is wanted by one (i/hosts.yml:10:11)\n"
        "    let one role say it"
    )


def test_what_each_may_ask_for_alone_can_be_a_contradiction_together(tmp_path: Path) -> None:
    yields(tmp_path / "roles", "one", "Service(name='OPMsg', state='running')")
    yields(tmp_path / "roles", "two", "Service(name='OPMsg', start_mode='disabled')")
    assert refused(tmp_path, "one", "two") == (
        "i/hosts.yml:11:11  two: service OPMsg: as one and two have it together: a disabled service can't be kept running\n"
        "    let one role say it"
    )


def test_a_clash_of_passwords_shows_none(tmp_path: Path) -> None:
    for name in ("one", "two"):
        yields(tmp_path / "roles", name, f"LocalUser(name='op', password=Secret('Tiger-{name}'))")
    message = refused(tmp_path, "one", "two")
    assert "password is (secret) by one" in message
    assert "Tiger" not in message


# ---------------------------------------------------------------- a role's own mistakes


def test_what_a_kind_refuses_is_told_where_the_settings_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    yields(tmp_path / "roles", "one", "Service(name='OPMsg', state='running', start_mode='disabled')")
    yields(tmp_path / "roles", "two", "Service(name='OPMsg', state='asleep')")
    assert refused(tmp_path, "one", "two") == (
        "i/hosts.yml:10:11  one: service OPMsg: a disabled service can't be kept running\n"
        "    made in roles/one/role.py:13\n"
        "i/hosts.yml:11:11  two: service: state: expected 'running' or 'stopped'\n"
        "    made in roles/two/role.py:13"
    )


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        ("1 / 0", "roles/one/role.py:13  the role is broken: ZeroDivisionError: division by zero"),
        ("'OPMsg'", "roles/one/role.py:1  resources() yields str, which is no resource"),
    ],
)
def test_a_role_that_fails_is_an_error_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thing: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    yields(tmp_path / "roles", "one", thing)
    with pytest.raises(UsageError) as raised:
        desired(tmp_path, "one")
    assert raised.value.message == message


def test_a_bool_is_no_number(tmp_path: Path) -> None:
    yields(tmp_path / "roles", "one", "Service(name='A')", settings="ports: tuple[int, ...]\n    on: bool = False")
    hosts = {"db1": {"one": {"ports": [True], "on": True}}, "ts1": {"one": {"ports": [1]}}}
    with pytest.raises(InventoryError) as raised:
        compiled(inventory(tmp_path / "i", hosts), find(own=tmp_path / "roles"))
    assert [str(p.path) + ": " + p.message for p in raised.value.problems] == [
        "one.ports: expected a whole number, found true or false"
    ]


# ---------------------------------------------------------------- all hosts together


ACCOUNT = "name: str\n    password: Secret\n    other: Secret | None = None"


def test_one_password_for_two_hosts_accounts_is_an_error(tmp_path: Path) -> None:
    made = "LocalUser(name=settings.name, password=settings.password)"
    yields(tmp_path / "roles", "account", made, settings=ACCOUNT)
    shared = {"from_env": "OP_TWO"}
    hosts = {name: {"account": {"name": "op", "password": shared}} for name in ("db1", "ts1")}
    with pytest.raises(InventoryError) as raised:
        compiled(inventory(tmp_path / "i", hosts), find(own=tmp_path / "roles"))
    assert [problem.path + ": " + problem.message.partition(" (also")[0] for problem in raised.value.problems] == [
        "account.password: the same password for db1 and ts1"
    ]


def test_a_settings_secret_may_be_one_hosts_alone(tmp_path: Path) -> None:
    link = "link: Annotated[Secret, OneHost('licence', 'buy two')]"
    yields(tmp_path / "roles", "tool", "Service(name='A')", settings=link)
    hosts = {name: {"tool": {"link": {"from_env": "OP_TWO"}}} for name in ("db1", "ts1")}
    with pytest.raises(InventoryError) as raised:
        compiled(inventory(tmp_path / "i", hosts), find(own=tmp_path / "roles"))
    assert [(p.path, p.message.partition(" (also")[0], p.hint) for p in raised.value.problems] == [
        ("tool.link", "the same licence for db1 and ts1", "buy two")
    ]


def test_what_is_no_accounts_password_may_be_shared(tmp_path: Path) -> None:
    made = "LocalUser(name=settings.name, password=settings.password)"
    yields(tmp_path / "roles", "account", made, settings=ACCOUNT)
    shared = {"from_env": "OP_THREE"}
    accounts = {"db1": "OP_ONE", "ts1": "OP_TWO"}  # the first is ansible_password too
    hosts = {
        host: {"account": {"name": "op", "password": {"from_env": name}, "other": shared}} for host, name in accounts.items()
    }
    folder = inventory(tmp_path / "i", hosts)
    found = read(folder, ENVIRONMENT | {"OP_THREE": "shared"})
    assert len(compile(found, found.hosts, find(own=tmp_path / "roles"))) == 2


# ---------------------------------------------------------------- the digest


def test_the_digest_covers_inventory_and_used_roles_only(tmp_path: Path) -> None:
    for name in ("used", "unused"):
        yields(tmp_path / "roles", name, "Service(name='A')")
    folder = inventory(tmp_path / "i", {"db1": {"used": None}})

    def now() -> str:
        return sources(read(folder, ENVIRONMENT), find(own=tmp_path / "roles"))

    first = now()
    assert now() == first
    (tmp_path / "roles" / "unused" / "README.md").write_text("x")
    assert now() == first
    (tmp_path / "roles" / "used" / "README.md").write_text("x")
    second = now()
    assert second != first
    inventory(folder, {"db2": {"used": None}})
    assert now() not in (first, second)
