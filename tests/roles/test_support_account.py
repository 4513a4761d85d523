"""The support's account: what it gets without a word, what it never is, what it can't be; and what its endpoint runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from labs import Box, box
from roles_at_hand import compiled, one_host, refused, shipped
from roles_on_lab import applied, converges, job, plan_text, planned
from runs import run

from opdeploy import roles
from opdeploy.lab.windows import servers, services
from opdeploy.reports.plan_file import plan_document
from opdeploy.resources.jea_endpoint import JeaEndpoint

PSCHECK = Path(__file__).parents[1] / "powershell" / "pscheck.py"
SHA = "9fb96f78267cedbdbd273bc46a4e00c59b74ae73a3b9c149f0167459352386af"
WHOLE = rf"""
    op_folders: {{folders: {{shared: {{path: 'D:\OP\gbd_common'}}, programs: {{path: 'D:\OP\Services'}}}}}}
    support_account:
      name: op-support
      password: {{from_env: OP_TWO}}
      services: [Spooler]
      data_folders: ['D:\OP\gbd_common']
      program_folders: ['D:\OP\Services']
      endpoint:
        transcripts: 'C:\ProgramData\OP\transcripts'
        installers: 'C:\ProgramData\OP\installers'
        packages:
          notepad: {{file: npp.exe, sha256: {SHA}, arguments: /S}}
          client: {{file: "OP's client.msi", sha256: {SHA}, arguments: /qn /norestart}}
        processes: [OPMsg]
        firewall_from: [10.20.0.0/24]
"""
SMALL = "support_account: {{name: op-support, password: {{from_env: OP_TWO}}, {more}}}\n"


def test_an_account_is_a_user_its_groups_and_its_rights_and_no_administrator(tmp_path: Path) -> None:
    given = """
        support_account: {name: op-support, password: {from_env: OP_TWO}, full_name: OP Support, account_expires: 2031-01-31}
    """
    assert shipped(tmp_path, given) == (
        "local_user .\\op-support  [support_account]\n"
        "    full_name OP Support\n"
        "    enabled yes\n"
        "    password_never_expires yes\n"
        "    user_may_not_change_password yes\n"
        "    account_expires 2031-01-31T00:00:00Z\n"
        "    password (secret)\n"
        "group_members Remote Desktop Users  [support_account]\n"
        "    members .\\op-support (<SID of .\\op-support>)\n"
        "group_members Event Log Readers  [support_account]\n"
        "    members .\\op-support (<SID of .\\op-support>)\n"
        "group_members Administrators  [support_account]\n"
        "    absent yes\n"
        "    members .\\op-support (<SID of .\\op-support>)\n"
        "user_right SeBatchLogonRight  [support_account]\n"
        "    principals .\\op-support (<SID of .\\op-support>)\n"
        "scope group_members user .\\op-support  [support_account]\n"
        "scope user_right user .\\op-support  [support_account]\n"
    )


def test_groups_and_rights_are_those_named(tmp_path: Path) -> None:
    given = """
        support_account:
          name: op-support
          password: {from_env: OP_TWO}
          groups: [S-1-5-32-559]
          rights: []
    """
    told = shipped(tmp_path, given)
    assert [line for line in told.splitlines() if not line.startswith(" ")] == [
        "local_user .\\op-support  [support_account]",
        "group_members Performance Log Users  [support_account]",
        "group_members Administrators  [support_account]",
        "scope group_members user .\\op-support  [support_account]",
        "scope user_right user .\\op-support  [support_account]",
    ]


def test_what_an_account_can_not_be(tmp_path: Path) -> None:
    assert refused(tmp_path, "support_account:\n") == (
        "support_account.name: missing (the account's name without a domain, such as op-support)\n"
        "support_account.password: missing (each host its own: {from_env: NAME} or {from_file: PATH})"
    )
    assert refused(tmp_path, "support_account: {name: op, password: Sommer2024!}\n") == (
        "support_account.password: a secret may not stand in the inventory (write {from_env: NAME} or {from_file: PATH})"
    )


def test_what_only_windows_refuses_is_told_at_the_role(tmp_path: Path) -> None:
    given = "support_account: {name: 'op/support', password: {from_env: OP_TWO}, rights: [SeBatchLogonRigth]}\n"
    first = refused(tmp_path, given)
    assert first.startswith("support_account: local_user: name: a user's name can't hold '/'")
    assert "roles/support_account/role.py:" in first
    right = refused(tmp_path, given.replace("op/support", "op-support"))
    assert right.startswith("support_account: user_right: right: 'SeBatchLogonRigth' is no user right: did you mean SeBatch")


# ---------------------------------------------------------------- services, folders, the endpoint


def test_least_privilege_whole(tmp_path: Path) -> None:
    told = shipped(tmp_path, WHOLE)
    assert told[told.index("service Spooler") : told.index("jea_endpoint")] == (
        "service Spooler  [support_account]\n"
        "    exact yes\n"
        "    grants .\\op-support (<SID of .\\op-support>): query, start, stop\n"
        "access_rule D:\\OP\\gbd_common .\\op-support allow  [support_account]\n"
        "    exact yes\n"
        "    no_programs yes\n"
        "    rights Modify\n"
        "access_rule D:\\OP\\Services .\\op-support allow  [support_account]\n"
        "    exact yes\n"
        "    rights ReadAndExecute\n"
        "access_rule D:\\OP\\Services .\\op-support deny  [support_account]\n"
        "    exact yes\n"
        "    rights Write, DeleteSubdirectoriesAndFiles, Delete, ChangePermissions, TakeOwnership\n"
        "directory C:\\ProgramData\\OP\\transcripts  [support_account]\n"
        "    keep_inherited no\n"
        "    owner Administrators (S-1-5-32-544)\n"
        "    inherits no\n"
        "directory C:\\ProgramData\\OP\\installers  [support_account]\n"
        "    keep_inherited no\n"
        "    owner Administrators (S-1-5-32-544)\n"
        "    inherits no\n"
    )
    endpoint = _endpoint(tmp_path / "again", WHOLE)
    assert [str(cmdlet) for cmdlet in endpoint.cmdlets] == [
        "Get-Service (any parameter)",
        "Start-Service -Name Spooler",
        "Stop-Service -Name Spooler",
        "Restart-Service -Name Spooler",
        "Stop-Process -Name OPMsg -Force",
    ]
    assert [function.name for function in endpoint.functions] == [
        "Get-OPTask", "Start-OPTask", "Stop-OPTask", "Enable-OPTask", "Disable-OPTask", "Set-OPTaskTime", "Stop-OPSession",
        "Get-OPFirewallRule", "New-OPFirewallRule", "Set-OPFirewallRule", "Enable-OPFirewallRule", "Disable-OPFirewallRule",
        "Remove-OPFirewallRule", "Install-OPPackage",
    ]  # fmt: skip


def test_what_the_functions_call_is_loaded_for_them(tmp_path: Path) -> None:
    """In a restricted session nothing is loaded by itself: PSModuleAutoLoadingPreference is None there."""
    assert _endpoint(tmp_path / "whole", WHOLE).modules == ("ScheduledTasks", "NetSecurity")
    small = SMALL.format(more=r"endpoint: {transcripts: 'C:\OP\written'}")
    assert _endpoint(tmp_path / "small", small).modules == ("ScheduledTasks",)


def test_an_administrator_is_denied_nothing(tmp_path: Path) -> None:
    given = SMALL.format(more=r"profile: administrator, reason: x, rights: [SeDebugPrivilege], program_folders: ['D:\OP']")
    assert "access_rule D:\\OP .\\op-support allow" in (told := shipped(tmp_path, given))
    assert " deny " not in told


def test_what_installs_takes_an_id_and_nothing_else(tmp_path: Path) -> None:
    (install,) = (one for one in _endpoint(tmp_path, WHOLE).functions if one.name == "Install-OPPackage")
    folder, digest = r"C:\ProgramData\OP\installers", SHA.upper()
    assert install.content.splitlines()[:6] == [
        "param([Parameter(Mandatory = $true)][ValidateSet('notepad', 'client')][string]$Id)",
        "$ErrorActionPreference = 'Stop'",
        "$packages = @{",
        rf"    'notepad' = @{{ Path = '{folder}\npp.exe'; Sha256 = '{digest}'; Program = '{folder}\npp.exe'; Line = '/S' }}",
        rf"    'client' = @{{ Path = '{folder}\OP''s client.msi'; Sha256 = '{digest}'; "
        rf"""Program = 'C:\Windows\System32\msiexec.exe'; Line = '/i "{folder}\OP''s client.msi" /qn /norestart' }}""",
        "}",
    ]


@pytest.mark.parametrize("server", ["2016", "2019"])
def test_the_functions_are_right_powershell(tmp_path: Path, server: str) -> None:
    text = "\n".join(f"function {one.name} {{\n{one.content}\n}}" for one in _endpoint(tmp_path, WHOLE).functions)
    (tmp_path / "functions.ps1").write_text(text, encoding="utf-8")
    checked = subprocess.run(
        [sys.executable, PSCHECK, "--server", server, tmp_path / "functions.ps1"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_no_endpoint_gives_what_was_not_asked_for(tmp_path: Path) -> None:
    endpoint = _endpoint(tmp_path, SMALL.format(more=r"endpoint: {transcripts: 'C:\OP\written'}"))
    assert [cmdlet.name for cmdlet in endpoint.cmdlets] == ["Get-Service"]
    assert {one.name for one in endpoint.functions} == {
        "Get-OPTask", "Start-OPTask", "Stop-OPTask", "Enable-OPTask", "Disable-OPTask", "Set-OPTaskTime", "Stop-OPSession"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "groups: [Administrators]",
            ": Administrators is no group to name: write profile: administrator, and the reason for it",
        ),
        (
            r"groups: ['.\Administrators']",
            ": Administrators is no group to name: write profile: administrator, and the reason for it",
        ),
        (
            "groups: [S-1-5-32-551]",
            ": Backup Operators is refused: who is in it can do what an administrator can; "
            "write profile: administrator and the reason, if that is meant",
        ),
        (
            "rights: [SeBatchLogonRight, sedebugprivilege]",
            ": sedebugprivilege is refused: it leads to SYSTEM, to all that is there, or to false logs; "
            "write profile: administrator and the reason, if that is meant",
        ),
        (
            "services: [EventLog]",
            ".services[0]: EventLog is refused: it is none of OP's, and without it nothing is guarded, or nothing is seen",
        ),
        (
            r"data_folders: ['C:\ProgramData']",
            r": C:\ProgramData is no data folder: Windows' own programs are in C:\ProgramData\Microsoft",
        ),
        ("profile: administrator", ": an administrator needs a written reason: it is told in every plan and report"),
        (
            r"profile: administrator, reason: x, endpoint: {transcripts: 'C:\OP\t'}",
            ": an endpoint bounds nobody who is an administrator already: take one of them out",
        ),
        ("reason: x", ": reason says why the account is an administrator; with profile: least_privilege leave it out"),
        (
            r"data_folders: ['D:\OP'], program_folders: ['d:\op\Services']",
            r": d:\op\Services lies in the data folder D:\OP: with Modify there the account makes itself SYSTEM",
        ),
        (
            r"data_folders: ['D:\OP'], program_folders: ['D:\OP']",
            r": D:\OP lies in the data folder D:\OP: with Modify there the account makes itself SYSTEM",
        ),
        (
            r"data_folders: ['D:\OP'], endpoint: {transcripts: 'D:\OP\transcripts'}",
            r": D:\OP\transcripts lies in the data folder D:\OP: with Modify there the account makes itself SYSTEM",
        ),
        (r"data_folders: ['C:\']", r": C:\ is no data folder: Windows' own programs are in C:\Windows"),
        (
            r"data_folders: ['C:\Program Files\OP']",
            r": C:\Program Files\OP is no data folder: Windows' own programs are in C:\Program Files",
        ),
        (
            r"endpoint: {transcripts: 'C:\t', packages: {npp: {file: npp.exe, sha256: " + SHA + "}}}",
            ".endpoint: installers is the folder of packages: give both or neither",
        ),
        (
            r"endpoint: {transcripts: 'C:\t', installers: 'C:\i', packages: {npp: {file: 'x\npp.exe', sha256: " + SHA + "}}}",
            r".endpoint.packages.npp.file: 'x\\npp.exe': expected the name of an .exe or .msi, without a folder",
        ),
        (
            r"endpoint: {transcripts: 'C:\t', installers: 'C:\i', packages: {op: {file: op.msi, sha256: " + SHA + "}}}",
            ".endpoint.packages.op: op.msi would wait for somebody to click: give it arguments, such as /qn /norestart",
        ),
        (
            r"endpoint: {transcripts: 'C:\t', processes: [OP.exe]}",
            ".endpoint.processes[0]: 'OP.exe': expected a process as Get-Process shows it, without .exe",
        ),
        (
            r"endpoint: {transcripts: 'C:\t', processes: [lsass]}",
            ".endpoint.processes[0]: lsass is refused: Windows, or this very session, ends with it",
        ),
        (
            r"endpoint: {transcripts: 'C:\t', firewall_from: [Any]}",
            ".endpoint.firewall_from[0]: 'Any': expected a network or address of the practice, such as 10.20.0.0/24",
        ),
        (
            r"endpoint: {transcripts: 'C:\t', firewall_from: [0.0.0.0/0]}",
            ".endpoint.firewall_from[0]: 0.0.0.0/0 is wider than a network of one's own can be: name the practice's",
        ),
        (
            r"endpoint: {transcripts: 'C:\t', firewall_from: [10.0.0.0/8, 128.0.0.0/1]}",
            ".endpoint.firewall_from[1]: 128.0.0.0/1 is wider than a network of one's own can be: name the practice's",
        ),
    ],
)
def test_refused(tmp_path: Path, more: str, said: str) -> None:
    assert refused(tmp_path, SMALL.format(more=more)).splitlines()[0] == f"support_account{said}"


# ---------------------------------------------------------------- on the lab


@pytest.fixture
def server(no_pauses: None) -> Iterator[Box]:
    with box(servers.database_server()) as made:
        yield made


def test_applied_twice_it_changes_nothing_the_second_time(server: Box, tmp_path: Path) -> None:
    converges(tmp_path, server, job(tmp_path, server, WHOLE))


def test_a_data_folder_in_a_program_folder_stays_open(server: Box, tmp_path: Path) -> None:
    """The deny for the programs comes from above, and the folder's own entry goes before it."""
    given = r"""
    op_folders: {folders: {client: {path: 'C:\OP'}, logs: {path: 'C:\OP\Logs'}}}
    support_account:
      name: op-support
      password: {from_env: OP_TWO}
      program_folders: ['C:\OP']
      data_folders: ['C:\OP\Logs']
    """
    converges(tmp_path, server, wanted := job(tmp_path, server, given))
    assert "masked" not in plan_text(tmp_path, wanted)


def test_what_somebody_gave_the_account_by_hand_is_taken_again(server: Box, tmp_path: Path) -> None:
    wanted = job(tmp_path, server, WHOLE)
    applied(tmp_path, wanted)
    (sid,) = (sid for sid, user in server.state.users.items() if user["name"] == "op-support")
    server.state.groups["S-1-5-32-551"]["members"].append(sid)
    server.state.rights["SeDebugPrivilege"].append(sid)
    server.state.rights["SeDenyNetworkLogonRight"] = [sid]
    told = plan_text(tmp_path, wanted)
    assert "- group_members      Backup Operators " in told
    assert "- user_right         SeDebugPrivilege " in told
    assert "SeDenyNetworkLogonRight" not in told
    assert told.count("not in the inventory, user .\\op-support is exact") == 2
    converges(tmp_path, server, wanted)


def test_no_data_folder_holds_what_runs_as_system_on_this_host(server: Box, tmp_path: Path) -> None:
    """The inventory knows of no such service: refused before the rule is made, and once it came later."""
    wanted = job(tmp_path, server, WHOLE)
    said = r"refused: the service OPMsg runs D:\OP\gbd_common\opmsg.exe as SYSTEM, and whoever may change that is SYSTEM"
    services.create(server.state, "OPMsg", r'"D:\OP\gbd_common\opmsg.exe" -run')
    (rule,) = (item for item in applied(tmp_path, wanted).items if item.id.startswith(r"access_rule/D:\OP\gbd_common "))
    assert (rule.outcome, said in rule.error) == ("failed", True)
    services.delete(server.state, "OPMsg")
    converges(tmp_path, server, wanted)
    services.create(server.state, "OPMsg", r"D:\OP\gbd_common\opmsg.exe")
    assert said in plan_text(tmp_path, wanted)


@pytest.mark.parametrize("name", ["installers", "transcripts"])
def test_nobody_else_is_let_into_the_endpoints_folders(server: Box, tmp_path: Path, name: str) -> None:
    """Neither by whoever made the folder before, nor later: a DLL beside an installer is run with it."""
    path = rf"C:\ProgramData\OP\{name}"
    others = f"{{directory: [{{path: '{path}'}}], access_rule: [{{path: '{path}', principal: Users, rights: Modify}}]}}"
    applied(tmp_path, job(tmp_path, server, f"resources: {others}\n"))
    wanted = job(tmp_path, server, WHOLE)
    applied(tmp_path, wanted)
    assert f"- access_rule        {path} Users allow" not in plan_text(tmp_path, wanted)
    applied(tmp_path, job(tmp_path, server, f"resources: {others}\n"))
    assert f"- access_rule        {path} Users allow" in plan_text(tmp_path, wanted)
    converges(tmp_path, server, wanted)


def test_the_reason_for_an_administrator_stands_in_every_plan_and_report(server: Box, tmp_path: Path) -> None:
    wanted = job(tmp_path, server, SMALL.format(more="profile: administrator, reason: OP's Setup of 2027 runs in no endpoint"))
    reason = "an administrator, because: OP's Setup of 2027 runs in no endpoint"
    assert f"      {reason}\n" in plan_text(tmp_path, wanted)
    (made,) = (item for item in applied(tmp_path, wanted).items if item.id == "group_members/Administrators")
    assert (made.outcome, made.change.reason) == ("applied", reason)
    in_sync = plan_text(tmp_path, wanted)
    assert "= group_members      Administrators " in in_sync
    assert f"      {reason}\n" in in_sync
    (told,) = plan_document(run(planned(tmp_path, wanted)), b"k" * 32).hosts[0].resources
    assert (told.verdict, told.reason) == ("in_sync", reason)


def test_a_domain_controller_has_no_such_endpoint(tmp_path: Path) -> None:
    state = servers.database_server()
    state.facts.product = "LanmanNT"
    with box(state) as made:
        told = plan_text(tmp_path, job(tmp_path, made, WHOLE))
    assert "! jea_endpoint       OP-Support" in told
    assert "the virtual account would be a Domain Admin on a domain controller: no such endpoint there" in told


def _endpoint(tmp_path: Path, variables: str) -> JeaEndpoint:
    desired = compiled(one_host(tmp_path, variables), roles.find())["db1"]
    (found,) = (each.resource for each in desired.resources if isinstance(each.resource, JeaEndpoint))
    return found
