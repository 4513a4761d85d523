"""Accounts, memberships, rights and services on the lab, which stores as Windows stores: what is written reads back in sync."""

from __future__ import annotations

from typing import Any

import pytest

from cases import _secrets
from opdeploy.calls import Failure, Read, Write
from opdeploy.guard import Session
from opdeploy.lab.windows import servers
from opdeploy.lab.windows.computer import Computer
from opdeploy.model import Change
from opdeploy.planning import Desired, Managed, World, first_reads, machine, plan, plan_one, second_reads
from opdeploy.resources import KINDS
from opdeploy.windows import agent

SOURCE = agent.source(write=True)
FULL = {
    "local_user": {
        "name": "op-support", "full_name": "Dr. O'Neill „Öß“", "description": "50 % & \"more\"", "enabled": True,
        "password_never_expires": True, "user_may_not_change_password": True, "account_expires": "2027-01-31",
        "password": {"secret": "Tr0ub4dor&3"},
    },
    "group_members": {"group": "Remote Desktop Users", "members": [".\\op-support", "Authenticated Users"], "exact": True},
    "user_right": {"right": "SeServiceLogonRight", "principals": [".\\op-support", "NETWORK SERVICE"]},
    "service": {
        "name": "OPWebUpdate", "command_line": '"C:\\OP\\Web Update\\svc.exe" -run', "display_name": "OP Web Update",
        "description": "Keeps OP up to date", "start_mode": "automatic_delayed", "account": "LOCAL SERVICE",
        "dependencies": ["Tcpip"], "recovery": {"actions": ["restart 1m", "run 30s", "none"], "reset": "1d", "command": "x"},
        "grants": [{"principal": ".\\op-support", "rights": ["start", "stop", "query"]}], "state": "running",
    },
}  # fmt: skip
OTHERWISE = {
    "local_user": {"name": "op-support", "full_name": "", "enabled": False, "account_expires": "never",
                   "password_never_expires": False, "user_may_not_change_password": False},
    "group_members": {"group": "Remote Desktop Users", "members": [], "exact": True},
    "user_right": {"right": "SeServiceLogonRight", "principals": [".\\op-support"], "absent": True},
    "service": {"name": "OPWebUpdate", "description": "", "start_mode": "disabled", "state": "stopped", "account": "SYSTEM",
                "dependencies": [], "recovery": {"actions": []}, "command_line": "C:\\OP\\svc.exe -Run"},
}  # fmt: skip


class Host:
    """A simulated server and what a run store would remember of its passwords."""

    def __init__(self) -> None:
        self.computer, self.records = Computer(servers.database_server()), dict[str, Any]()

    def observe(self, desired: Desired) -> World:
        found = self.answers(first_reads(desired))
        found |= self.answers(second_reads(desired, found))
        return World(machine(found), found, Session())

    def answers(self, reads: list[Read]) -> dict[str, Any]:
        asked = [read for read in reads if not read.verb.startswith("record.")]
        answers = self.computer.ask(asked, source=SOURCE)
        stored = {read.key: self.records.get(read.args["user"]) for read in reads if read not in asked}
        return {read.key: answer for read, answer in zip(asked, answers, strict=True)} | stored

    def write(self, writes: list[Write]) -> None:
        for answer in self.computer.ask(writes, len(writes), source=SOURCE):
            assert not isinstance(answer, Failure), answer

    def apply(self, desired: Desired) -> list[Change[Any]]:
        """Each change made on what is known once those before it are read back."""
        changes = plan(desired, self.observe(desired))
        for change in changes:
            around = self.observe(desired)
            now = plan_one(Managed(change.resource), around)
            self.write(list(now.resource.writes(now, around.answers(now.resource))) if now.action != "none" else [])
            self.record(change, desired)
        return changes

    def record(self, change: Change[Any], desired: Desired) -> None:
        if change.resource.KIND == "local_user" and change.touches("password"):
            user, _, set_at = change.resource.applied_password(self.observe(desired).answers(change.resource))
            self.records[user] = {"same": True, "set_at": set_at}


def desired(wanted: dict[str, dict[str, Any]]) -> Desired:
    return Desired(tuple(Managed(KINDS[kind].model_validate(_secrets(given))) for kind, given in wanted.items()))


def test_all_that_is_made_from_nothing_reads_back_in_sync() -> None:
    host = Host()
    assert {change.action for change in host.apply(desired(FULL))} == {"create", "update"}
    assert [change for change in plan(desired(FULL), host.observe(desired(FULL))) if change.verdict != "in_sync"] == []


@pytest.mark.parametrize("kind", OTHERWISE)
def test_every_change_of_it_reads_back_in_sync(kind: str) -> None:
    host, other = Host(), desired({kind: OTHERWISE[kind]})
    host.apply(desired(FULL))
    assert [change.action for change in host.apply(other)] in (["update"], ["remove"])
    assert [change for change in plan(other, host.observe(other)) if change.verdict != "in_sync"] == []


def test_what_is_removed_is_gone() -> None:
    host = Host()
    host.apply(desired(FULL))
    gone = desired({"service": {"name": "OPWebUpdate", "absent": True}, "local_user": {"name": "op-support", "absent": True}})
    assert [change.action for change in host.apply(gone)] == ["remove", "remove"]
    assert {change.verdict for change in plan(gone, host.observe(gone))} == {"in_sync"}


def test_a_right_that_changed_meanwhile_is_left_alone() -> None:
    host, wanted = Host(), desired({"user_right": {"right": "SeBatchLogonRight", "principals": ["Users"]}})
    around = host.observe(wanted)
    (change,) = plan(wanted, around)
    host.computer.state.rights["SeBatchLogonRight"] = ["S-1-5-32-544"]
    (answer,) = host.computer.ask(list(change.resource.writes(change, around.answers(change.resource))), 1, source=SOURCE)
    assert isinstance(answer, Failure)
    assert answer.id.startswith("opdeploy.Stale")
