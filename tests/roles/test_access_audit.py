"""What is logged of the support's work, where it is written down, and that the account reads nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from labs import Box, box
from roles_at_hand import refused, shipped
from roles_on_lab import converges, job, plan_text

from opdeploy.lab.windows import servers
from opdeploy.lab.windows.state import State
from opdeploy.reports import access_events

ACCOUNT = "support_account: {name: op-support, password: {from_env: OP_TWO}}\n"
AUDIT = r"access_audit: {account: op-support, transcripts: 'C:\ProgramData\OP\PowerShell'"
GIVEN = f"{ACCOUNT}{AUDIT}}}\n"
WARNING = (
    "event 4688 then holds every command line with the passwords in it, for whoever reads the Security log; "
    "the support's account does"
)


def test_all_that_is_audited_logged_and_written_down(tmp_path: Path) -> None:
    told = shipped(tmp_path, GIVEN)
    audited = [line for line in told.splitlines() if line.startswith("audit_policy")]
    assert audited == [
        f"audit_policy {name}  [access_audit]"
        for name in (
            "Logon", "Logoff", "Special Logon", "Other Logon/Logoff Events", "Process Creation", "User Account Management",
            "Security Group Management", "MPSSVC Rule-Level Policy Change", "Other Object Access Events",
            "Security System Extension",
        )
    ]  # fmt: skip
    assert told[told.index("registry_value HKLM\\SOFTWARE") :] == (
        "registry_value HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Policies\\System\\Audit "
        "ProcessCreationIncludeCmdLine_Enabled  [access_audit]\n"
        "    type dword\n"
        "    data 0\n"
        "registry_value HKLM\\SOFTWARE\\Policies\\Microsoft\\Windows\\PowerShell\\ScriptBlockLogging "
        "EnableScriptBlockLogging  [access_audit]\n"
        "    type dword\n"
        "    data 1\n"
        "registry_value HKLM\\SOFTWARE\\Policies\\Microsoft\\Windows\\PowerShell\\ModuleLogging "
        "EnableModuleLogging  [access_audit]\n"
        "    type dword\n"
        "    data 0\n"
        "registry_value HKLM\\SOFTWARE\\Policies\\Microsoft\\Windows\\PowerShell\\ModuleLogging\\ModuleNames "
        "*  [access_audit]\n"
        "    absent yes\n"
        "directory C:\\ProgramData\\OP\\PowerShell  [access_audit]\n"
        "    keep_inherited no\n"
        "    owner Administrators (S-1-5-32-544)\n"
        "    inherits no\n"
        "access_rule C:\\ProgramData\\OP\\PowerShell Authenticated Users allow  [access_audit]\n"
        "    exact yes\n"
        "    rights Write, ReadAttributes\n"
        "access_rule C:\\ProgramData\\OP\\PowerShell OWNER RIGHTS allow  [access_audit]\n"
        "    exact yes\n"
        "    rights Write, ReadAttributes\n"
        "    applies_to subfolders, files\n"
        "access_rule C:\\ProgramData\\OP\\PowerShell .\\op-support allow  [access_audit]\n"
        "    absent yes\n"
        "registry_value HKLM\\SOFTWARE\\Policies\\Microsoft\\Windows\\PowerShell\\Transcription "
        "EnableTranscripting  [access_audit]\n"
        "    type dword\n"
        "    data 1\n"
        "registry_value HKLM\\SOFTWARE\\Policies\\Microsoft\\Windows\\PowerShell\\Transcription "
        "EnableInvocationHeader  [access_audit]\n"
        "    type dword\n"
        "    data 1\n"
        "registry_value HKLM\\SOFTWARE\\Policies\\Microsoft\\Windows\\PowerShell\\Transcription "
        "OutputDirectory  [access_audit]\n"
        "    type string\n"
        "    data C:\\ProgramData\\OP\\PowerShell\n"
        "event_log Security  [access_audit]\n"
        "    size 256MB\n"
        "event_log System  [access_audit]\n"
        "    size 64MB\n"
        "event_log Microsoft-Windows-PowerShell/Operational  [access_audit]\n"
        "    size 128MB\n"
        "    enabled yes\n"
        "event_log Microsoft-Windows-TaskScheduler/Operational  [access_audit]\n"
        "    size 32MB\n"
        "    enabled yes\n"
        "scope group_members user .\\op-support  [support_account]\n"
        "scope user_right user .\\op-support  [support_account]\n"
        "scope access_rule folder C:\\ProgramData\\OP\\PowerShell  [access_audit]\n"
    )


def test_what_the_report_asks_for_is_audited(tmp_path: Path) -> None:
    """4778 and 4779, a session of Remote Desktop taken up again and left: without their subcategory Windows writes none."""
    assert set(access_events.RECONNECTED) == {4778, 4779}
    assert "audit_policy Other Logon/Logoff Events" in shipped(tmp_path, GIVEN)


def test_modules_are_named_one_by_one(tmp_path: Path) -> None:
    told = shipped(tmp_path, f"{ACCOUNT}{AUDIT}, modules: [ScheduledTasks]}}\n")
    assert "EnableModuleLogging  [access_audit]\n    type dword\n    data 1\n" in told
    assert "ModuleNames ScheduledTasks  [access_audit]\n    type string\n    data ScheduledTasks\n" in told


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            ", modules: ['*']}",
            "access_audit.modules[0]: '*' is refused: module logging writes down what cmdlets are given, secrets too; "
            "name each module",
        ),
        (", modules: ['A B']}", "access_audit.modules[0]: 'A B' is no module's name"),
        (", security_log: many}", "access_audit.security_log: expected a size: 64MB, 1GB, or a number of bytes"),
    ],
)
def test_refused(tmp_path: Path, more: str, said: str) -> None:
    assert refused(tmp_path, ACCOUNT + AUDIT + more) == said


def test_who_is_audited_has_no_rule_where_the_transcripts_are(tmp_path: Path) -> None:
    rule = r"""
op_folders:
  folders:
    transcripts:
      path: 'C:\ProgramData\OP\PowerShell'
      rules: [{ principal: .\op-support, rights: Read }]
"""
    assert "is to be absent by access_audit" in refused(tmp_path, GIVEN + rule)


def test_no_folder_and_nobody_is_guessed(tmp_path: Path) -> None:
    assert refused(tmp_path, "access_audit:\n") == (
        "access_audit.account: missing (the support's account without a domain, such as op-support)\n"
        "access_audit.transcripts: missing (a folder of its own for what is typed into PowerShell, "
        r"such as C:\ProgramData\OP\PowerShell)"
    )


# ---------------------------------------------------------------- on the lab


@pytest.fixture(params=[servers.database_server, servers.backup_station, servers.terminal_server])
def server(request: pytest.FixtureRequest, no_pauses: None) -> Iterator[Box]:
    state: Callable[[], State] = request.param
    with box(state()) as made:
        yield made


def test_applied_twice_it_changes_nothing_the_second_time(server: Box, tmp_path: Path) -> None:
    converges(tmp_path, server, job(tmp_path, server, GIVEN))


def test_command_lines_come_with_their_warning_in_sync_or_not(server: Box, tmp_path: Path) -> None:
    wanted = job(tmp_path, server, f"{ACCOUNT}{AUDIT}, command_lines: true}}\n")
    assert f"      data             – → 1\n      {WARNING}\n" in plan_text(tmp_path, wanted)
    converges(tmp_path, server, wanted)
    assert WARNING in plan_text(tmp_path, wanted)
