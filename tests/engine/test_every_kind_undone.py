"""Every kind that can be absent: made and taken away again, over real WS-Man, the lab's server is as it was before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lab_installers import digest, nsis
from labs import Box, applied, box

from opdeploy.lab.windows import files, servers
from opdeploy.lab.windows.state import State, dump
from opdeploy.model import ExitCode, Secret
from opdeploy.resources import KINDS
from opdeploy.resources.base import KEY, Resource, parts
from opdeploy.store import Store

PASSWORD = Secret("An0ther-Passw0rd!", "env:OP")
WANTED: dict[str, dict[str, Any]] = {
    "access_rule": {"path": r"D:\Data", "principal": "Guests", "rights": "Read"},
    "audit_policy": {"subcategory": "Logoff", "success": True, "failure": True},
    "defender_exclusion": {"type": "path", "value": r"D:\OP\data"},
    "directory": {"path": r"D:\New"},
    "environment_variable": {"name": "OP_HOME", "value": r"D:\OP"},
    "file": {"path": r"D:\Data\op.txt", "content": "hello"},
    "firewall_rule": {"name": "OP-In", "direction": "inbound", "action": "allow", "protocol": "TCP", "local_ports": 3050},
    "group_members": {"group": "Remote Desktop Users", "members": ["Guests"]},
    "jea_endpoint": {
        "name": "OP-Support",
        "allowed": ["Backup Operators"],
        "transcripts": r"D:\Data",
        "cmdlets": [{"name": "Get-Service"}],
    },
    "local_group": {"name": "OP users", "description": "May open OP"},
    "local_user": {"name": "op-new", "password": PASSWORD},
    "package": {"name": "Tool", "type": "nsis", "detect": {"key": "Tool"}, "source": {"path": r"D:\Data\tool.exe"}},
    "registry_value": {"path": r"SOFTWARE\Microsoft", "name": "OP", "type": "string", "data": "1"},
    "scheduled_task": {
        "path": r"\OP\Sweep",
        "triggers": [{"when": "daily", "at": "02:00"}],
        "actions": [{"command": r"D:\Data\x.cmd"}],
        "principal": "SYSTEM",
    },
    "service": {"name": "OPNew", "command_line": r"D:\Data\op.exe", "start_mode": "manual"},
    "share": {"name": "Data", "path": r"D:\Data", "permissions": [{"principal": "Users", "rights": "read"}]},
    "sql_login": {"login": "op", "type": "sql", "password": PASSWORD, "databases": {"Main_OMS": {"roles": ["db_owner"]}}},
    "user_right": {"right": "SeBatchLogonRight", "principals": ["Guests"]},
    "windows_feature": {"name": "SNMP-Service"},
}
WITHOUT = {
    "event_log": "a log is never made or removed by us",
    "manual_step": "it is taken out of the inventory",
    "reachable": "nothing is made",
}
NAMED = {"group_members": ("members",), "user_right": ("principals",), "package": ("type", "detect"), "sql_login": ("type",)}
OWN_PROCESS = ("type", "objectname", "requiredprivileges")
LEFT = ("time", "installer_runs", "winrm_started")
"""What any run leaves: the clock, the lab's own count of what installers ran, when WinRM was started."""


def server() -> State:
    """A believable one, with a folder of ours and an installer in it."""
    state = servers.database_server()
    files.put_folder(state, r"D:\Data", "S-1-5-32-544")
    files.put_folder(state, r"C:\Windows\System32\WindowsPowerShell\v1.0\SessionConfig", "S-1-5-18")
    files.put_file(state, r"D:\Data\tool.exe", "S-1-5-32-544", TOOL)
    return state


TOOL = nsis("Tool", key="Tool")


def wanted(kind: str) -> dict[str, Any]:
    return WANTED[kind] | ({"sha256": digest(TOOL)} if kind == "package" else {})


def gone(kind: str) -> Resource:
    """The same thing, absent: its key, and what says which of several holders or entries is meant."""
    given = wanted(kind)
    named = {name: given[name] for name in given if name in (*parts(KINDS[kind], KEY), *NAMED.get(kind, ()))}
    return KINDS[kind].model_validate(named | {"absent": True})


def apply(made: Box, store: Store, resource: Resource) -> None:
    result = applied(store, made.job([resource]))
    assert [(item.outcome, item.error) for item in result.items] == [("applied", "")], result.error
    assert result.code == ExitCode.OK


def as_it_is(state: State) -> dict[str, Any]:
    """But for what Windows can't take back: an endpoint's virtual account gives WinRM a process of its own for good."""
    told = {name: value for name, value in json.loads(dump(state)).items() if name not in LEFT}
    service = told["registry"]["LocalMachine"]["keys"]["system"]["keys"]["currentcontrolset"]["keys"]["services"]["keys"][
        "winrm"
    ]
    service["values"] = {name: value for name, value in service["values"].items() if name not in OWN_PROCESS}
    return told | {"audit": {guid: how for guid, how in told["audit"].items() if how}}  # nothing audited is nothing said


def test_every_kind_is_here_or_says_why_not() -> None:
    assert set(WANTED) | set(WITHOUT) == set(KINDS)
    assert not set(WANTED) & set(WITHOUT)


@pytest.mark.parametrize("kind", WANTED)
def test_made_and_taken_away_it_leaves_the_server_as_it_was(kind: str, tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    with box(server()) as made:
        before = as_it_is(made.state)
        apply(made, store, KINDS[kind].model_validate(wanted(kind)))
        assert as_it_is(made.state) != before
        apply(made, store, gone(kind))
        assert as_it_is(made.state) == before
