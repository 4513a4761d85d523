"""Logins of SQL Server on the lab, by the agent's very statements: what is made reads back in sync, what is removed is gone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cases import _secrets
from opdeploy.calls import Failure, Read
from opdeploy.guard import Session
from opdeploy.lab.windows import accounts, servers, sql
from opdeploy.lab.windows.computer import Computer
from opdeploy.lab.windows.state import State, dump
from opdeploy.model import Change, Secret, Unproven
from opdeploy.planning import Desired, Managed, World, first_reads, machine, plan_one, second_reads
from opdeploy.rendering import show
from opdeploy.resources.sql_login import SqlLogin
from opdeploy.roles.joining import Wish, joined
from opdeploy.windows import agent

SOURCE = agent.source(write=True)
FULL: dict[str, Any] = {
    "login": "nexhealth", "type": "sql", "password": {"secret": "Tr0ub4dor&3' --"}, "enabled": True, "check_policy": True,
    "check_expiration": True, "default_database": "Main_OMS",
    "databases": {
        "main_oms": {
            "roles": ["db_owner", "public"], "grants": [{"table": "dbo.Patient", "permissions": ["select", "update"]}],
        },
        "msdb": None,
    },
}  # fmt: skip
OTHERWISE: list[dict[str, Any]] = [
    {"enabled": False},
    {"password": {"secret": "another]one"}},
    {"check_expiration": False},
    {"check_policy": False, "check_expiration": False},
    {"default_database": "master"},
    {"databases": {"Main_OMS": {"roles": ["db_datareader"]}}, "exact": True},
    {"databases": {"Main_OMS": {"grants": [{"table": "dbo.Ledger", "permissions": ["insert", "delete"]}]}}, "exact": True},
    {"databases": {"model": {}}},
]
WINDOWS = {"login": ".\\opsvc", "type": "windows", "databases": {"Main_OMS": {"roles": ["db_datareader"]}}}


class Host:
    """A simulated database server, planned and changed as the engine does."""

    def __init__(self, state: State | None = None) -> None:
        self.computer = Computer(state or servers.database_server())
        servers.add_user(self.computer.state, "opsvc", "Lab-Service-1!")

    @property
    def instance(self) -> dict[str, Any]:
        return self.computer.state.sql["localhost"]

    @property
    def database(self) -> dict[str, Any]:
        return next(one for one in self.instance["databases"] if one["name"] == "Main_OMS")

    def observe(self, login: SqlLogin) -> World:
        desired = Desired((Managed(login),))
        found = self.answers(first_reads(desired))
        found |= self.answers(second_reads(desired, found))
        return World(machine(found), found, Session())

    def answers(self, reads: list[Read]) -> dict[str, Any]:
        return {read.key: answer for read, answer in zip(reads, self.computer.ask(reads, source=SOURCE), strict=True)}

    def plan(self, given: dict[str, Any]) -> tuple[Change[Any], World]:
        login = SqlLogin.model_validate(_secrets(given))
        world = self.observe(login)
        return plan_one(Managed(login), world), world

    def apply(self, given: dict[str, Any]) -> Change[Any]:
        change, world = self.plan(given)
        assert change.action != "none", change.reason
        writes = list(change.resource.writes(change, world.answers(change.resource)))
        for answer in self.computer.ask(writes, len(writes), source=SOURCE):
            assert not isinstance(answer, Failure), answer
        return change


def without_clock(state: State) -> str:
    return dump(replace(state, time=""))


@pytest.mark.parametrize(
    "wanted", [FULL, {**FULL, "check_policy": False, "check_expiration": False, "enabled": False}, WINDOWS]
)
def test_what_is_made_from_nothing_reads_back_in_sync_and_its_removal_leaves_nothing(wanted: dict[str, Any]) -> None:
    host = Host()
    before = without_clock(host.computer.state)
    assert host.apply(wanted).action == "create"
    change, _ = host.plan(wanted)
    assert (change.verdict, change.properties) == ("in_sync", {})
    assert SqlLogin.observed(**dict(change.actual)) == change.actual
    gone = {"login": wanted["login"], "absent": True}
    assert host.apply(gone).action == "remove"
    assert host.plan(gone)[0].verdict == "in_sync"
    assert without_clock(host.computer.state) == before


@pytest.mark.parametrize("other", OTHERWISE, ids=lambda other: " ".join(other))
def test_every_change_of_it_reads_back_in_sync(other: dict[str, Any]) -> None:
    host, wanted = Host(), {"login": "nexhealth", "type": "sql", **other}
    host.apply(FULL)
    assert host.apply(wanted).action == "update"
    assert host.plan(wanted)[0].verdict == "in_sync"


def test_the_policy_switched_on_leaves_expiration_as_it_was() -> None:
    """SQL Server switches it on together with the policy."""
    host = Host()
    host.apply({**FULL, "check_policy": False, "check_expiration": False})
    host.apply({"login": "nexhealth", "type": "sql", "check_policy": True})
    assert (
        host.plan({"login": "nexhealth", "type": "sql", "check_policy": True, "check_expiration": False})[0].verdict
        == "in_sync"
    )


def test_a_password_is_judged_by_the_policy_that_is_wanted() -> None:
    host = Host()
    host.computer.state.password_policy["length"] = 12
    weak = {"login": "op", "type": "sql", "password": {"secret": "short"}}
    change, world = host.plan(weak)
    (answer,) = host.computer.ask(list(change.resource.writes(change, world.answers(change.resource))), 1, source=SOURCE)
    assert isinstance(answer, Failure)
    assert "too short" in answer.message
    host.apply({**weak, "check_policy": False})
    assert host.plan(weak)[0].verdict == "in_sync"


def test_a_right_password_on_a_disabled_login_is_right() -> None:
    host = Host()
    host.apply({**FULL, "enabled": False})
    assert host.plan({"login": "nexhealth", "type": "sql", "password": FULL["password"]})[0].verdict == "in_sync"


def test_a_password_that_is_another_is_told_and_never_shown() -> None:
    host = Host()
    host.apply(FULL)
    change, _ = host.plan({"login": "nexhealth", "type": "sql", "password": {"secret": "another"}})
    assert isinstance(change.properties["password"].before, Secret)
    assert change.reason == "password: the inventory's is not the one of the login"


def test_a_login_whose_hash_is_not_shown_is_unknown_until_it_is_set() -> None:
    host = Host()
    host.apply(FULL)
    host.instance["logins"][-1]["password"] = ""
    change, _ = host.plan({"login": "NexHealth", "type": "sql", "password": FULL["password"]})
    assert (change.verdict, change.action) == ("unknown", "update")
    assert isinstance(change.properties["password"].before, Unproven)


def test_a_user_is_found_by_its_sid_whatever_it_is_called() -> None:
    host = Host()
    host.apply({**FULL, "databases": {"Main_OMS": None}})
    host.database["users"][-1]["name"] = "somebody"
    host.apply(FULL)
    assert [user["name"] for user in host.database["users"]] == ["dbo", "somebody"]
    assert host.plan(FULL)[0].verdict == "in_sync"


def test_a_user_of_a_restored_database_that_belongs_to_nobody_here_is_not_taken_over() -> None:
    host = Host()
    host.database["users"].append({"name": "nexhealth", "sid": "AAAA", "roles": ["db_owner"]})
    change, _ = host.plan(FULL)
    assert (change.verdict, change.action, change.refused) == ("would_change", "none", True)
    assert change.reason.startswith("Main_OMS has a user nexhealth of another login")


def test_the_owner_of_a_database_is_not_removed() -> None:
    host = Host()
    host.apply(FULL)
    owned = sql.new_database("Other", owner=host.instance["logins"][-1]["sid"])
    host.instance["databases"].append(owned)
    change, _ = host.plan({"login": "nexhealth", "absent": True})
    assert (change.action, change.reason) == ("none", "it owns the database Other: give that another owner first")


def test_a_login_whose_account_is_gone_is_still_found_by_name() -> None:
    host = Host()
    host.apply(WINDOWS)
    sid = accounts.sid_of(host.computer.state, ".\\opsvc")
    del host.computer.state.users[str(sid)]
    assert host.apply({"login": ".\\opsvc", "absent": True}).action == "remove"
    assert [login["name"] for login in host.instance["logins"]] == ["sa", "DB1\\opadmin"]


def test_a_login_of_an_account_that_was_made_anew_is_not_taken_for_its_own() -> None:
    host = Host()
    host.apply(WINDOWS)
    host.instance["logins"][-1]["sid"] = "AAAA"
    change, _ = host.plan(WINDOWS)
    assert (change.action, change.refused) == ("none", True)
    assert change.reason.startswith("DB1\\opsvc is there for another account")


@pytest.mark.parametrize("given", [{"absent": True}, {"type": "windows", "enabled": False}])
def test_the_session_does_not_shut_itself_out(given: dict[str, Any]) -> None:
    change, _ = Host().plan({"login": ".\\opadmin", **given})
    assert (change.action, change.reason) == ("none", "refused: this session's user gets into SQL Server by it")


def test_whoever_is_not_sysadmin_is_not_told_that_nothing_is_there() -> None:
    host = Host()
    host.instance["logins"][1]["sysadmin"] = False
    for given in (FULL, {"login": "nexhealth", "absent": True}):
        change, _ = host.plan(given)
        assert (change.verdict, change.action) == ("unknown", "none")
        assert "sysadmin" in change.reason


@pytest.mark.parametrize("given", [FULL, {"login": "nexhealth", "absent": True}])
def test_without_a_server_it_is_unknown_with_the_reason(given: dict[str, Any]) -> None:
    host = Host(servers.bare(name="DB1"))
    change, _ = host.plan(given)
    assert change.verdict == "unknown"
    assert change.reason == "SQL Server localhost could not be asked: The system cannot find the file specified"


def test_a_database_that_is_offline_is_unknown_and_told_where_a_user_would_stay_in_it() -> None:
    host = Host()
    host.apply(FULL)
    host.database["state"] = "OFFLINE"
    assert host.plan(FULL)[0].reason == "the database Main_OMS is OFFLINE"
    change = host.apply({"login": "nexhealth", "absent": True})
    assert change.reason == "Main_OMS is OFFLINE: a user in it stays"


def test_what_two_roles_want_of_one_login_is_united() -> None:
    def wish(role: str, **databases: Any) -> Wish:
        return Wish(role, None, SqlLogin(login="nexhealth", type="sql", databases=databases))

    one = wish("one", Main_OMS={"roles": ["db_datareader"]})
    two = wish("two", main_oms={"roles": ["db_datawriter"]}, Other=None)
    desired, problems = joined([one, two])
    (login,) = (managed.resource for managed in desired.resources)
    assert problems == []
    assert show(login.users) == "Main_OMS, Other"
    assert show(login.roles) == "Main_OMS: db_datareader, main_oms: db_datawriter"


def test_one_database_in_two_spellings_is_one() -> None:
    twice = {
        **FULL,
        "default_database": None,
        "databases": {"Main_OMS": {"roles": ["db_owner"]}, "MAIN_OMS": {"roles": ["DB_OWNER"]}},
    }
    host = Host()
    host.apply(twice)
    assert host.plan(twice)[0].verdict == "in_sync"
    assert [user["name"] for user in host.database["users"]] == ["dbo", "nexhealth"]
