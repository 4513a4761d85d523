"""``opdeploy access report``: on a simulated server, in each form; and what it asks for again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from labs import Box, box
from roles_at_hand import inventory

from opdeploy.cli.ending import run
from opdeploy.cli.place import Place
from opdeploy.lab.windows import accounts, servers
from opdeploy.lab.windows.events import logged
from opdeploy.model import ExitCode, HostError

SID = "S-1-5-21-1-2-3-1005"
LOGON = {
    "TargetUserSid": SID, "TargetUserName": "op-support", "TargetDomainName": "DB1", "TargetLogonId": "0x2", "LogonType": "10",
    "IpAddress": "10.20.0.7", "ElevatedToken": "%%1843",
}  # fmt: skip


@pytest.fixture
def server() -> Iterator[Box]:
    state = servers.database_server()
    state.users[SID] = accounts.new_user("op-support")
    logged(state, 4624, "2026-11-20T08:00:00.0000000Z", **LOGON)
    with box(state) as made:
        yield made


@pytest.fixture
def practice(server: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OP_ONE", servers.PASSWORD)
    monkeypatch.setenv("OP_TWO", "Correct-Horse-2")
    reached = {"ansible_host": "127.0.0.1", "ansible_port": server.server.port, "ansible_winrm_scheme": "http"}
    account = {"support_account": {"name": "op-support", "password": {"from_env": "OP_TWO"}}}
    other = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    return inventory(
        tmp_path / "one", {"db1": {**reached, "ansible_user": servers.ADMIN, **account}, "ts1": {**reached, **other}}
    )


def access(practice: Path, *arguments: str) -> int:
    return run(["access", "report", "-i", str(practice), "--store", str(practice.parent / "store"), *arguments], Place())


def test_the_account_of_the_inventory_as_a_table(practice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert access(practice, "db1", "--since", "2026-11-01") == ExitCode.OK
    told = capsys.readouterr().out
    assert told.startswith("db1: op-support since 2026-11-01 00:00:00 UTC, 1 session\n")
    assert "2026-11-20 08:00:00  no log-off seen  10.20.0.7  RDP" in told


def test_for_a_program_and_for_a_browser(practice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert access(practice, "db1", "--since", "2026-11-01", "--format", "json") == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["sessions"][0]["source"] == "10.20.0.7"
    assert access(practice, "db1", "--since", "2026-11-01", "--format", "html") == ExitCode.OK
    assert "<td>10.20.0.7</td>" in capsys.readouterr().out


def test_what_was_before_is_not_in_it(practice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert access(practice, "db1", "--since", "2026-11-21") == ExitCode.OK
    told = capsys.readouterr().out
    assert "op-support since 2026-11-21 00:00:00 UTC, 0 sessions" in told
    assert "No session proves little where the role access_audit was not applied" in told


def test_an_account_that_the_host_does_not_have_is_said_to_be_none(practice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert access(practice, "db1", "--account", "nobody", "--since", "2026-11-01") == ExitCode.OK
    told = capsys.readouterr().out
    assert "nobody since" in told
    assert "The host has no local account of that name" in told
    assert access(practice, "db1", "--account", "nobody", "--format", "json") == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["whole"] is False


def test_a_host_that_does_not_answer_is_no_empty_report(practice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert access(practice, "ts1", "--account", "op-support") == ExitCode.UNKNOWN
    out, error = capsys.readouterr()
    assert out == ""
    assert "error: ts1: " in error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["db2"], "no host db2 in "),
        (["ts1"], "ts1 has no support_account"),
        (["db1", "--since", "lately"], "--since lately: no length of time and no date"),
        (["db1", "--account", 'a"b'], "--account a\"b: no local account's name"),
        (["db1", "--account", r"DB1\op"], r"--account DB1\op: no local account's name"),
    ],
)
def test_wrong_usage(practice: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert access(practice, *arguments) == ExitCode.USAGE
    assert said in capsys.readouterr().err


def test_what_a_host_says_of_itself_is_nothing_that_a_terminal_obeys(
    practice: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: object, **named: object) -> None:
        raise HostError("WinRM answered with fault 0x00000005: \x1b[2J", "\x1b]0;mine\x07")

    monkeypatch.setattr("opdeploy.windows.winrs.Connection.do", broken)
    assert access(practice, "db1") == ExitCode.UNKNOWN
    told = capsys.readouterr().err
    assert "error: db1: WinRM answered with fault 0x00000005: \\u001b[2J\n    \\u001b]0;mine\\u0007\n" in told
