"""Nobody but administrators may change what an inventory runs as SYSTEM."""

from __future__ import annotations

from pathlib import Path

import pytest
from roles_at_hand import refused, shipped

ACTION = r"{{command: '{command}', arguments: '{arguments}'}}"
TASK = "scheduled_tasks: {{tasks: {{Night: {{actions: [" + ACTION + "], principal: {who}}}}}}}"
FOLDER = r"op_folders: {{folders: {{op: {{path: 'D:\OP', rules: [{rule}]}}{more}}}}}"
CHANGES = r"{principal: .\op, rights: Modify}"
CHANGES_NOT_ITSELF = r"{principal: .\op, rights: Modify, applies_to: [subfolders, files]}"
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
        (folder(more=CLOSED), task()),  # renamed, and another D:\OP made in its place
        (folder(r"{principal: .\op, rights: Modify, applies_to: this_folder}"), task()),
        (folder("{principal: Users, rights: [DeleteSubdirectoriesAndFiles]}", CLOSED), task()),
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
        "(whoever changes that is SYSTEM: give ReadAndExecute there, or put the program into a closed folder "
        "(inherits: false, exact) beside D:\\OP, not in it)"
    ]


@pytest.mark.parametrize(
    ("folders", "runs"),
    [
        (folder("{principal: Users, rights: ReadAndExecute}"), task()),
        (folder("{principal: Administrators, rights: FullControl}"), task()),
        (folder(CHANGES_NOT_ITSELF, CLOSED), task()),
        (folder(USERS_MAY_ADD, CLOSED), task()),
        (folder(), task(who="LOCAL SERVICE")),
        (folder(), task(r"D:\OPTools\night.cmd")),
        (folder("{principal: Users, rights: [CreateFiles], applies_to: this_folder}"), task()),
        (folder(), SERVICE.format(r"D:\OP\x.exe", r", account: NT SERVICE\X")),
    ],
)
def test_nothing_against(tmp_path: Path, folders: str, runs: str) -> None:
    assert "access_rule D:\\OP " in shipped(tmp_path, f"{folders}\n{runs}\n")


INSTALLER = "installer: {{type: inno, source: {{path: '{path}'}}, sha256: " + "a" * 64 + ", detect: {{key: {key}}}{more}}}"
PRODUCT = "op_backup: {{" + INSTALLER + ", services: {{X: {service}}}, folders: [], openings: {{}}}}\n"
GIVEN = "version: '3.0', sysdba_password: {{from_env: OP_TWO}}, remote_addresses: []"
FIREBIRD = "firebird: {{" + GIVEN + ", folder: '{folder}', " + INSTALLER + "}}\n"


def firebird(path: str = r"E:\Setup\fb.exe", to: str = r"C:\Firebird") -> str:
    return FIREBIRD.format(path=path, key="FBDBServer_3_0_x64_is1", more="", folder=to)


def product(brings: str, service: str = "") -> str:
    more = f", provides_paths: ['{brings}']"
    return PRODUCT.format(path=r"E:\Setup\x.exe", key="X", more=more, service=service) + firebird()


@pytest.mark.parametrize(
    ("runs", "what"),
    [
        (firebird(path=r"D:\OP\Setup\fb.exe"), r"package Firebird 3.0 runs D:\OP\Setup\fb.exe as an administrator"),
        (firebird(to=r"D:\OP\Firebird"), r"package Firebird 3.0 runs D:\OP\Firebird\firebird.exe as SYSTEM"),
        (product(r"D:\OP\Backup\x.exe"), r"package OP Backup runs D:\OP\Backup\x.exe as SYSTEM"),
    ],
)
def test_so_is_what_a_package_runs_or_brings(tmp_path: Path, runs: str, what: str) -> None:
    assert what in refused(tmp_path, f"{folder()}\n{runs}")


@pytest.mark.parametrize("runs", [firebird(), product(r"D:\OP\Backup\x.exe", "{account: LOCAL SERVICE}")])
def test_but_not_elsewhere_and_not_as_somebody_else(tmp_path: Path, runs: str) -> None:
    assert "access_rule D:\\OP " in shipped(tmp_path, f"{folder()}\n{runs}")


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
