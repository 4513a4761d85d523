"""How a command ends: usage errors are 64 and not click's 2, Ctrl-C is 130, a bug is one plain line and a file."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from opdeploy.__main__ import TALKS_TO_HOSTS
from opdeploy.cli.app import COMMANDS, app
from opdeploy.cli.ending import run
from opdeploy.cli.place import Place
from opdeploy.model import HostError, OpdeployError, Secret

PASSWORD = "Fr3undl!ch-geheim"


def all_commands(command: click.Command = app, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        return [above]
    context = click.Context(command)
    below = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
    return [above, *(path for name, sub in below if sub for path in all_commands(sub, (*above, name)))]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "store")


@pytest.mark.parametrize("path", all_commands(), ids=" ".join)
def test_help_of_every_command_has_an_example(path: tuple[str, ...], place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*path, "--help"], place) == 0
    shown = capsys.readouterr()
    assert "Example" in shown.out
    assert " ".join(["  opdeploy", *path[:1]]) in shown.out
    assert shown.err == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_what_the_list_of_commands_says_is_what_the_command_says(name: str) -> None:
    command = app.get_command(click.Context(app), name)  # type: ignore[attr-defined]
    assert command
    assert command.name == name


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_drives_the_engine_has_its_sockets_patched(name: str) -> None:
    """Else it would speak to one host after the other."""
    module = import_module(f"opdeploy.cli.{name}")
    drives = any(getattr(value, "__module__", "").startswith("opdeploy.engine") for value in vars(module).values())
    assert (name in TALKS_TO_HOSTS) == drives


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["plan", "--frobnicate"],
        ["plan", "--format", "xml"],
        ["plan", "-i"],
        ["inventory", "show"],
        ["snapshot", "take", "db1.example"],
        ["lab", "up", "--latency", "far"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_64(arguments: list[str], place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments, place) == 64
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Error: " in shown.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["handover", "one", "-i", "two"], "one or -i two?"),
        (["remove", "-i", "one", "--all-roles", "--role", "firewall"], "not both"),
        (["remove", "-i", "one", "--all-roles", "--yes"], "--yes without --apply"),
    ],
)
def test_what_contradicts_itself_is_refused(
    arguments: list[str], said: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments, place) == 64
    assert said in capsys.readouterr().err


def _ends_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def ending(*_: object) -> None:
        raise error

    monkeypatch.setattr("opdeploy.cli.compiled.find", ending)


VALIDATE = ["inventory", "validate", "-i", "anywhere"]


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (OpdeployError("it failed", "mend it"), 1), (HostError("it is away"), 3)]
)
def test_an_error_has_its_code_and_no_traceback(
    error: BaseException, code: int, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _ends_with(monkeypatch, error)
    assert run(VALIDATE, place) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err
    assert str(error) in shown.err


def test_a_bug_is_one_plain_line_and_a_file_without_secrets(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    held = Secret(PASSWORD, "env:X")
    _ends_with(monkeypatch, ZeroDivisionError(f"divided by {held.reveal()}"))
    assert run([*VALIDATE], place) == 1
    shown = capsys.readouterr()
    (file,) = (tmp_path / "store" / "bugs").iterdir()
    assert "ZeroDivisionError" in shown.err.splitlines()[0]
    assert str(file) in shown.err
    assert "Traceback" not in shown.err
    assert "Traceback" in file.read_text()
    assert PASSWORD not in shown.err + file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_apply_without_a_terminal_needs_yes(place: Place, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["apply", "-i", str(tmp_path)], place) == 64
    assert "--yes" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_without_an_inventory_it_says_which_there_are(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / "inventories" / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPDEPLOY_INVENTORY", raising=False)
    assert run(["plan"], place) == 64
    assert "has one, two" in capsys.readouterr().err


def test_the_only_inventory_need_not_be_named(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "inventories" / "one").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPDEPLOY_INVENTORY", raising=False)
    assert run(["inventory", "validate"], place) == 64
    assert "inventories/one  no hosts.yml here" in capsys.readouterr().err


# ---------------------------------------------------------------- as a process


def opdeploy(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "opdeploy", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        **more,  # type: ignore[call-overload]
    )


def test_help_imports_nothing_that_is_slow() -> None:
    code = "import sys; from opdeploy.cli import ending; ending.main(['--help']); print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "opdeploy.cli.app" in shown
    assert not {"gevent", "pyinfra", "rich", "requests", "yaml", "cryptography", "jinja2"} & set(shown.split())


def test_completion_knows_the_commands() -> None:
    environment = {"_OPDEPLOY_COMPLETE": "bash_complete", "COMP_WORDS": "opdeploy dr", "COMP_CWORD": "1", "PATH": ""}
    assert opdeploy(env=environment).stdout.strip() == "plain,drift"


def test_version() -> None:
    assert opdeploy("--version").stdout.startswith("opdeploy ")


def test_nobody_reading_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "opdeploy", "inventory", "list", "-i", str(Path(__file__).parent / "good")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "opdeploy", "--version"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
