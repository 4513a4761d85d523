"""Audit policy, event logs and variables on the lab: what is written reads back in sync, and what is made can be unmade."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lab_asking import agent_source

from cases import _secrets
from opdeploy.calls import Failure, Read
from opdeploy.formats import audit_csv
from opdeploy.guard import Session
from opdeploy.lab.windows import files, servers
from opdeploy.lab.windows.computer import Computer
from opdeploy.lab.windows.state import dump
from opdeploy.model import Change
from opdeploy.planning import Desired, Managed, World, first_reads, machine, plan
from opdeploy.resources import KINDS
from opdeploy.resources.audit_policy import APPLIED
from opdeploy.resources.base import comparator
from opdeploy.resources.environment_variable import EnvironmentVariable, folded
from opdeploy.resources.event_log import EventLog
from opdeploy.resources.sizes import Size

SERVERS = {
    "bare": servers.bare,
    "db1": servers.database_server,
    "backup1": servers.backup_station,
    "ts1": servers.terminal_server,
}
WANTED: list[tuple[str, dict[str, Any]]] = [
    ("audit_policy", {"subcategory": "Logon", "failure": False}),
    ("audit_policy", {"subcategory": "{0cce922b-69ae-11d9-bed3-505054503030}", "success": True, "failure": True}),
    ("audit_policy", {"subcategory": "Special Logon", "absent": True}),
    ("event_log", {"log": "Security", "size": "256MB", "retention": "archive"}),
    ("event_log", {"log": "Microsoft-Windows-TaskScheduler/Operational", "enabled": True, "size": "20000KB"}),
    ("event_log", {"log": "Windows PowerShell", "access": "O:BAG:SYD:(A;;0x7;;;SY)(A;;0x7;;;BA)(A;;0x1;;;S-1-5-32-573)"}),
    ("environment_variable", {"name": "OP_HOME", "value": "%SystemDrive%\\Öp's \"Haus\"", "expand": True}),
    ("environment_variable", {"name": "OP_LICENCE", "value": {"secret": "k3y-of-0p"}}),
    ("environment_variable", {"name": "Path", "entries": ["D:\\OP\\bin", "%systemroot%\\SYSTEM32\\"]}),
    ("environment_variable", {"name": "CLASSPATH", "entries": ["D:\\OP\\lib"], "exact": True}),
]  # fmt: skip
MADE_AND_UNMADE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("audit_policy", {"subcategory": "Registry", "failure": True}, {"subcategory": "Registry", "absent": True}),
    ("environment_variable", {"name": "OP_HOME", "value": "D:\\OP"}, {"name": "op_home", "absent": True}),
    ("environment_variable", {"name": "OP", "entries": ["a", "b"]}, {"name": "OP", "entries": ["B", "a"], "absent": True}),
    ("environment_variable", {"name": "PATHEXT", "entries": [".PY"]}, {"name": "PATHEXT", "entries": [".py"], "absent": True}),
]  # fmt: skip


class Host:
    def __init__(self, computer: Computer) -> None:
        self.computer = computer

    def observe(self, desired: Desired) -> World:
        reads: list[Read] = first_reads(desired)
        answers = self.computer.ask(reads, source=agent_source())
        found = {read.key: answer for read, answer in zip(reads, answers, strict=True)}
        return World(machine(found), found, Session())

    def apply(self, desired: Desired) -> list[Change[Any]]:
        around = self.observe(desired)
        changes = [change for change in plan(desired, around) if change.action != "none"]
        for change in changes:
            writes = list(change.resource.writes(change, around.answers(change.resource)))
            answers = self.computer.ask(writes, len(writes), source=agent_source())
            assert not [answer for answer in answers if isinstance(answer, Failure)], answers
        return changes


def desired(*wanted: tuple[str, dict[str, Any]]) -> Desired:
    return Desired(tuple(Managed(KINDS[kind].model_validate(_secrets(given))) for kind, given in wanted))


def state_of(host: Host) -> dict[str, Any]:
    """All but the clock, which moves with every write."""
    return {**json.loads(dump(host.computer.state)), "time": ""}


@pytest.mark.parametrize("server", SERVERS)
def test_applied_twice_changes_nothing_the_second_time(server: str) -> None:
    host, wanted = Host(Computer(SERVERS[server]())), desired(*WANTED)
    assert len(host.apply(wanted)) == len(WANTED)
    assert [change.verdict for change in plan(wanted, host.observe(wanted))] == ["in_sync"] * len(WANTED)
    assert host.apply(wanted) == []


@pytest.mark.parametrize(("kind", "made", "unmade"), MADE_AND_UNMADE)
def test_what_is_made_and_removed_leaves_the_machine_as_it_was(kind: str, made: dict[str, Any], unmade: dict[str, Any]) -> None:
    host = Host(Computer(servers.database_server()))
    before = state_of(host)
    assert len(host.apply(desired((kind, made)))) == 1
    assert state_of(host) != before
    assert [change.action for change in host.apply(desired((kind, unmade)))] == ["remove"]
    assert state_of(host) == before


@pytest.mark.parametrize(("kind", "given"), WANTED)
def test_what_is_observed_validates_against_its_own_model(kind: str, given: dict[str, Any]) -> None:
    host, wanted = Host(Computer(servers.database_server())), desired((kind, given))
    host.apply(wanted)
    resource = wanted.resources[0].resource
    actual = resource.actual(host.observe(wanted).answers(resource))
    if resource.absent:
        assert actual is None
    else:
        assert type(resource).observed(**dict(actual)) == actual


def test_an_applied_policy_is_found_where_the_client_keeps_it() -> None:
    host = Host(Computer(servers.database_server()))
    wanted = desired(("audit_policy", {"subcategory": "Registry", "success": True}))
    for folder in (r"C:\Windows\security", r"C:\Windows\security\audit"):
        files.put_folder(host.computer.state, folder, "S-1-5-18")
    policy = audit_csv.backup((audit_csv.setting(audit_csv.subcategory("Registry"), audit_csv.FAILURE),))
    files.put_file(host.computer.state, APPLIED, "S-1-5-18", audit_csv.render(policy).encode())
    (change,) = plan(wanted, host.observe(wanted))
    assert (change.verdict, change.action, change.refused) == ("would_change", "none", False)
    assert change.reason.startswith("set by a group policy")


# ---------------------------------------------------------------- parts


@pytest.mark.parametrize(
    ("text", "number", "shown"),
    [("64MB", 67108864, "64MB"), ("1 gb", 1 << 30, "1GB"), (1048576, 1 << 20, "1MB"), ("1000", 1000, "1000"), (0, 0, "0")],
)
def test_a_size_is_read_and_shown_in_units_of_1024(text: Any, number: int, shown: str) -> None:
    assert Size.parse(text).bytes == number
    assert str(Size(number)) == shown
    assert Size.parse(str(Size(number))) == Size(number)


@pytest.mark.parametrize("text", ["-1", "1.5MB", "MB", "", None, True, 1.5, "64 MiB"])
def test_what_is_no_size_is_told(text: Any) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        Size.parse(text)


def test_a_wish_is_a_whole_number_of_64_kb_and_no_less_than_it_says() -> None:
    for asked in (1 << 20, (1 << 20) + 1, 100_000_000):
        size = EventLog.model_validate({"log": "Setup", "size": asked}).size
        assert size is not None
        assert size.bytes % 65536 == 0
        assert asked <= size.bytes < asked + 65536


def test_two_names_of_one_subcategory_are_one_resource() -> None:
    named, numbered = (
        KINDS["audit_policy"].model_validate({"subcategory": text, "success": True})
        for text in ("process creation", "{0CCE922b-69AE-11D9-BED3-505054503030}")
    )
    assert named.identity == numbered.identity


def test_entries_of_two_roles_are_united_in_a_list_that_loses_nothing() -> None:
    one, other = (EnvironmentVariable(name="Path", entries=entries) for entries in (("C:\\a", "C:\\b"), ("c:\\A\\", "C:\\c")))
    how = comparator(EnvironmentVariable, "entries")
    assert how.joins
    assert how.after(other.entries, one.entries, False) == ("C:\\a", "C:\\b", "C:\\c")


@pytest.mark.parametrize("text", ['C:\\a";C:\\b', '"C:\\x;y";C:\\z', ";;C:\\a;", 'C:\\a;"', '"'])
def test_no_entry_of_a_broken_list_is_lost(text: str) -> None:
    """What is rewritten with one more entry still holds every letter but empty parts."""
    host = Host(Computer(servers.bare()))
    wanted = desired(("environment_variable", {"name": "X", "entries": ["new"]}))
    host.apply(desired(("environment_variable", {"name": "X", "value": text})))
    host.apply(wanted)
    (variable,) = wanted.resources
    actual = variable.resource.actual(host.observe(wanted).answers(variable.resource))
    assert isinstance(actual, EnvironmentVariable)
    assert actual.entries is not None
    assert actual.entries[-1].endswith("new")
    assert "".join(actual.entries).replace(";", "") == text.replace(";", "") + "new"


def test_entries_fold_case_quotes_and_the_last_backslash() -> None:
    assert folded('"C:\\Op\\"') == folded("c:\\op") != folded("c:\\op\\bin")
