"""JEA endpoints on the lab: made, changed, removed; and what is in their files."""

from __future__ import annotations

from typing import Any

import pytest
from lab_computer import SOURCE, Host, desired

from cases import SERVER
from opdeploy.calls import cmdlet_write
from opdeploy.formats import powershell_data, wsman_plugin
from opdeploy.lab.windows import cmdlets_sessions, files, registry, servers
from opdeploy.lab.windows.state import State, dump, load
from opdeploy.model import Change
from opdeploy.resources.base import RESTART_WINRM
from opdeploy.resources.jea_endpoint import JeaEndpoint

FULL: dict[str, Any] = {
    "name": "OP-Support",
    "allowed": [".\\opadmin", "Remote Desktop Users"],
    "cmdlets": [
        {"name": "Get-Service"},
        {"name": "Restart-Service", "parameters": [{"name": "Name", "values": ["Spooler", "it's"]}, {"name": "Force"}]},
        {"name": "Get-EventLog", "parameters": [{"name": "LogName", "pattern": "[A-Z][a-z]+"}]},
    ],
    "functions": [{"name": "Clear-OpCache", "content": "param([string]$x)\nRemove-Item 'C:\\OP\\cache' # }}} ’ „Öß“\n"}],
    "programs": ["C:\\Windows\\System32\\quser.exe"],
    "transcripts": "C:\\ProgramData\\OP\\transcripts",
}
OTHERWISE: dict[str, tuple[dict[str, Any], bool]] = {  # what else, and whether it has to be registered again
    "somebody else": ({"allowed": ["Remote Desktop Users"]}, True),
    "another folder": ({"transcripts": "C:\\ProgramData\\OP\\other"}, True),
    "a cmdlet less": ({"cmdlets": FULL["cmdlets"][:1]}, False),
    "no functions": ({"functions": []}, False),
    "another function": ({"functions": [{"name": "Clear-OpCache", "content": "'nothing'"}]}, False),
    "a module": ({"modules": ["NetSecurity"]}, False),
    "another program": ({"programs": ["C:\\Windows\\System32\\qwinsta.exe"]}, False),
}
FOLDER = "C:\\Program Files\\WindowsPowerShell\\Modules\\OP-Support"
PSRC, PSSC = f"{FOLDER}\\RoleCapabilities\\OP-Support.psrc", f"{FOLDER}\\OP-Support.pssc"
PLUGIN = rf"{cmdlets_sessions.PLUGINS}\OP-Support"


@pytest.fixture(params=[servers.bare, servers.database_server], ids=["bare", "database server"])
def state(request: pytest.FixtureRequest) -> State:
    made: State = request.param()
    return made


def made(state: State) -> Host:
    host = Host(state)
    assert [change.action for change in host.apply(desired("jea_endpoint", FULL))] == ["create"]
    return host


def only(changes: list[Change[Any]]) -> Change[Any]:
    (change,) = changes
    return change


def test_an_endpoint_made_from_nothing_reads_back_in_sync_and_validates(state: State) -> None:
    host, wanted = made(state), desired("jea_endpoint", FULL)
    before = dump(state)
    change = only(host.apply(wanted))
    assert (change.verdict, dump(state)) == ("in_sync", before)
    assert JeaEndpoint.observed(**dict(change.actual)) == change.actual


@pytest.mark.parametrize(("other", "registers"), OTHERWISE.values(), ids=OTHERWISE)
def test_every_change_reads_back_in_sync_and_only_what_has_to_restarts_winrm(other: dict[str, Any], registers: bool) -> None:
    host, wanted = made(servers.bare()), desired("jea_endpoint", {**FULL, **other})
    document = registry.find(host.computer.state, PLUGIN)
    change = only(host.apply(wanted))
    assert (change.action, set(change.properties)) == ("update", set(other))
    assert change.resource.afterwards(change) == ({RESTART_WINRM} if registers else set())
    assert (registry.find(host.computer.state, PLUGIN) is not document) == registers
    assert only(host.plan(wanted)).verdict == "in_sync"


def test_what_others_write_into_a_file_is_found_and_undone(state: State) -> None:
    host, wanted = made(state), desired("jea_endpoint", FULL)
    for path in (PSRC, PSSC):
        entry = files.find(state, path)
        assert entry
        files.put_file(state, path, "S-1-5-32-544", files.data(entry) + b"# mine\r\n")
    change = only(host.apply(wanted))
    assert change.properties["files"].before == "missing or written by others: OP-Support.psrc, OP-Support.pssc"
    assert change.properties["registration"].before == "of another session configuration"
    assert only(host.plan(wanted)).verdict == "in_sync"


@pytest.mark.parametrize(
    "text",
    ["", "no data", "@{ 'VisibleCmdlets' = 'x' }", "@{ 'TranscriptDirectory' = 'C:\\a<b'; 'RoleDefinitions' = 'x' }",
     "@{ 'VisibleCmdlets' = @(@{ 'Name' = 'Get-*' }); 'FunctionDefinitions' = @(); 'VisibleExternalCommands' = @() }"],
)  # fmt: skip
def test_whatever_stands_in_the_files_is_a_difference_and_no_error(text: str) -> None:
    host, wanted = made(servers.bare()), desired("jea_endpoint", FULL)
    for path in (PSRC, PSSC):
        files.put_file(host.computer.state, path, "S-1-5-32-544", text.encode())
    assert only(host.apply(wanted)).action == "update"
    assert only(host.plan(wanted)).verdict == "in_sync"


def test_who_may_connect_is_told_from_the_registration_too(state: State) -> None:
    host, wanted = made(state), desired("jea_endpoint", FULL)
    key = registry.find(state, PLUGIN)
    assert key
    wider = registry.value(key, "ConfigXML").replace("(A;;GA;;;", "(A;;GA;;;WD)(A;;GA;;;", 1)
    registry.set_value(key, "ConfigXML", "String", wider)
    change = only(host.apply(wanted))
    assert change.properties["registration"].before == "open to others than the files say"
    assert set(change.properties) == {"registration"}
    assert only(host.plan(wanted)).verdict == "in_sync"


def test_what_is_removed_leaves_winrm_in_its_own_process_and_nothing_else(state: State) -> None:
    """What registering does to WinRM's own service, and the folder of the copies, stay as they stay on Windows."""
    clock, before = state.time, dump(state)
    host = made(state)
    gone = only(host.apply(desired("jea_endpoint", {"name": "op-support", "absent": True})))
    assert (gone.action, gone.resource.afterwards(gone)) == ("remove", {RESTART_WINRM})
    state.time = clock
    del state.files[cmdlets_sessions.COPIES.lower()]
    _winrm_as_in(state, before)
    assert dump(state) == before


def _winrm_as_in(state: State, before: str) -> None:
    then, now = registry.find(load(before), cmdlets_sessions.WINRM), registry.find(state, cmdlets_sessions.WINRM)
    assert then
    assert now
    changed = {name for name, value in now["values"].items() if then["values"].get(name) != value}
    assert changed <= {"type", "objectname", "requiredprivileges"}
    now["values"] = then["values"]


def test_removal_takes_what_a_cut_run_left_behind(state: State) -> None:
    host = made(state)
    files.put_file(state, f"{PSRC}.opdeploy", "S-1-5-32-544", b"half")
    host.apply(desired("jea_endpoint", {"name": "OP-Support", "absent": True}))
    assert files.find(state, FOLDER) is None


def test_the_files_are_data_and_say_who_may_do_what(state: State) -> None:
    made(state)
    psrc, pssc = (files.find(state, path) for path in (PSRC, PSSC))
    assert psrc
    assert pssc
    capability = powershell_data.parse(files.data(psrc).decode("utf-8"))
    assert capability["VisibleCmdlets"] == [
        "Get-Service",
        {"Name": "Restart-Service", "Parameters": [{"Name": "Name", "ValidateSet": ["Spooler", "it's"]}, {"Name": "Force"}]},
        {"Name": "Get-EventLog", "Parameters": [{"Name": "LogName", "ValidatePattern": "[A-Z][a-z]+"}]},
    ]
    assert capability["VisibleFunctions"] == ["Clear-OpCache"]
    configuration = powershell_data.parse(files.data(pssc).decode("utf-8"))
    assert (configuration["SessionType"], configuration["RunAsVirtualAccount"]) == ("RestrictedRemoteServer", True)
    roles = {f"{state.facts.name}\\opadmin", "BUILTIN\\Remote Desktop Users"}
    assert configuration["RoleDefinitions"] == {name: {"RoleCapabilities": ["OP-Support"]} for name in roles}


def test_only_those_may_connect(state: State) -> None:
    made(state)
    plugin = wsman_plugin.parse(registry.value(registry.find(state, PLUGIN), "ConfigXML"), state.facts.machine_sid)
    assert plugin.allowed == {"S-1-5-32-555", f"{state.facts.machine_sid}-1001"}
    assert (plugin.enabled, plugin.virtual_account) == (True, True)


def test_it_is_refused_on_a_domain_controller() -> None:
    resource = desired("jea_endpoint", FULL).resources[0].resource
    assert "Domain Admin" in resource.refusal(type(SERVER)(**{**SERVER.__dict__, "product": "LanmanNT"}))


def test_the_agent_can_neither_force_a_registration_nor_leave_winrm_to_restart(state: State) -> None:
    """`-Force` would restart WinRM under the session: it is not listed."""
    made(state)
    again = cmdlet_write("Register-PSSessionConfiguration", Name="OP-Support", Path=PSSC, NoServiceRestart=True, Force=True)
    (answer,) = Host(state).computer.ask([again], 1, source=SOURCE)
    assert answer.id.startswith("opdeploy.NotListed")


def test_what_its_functions_say_can_be_read_before_it_is_signed(state: State) -> None:
    host = Host(state)
    (change,) = host.plan(desired("jea_endpoint", FULL))
    said = change.resource.words(change, None)
    assert said[:2] == ["--- Clear-OpCache on the host", "+++ Clear-OpCache to be"]
    assert "+Remove-Item 'C:\\OP\\cache' # }}} ’ „Öß“" in said
