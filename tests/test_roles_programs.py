"""Nobody but administrators may change what an inventory runs as SYSTEM."""

from __future__ import annotations

from pathlib import Path

import pytest
from roles_at_hand import refused, shipped

ACTION = r"{{command: '{command}', arguments: '{arguments}'}}"
TASK = "scheduled_tasks: {{tasks: {{Night: {{actions: [" + ACTION + "], principal: {who}}}}}}}"
FOLDER = r"op_folders: {{folders: {{op: {{path: 'D:\OP', rules: [{rule}]}}{more}}}}}"
CHANGES = r"{principal: .\op, rights: Modify}"
CLOSED = r", closed: {path: 'D:\OP\Services', inherits: false, exact: true}"


def task(command: str = r"D:\OP\Services\night.cmd", arguments: str = "", who: str = "SYSTEM") -> str:
    return TASK.format(command=command, arguments=arguments, who=who)


def folder(rule: str = CHANGES, more: str = "") -> str:
    return FOLDER.format(rule=rule, more=more)


USERS_MAY_ADD = "{principal: Users, rights: [CreateFiles]}"  # a DLL beside it
USERS_MAY_TAKE = "{principal: Users, rights: ChangePermissions}"
KEEPS = CLOSED.replace(", exact: true", "")  # and with it what it inherited
SHELL = {"command": r"C:\Windows\System32\cmd.exe", "arguments": r"/c D:\OP\Services\night.cmd"}
SERVICE = "op_services: {{services: {{X: {{command_line: '{0}'{1}}}}}}}"


@pytest.mark.parametrize(
    ("folders", "runs"),
    [
        (folder(), task()),
        (folder(USERS_MAY_ADD), task()),
        (folder(USERS_MAY_TAKE), task()),
        (folder(), task(**SHELL)),
        (folder(), task(r"d:\op\SERVICES\night.cmd", who="Administrators")),
        (folder(more=KEEPS), task()),
        (folder(), SERVICE.format(r"D:\OP\Services\x.exe -run", "")),
        (folder(), SERVICE.format(r'"D:\OP\x y.exe"', ", account: LocalSystem")),
    ],
)
def test_refused(tmp_path: Path, folders: str, runs: str) -> None:
    said = refused(tmp_path, f"{folders}\n{runs}\n")
    assert "may change what is in D:\\OP, and " in said
    assert "as SYSTEM" in said


def test_it_is_said_who_what_and_where(tmp_path: Path) -> None:
    assert refused(tmp_path, f"{folder()}\n{task()}\n").splitlines() == [
        r"op_folders: .\op may change what is in D:\OP, and scheduled_task \OP\Night runs D:\OP\Services\night.cmd as SYSTEM "
        "(whoever changes that is SYSTEM: give ReadAndExecute there, or the program a closed folder (inherits: false, exact))"
    ]


@pytest.mark.parametrize(
    ("folders", "runs"),
    [
        (folder("{principal: Users, rights: ReadAndExecute}"), task()),
        (folder("{principal: Administrators, rights: FullControl}"), task()),
        (folder(more=CLOSED), task()),
        (folder(), task(who="LOCAL SERVICE")),
        (folder(), task(r"D:\OPTools\night.cmd")),
        (folder(r"{principal: .\op, rights: Modify, applies_to: this_folder}"), task()),
        (folder(), SERVICE.format(r"D:\OP\x.exe", r", account: NT SERVICE\X")),
    ],
)
def test_nothing_against(tmp_path: Path, folders: str, runs: str) -> None:
    assert "access_rule D:\\OP " in shipped(tmp_path, f"{folders}\n{runs}\n")


def test_what_the_support_is_denied_it_may_not_change(tmp_path: Path) -> None:
    account = r"""
support_account:
  name: op-support
  password: {from_env: OP_TWO}
  data_folders: ['D:\OP']
"""
    assert "may change what is in D:\\OP" in refused(tmp_path / "one", f"{account}{task()}\n")
    inside = account.replace(
        "  data_folders: ['D:\\OP']\n", "  data_folders: ['D:\\OP\\Logs']\n  program_folders: ['D:\\OP']\n"
    )
    assert " deny " in shipped(tmp_path / "two", f"{inside}{task()}\n")
