"""What works with the stock `pyinfra` command, against a simulated server over real WS-Man."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from labs import Box

from opdeploy.lab.windows.state import dump

pytestmark = pytest.mark.slow
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def on_db1(inventory: Path) -> tuple[str, ...]:
    return ("@winrm/db1", "--data", f"opdeploy_inventory={inventory}")


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "deploy.py"
    path.write_text(text, encoding="utf-8")
    return str(path)


def said(run: subprocess.CompletedProcess[str]) -> str:
    return run.stdout + run.stderr


def test_exec(pyinfra: Run, on_db1: tuple[str, ...]) -> None:
    run = pyinfra(*on_db1, "exec", "--", "Get-Date")
    assert run.returncode == 0, said(run)
    assert "2024" in said(run)


def test_exec_that_fails_says_so(pyinfra: Run, on_db1: tuple[str, ...]) -> None:
    run = pyinfra(*on_db1, "exec", "--", "exit 3")
    assert run.returncode != 0


@pytest.mark.parametrize(
    ("argument", "value", "expected"), [("_env", "{'OP_MODE': 'blau-grün'}", "blau-grün"), ("_chdir", r"r'D:\OP'", r"D:\OP")]
)
def test_global_arguments_that_hold(
    pyinfra: Run, on_db1: tuple[str, ...], tmp_path: Path, argument: str, value: str, expected: str
) -> None:
    text = "$env:OP_MODE" if argument == "_env" else "(Get-Location).Path"
    deploy = script(tmp_path, f"from pyinfra.operations import server\nserver.shell('{text}', {argument}={value})\n")
    run = pyinfra("-v", "-v", "-v", on_db1[0], deploy, *on_db1[1:])
    assert run.returncode == 0, said(run)
    assert expected in said(run)


def test_a_time_limit_holds(pyinfra: Run, on_db1: tuple[str, ...], tmp_path: Path) -> None:
    deploy = script(tmp_path, "from pyinfra.operations import server\nserver.shell('Start-Sleep 30', _timeout=1)\n")
    run = pyinfra(on_db1[0], deploy, *on_db1[1:])
    assert run.returncode != 0
    assert "did not end in time" in said(run)


@pytest.mark.parametrize(
    "argument",
    [
        "_sudo=True",
        "_su_user='x'",
        "_doas=True",
        "_get_pty=True",
        "_stdin='x'",
        "_success_exit_codes=[0, 3]",
        "_shell_executable='bash'",
    ],
)
def test_global_arguments_that_cannot_hold_are_refused(
    pyinfra: Run, on_db1: tuple[str, ...], tmp_path: Path, argument: str
) -> None:
    deploy = script(tmp_path, f"from pyinfra.operations import server\nserver.shell('hostname', {argument})\n")
    run = pyinfra(on_db1[0], deploy, *on_db1[1:])
    assert run.returncode != 0
    assert "can't hold on Windows" in said(run)
    assert "Traceback" not in said(run)


SCRIPT = r"""
from opdeploy.windows import operations as windows
windows.service("Spooler", start_mode="disabled", state="stopped", name="No printing here")
windows.registry_value("local_machine", r"SOFTWARE\OP", "Größe", type="dword", data=3050)
"""


def test_an_ordinary_script_plans_dry_applies_and_is_then_done(
    db1: Box, pyinfra: Run, on_db1: tuple[str, ...], tmp_path: Path
) -> None:
    deploy, before = script(tmp_path, SCRIPT), dump(db1.state)
    dry = pyinfra("--dry", on_db1[0], deploy, *on_db1[1:])
    assert dry.returncode == 0, said(dry)
    assert dump(db1.state) == before
    assert "$writing" not in "\n".join(db1.heard)
    wet = pyinfra(on_db1[0], deploy, *on_db1[1:])
    assert wet.returncode == 0, said(wet)
    after = dump(db1.state)
    assert after != before
    again = pyinfra(on_db1[0], deploy, *on_db1[1:])
    assert again.returncode == 0, said(again)
    assert dump(db1.state) == after


STANDING = r"""
from opdeploy.windows import operations as windows
windows.directory(r"D:\New")
windows.access_rule(r"D:\New", "Guests", rights="Read")
windows.file(r"D:\New\a.txt", content="new")
"""


def test_what_stands_on_an_earlier_operation_is_done_in_the_same_run(
    db1: Box, pyinfra: Run, on_db1: tuple[str, ...], tmp_path: Path
) -> None:
    deploy = script(tmp_path, STANDING)
    for _ in range(2):
        wet = pyinfra(on_db1[0], deploy, *on_db1[1:])
        assert wet.returncode == 0, said(wet)
        after = dump(db1.state)
    assert {r"d:\new", r"d:\new\a.txt"} <= set(db1.state.files)
    assert pyinfra(on_db1[0], deploy, *on_db1[1:]).returncode == 0
    assert dump(db1.state) == after


def test_a_plain_password_is_refused_and_never_shown(pyinfra: Run, on_db1: tuple[str, ...], tmp_path: Path) -> None:
    text = 'from opdeploy.windows import operations as windows\nwindows.local_user("op", password="Plain-Passw0rd", name="x")\n'
    run = pyinfra(on_db1[0], script(tmp_path, text), *on_db1[1:])
    assert run.returncode != 0
    assert "password" in said(run)
    assert "Plain-Passw0rd" not in said(run)


FILES = r"""
from pathlib import Path
from pyinfra.operations import python
from pyinfra import host

def there_and_back():
    source, copy = Path("bytes.bin"), Path("copy.bin")
    assert host.put_file(str(source), r"C:\Windows\Temp\Übergröße – 日本.bin")
    assert host.get_file(r"C:\Windows\Temp\Übergröße – 日本.bin", str(copy))

python.call(there_and_back, name="there and back")
"""


def test_files_go_and_come_back_whole(db1: Box, pyinfra: Run, on_db1: tuple[str, ...], tmp_path: Path) -> None:
    content = bytes(range(256)) * 1200
    (tmp_path / "bytes.bin").write_bytes(content)
    run = pyinfra(on_db1[0], script(tmp_path, FILES), *on_db1[1:])
    assert run.returncode == 0, said(run)
    assert (tmp_path / "copy.bin").read_bytes() == content


def test_a_wrong_password_is_one_line(pyinfra: Run, on_db1: tuple[str, ...]) -> None:
    run = pyinfra(*on_db1, "exec", "--", "hostname", OPDEPLOY_PASSWORD="wrong")
    assert run.returncode != 0
    assert "login refused" in said(run)
    assert "Traceback" not in said(run)


TEXT = r"""
import io
from pathlib import Path
from pyinfra.operations import python
from pyinfra import host

def to_a_text_stream_and_a_file_that_is_there():
    text = "grün " * 50_000
    Path("kept.txt").write_text("kept")
    assert host.put_file(io.StringIO(text), r"C:\Windows\Temp\text.txt")
    found = io.StringIO()
    assert host.get_file(r"C:\Windows\Temp\text.txt", found)
    assert found.getvalue() == text
    assert not host.get_file(r"C:\Windows\Temp\nothing.txt", "kept.txt")

python.call(to_a_text_stream_and_a_file_that_is_there, name="text")
"""


def test_text_streams_keep_their_characters_and_a_missing_file_spoils_nothing(
    pyinfra: Run, on_db1: tuple[str, ...], tmp_path: Path
) -> None:
    run = pyinfra(on_db1[0], script(tmp_path, TEXT), *on_db1[1:])
    assert run.returncode == 0, said(run)
    assert (tmp_path / "kept.txt").read_text() == "kept"
    assert not list(tmp_path.glob(".*.opdeploy"))
