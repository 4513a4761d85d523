"""What befalls the machine that the installer sits at: no streams, no room, no terminal, two of us; what a slow run shows."""

from __future__ import annotations

import contextlib
import os
import pty
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from labs import box
from night import ROLES, Night
from runs import run as a_run

from opdeploy import engine
from opdeploy.lab.windows import servers
from opdeploy.model import OpdeployError, UsageError
from opdeploy.resources.registry_value import RegistryValue
from opdeploy.store import Recorder, Store

pytestmark = pytest.mark.slow


# ---------------------------------------------------------------- streams


@pytest.mark.parametrize("closed", ["<&-", "<&- >&-", "<&- >&- 2>&-", "2>&-"])
def test_closed_streams_are_no_error(closed: str, tmp_path: Path) -> None:
    code = f'exec "{sys.executable}" -m opdeploy inventory list -i "$1" {closed}'
    good = Path(__file__).parents[1] / "cli" / "good"
    done = subprocess.run(["/bin/sh", "-c", code, "sh", str(good)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_apply_without_a_stdin_asks_nobody() -> None:
    code = f'exec "{sys.executable}" -m opdeploy apply -i anywhere <&-'
    done = subprocess.run(["/bin/sh", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, "say --yes" in done.stderr) == (64, True)


def test_output_that_has_no_room_is_told_and_is_no_bug(night: Night) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    night.box("db1")
    with Path("/dev/full").open("w") as full:
        process = night.start("plan", stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error: the output can't be written: No space left on device" in err
    assert not (night.folder / "state/opdeploy/bugs").exists()


def shown_on_a_terminal(night: Night, *command: str, **environment: str) -> str:
    """What a terminal of stderr is shown, stdout being a pipe."""
    night.environment.update(environment)
    ours, theirs = pty.openpty()
    process = night.start(*command, stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux' word for the end of a terminal
        while piece := os.read(ours, 65536):
            shown += piece
    os.close(ours)
    process.wait(60)
    return shown.decode()


def test_a_run_of_more_than_a_second_shows_how_far_it_is(night: Night) -> None:
    night.box("db1").server.settings.latency = 0.25
    shown = shown_on_a_terminal(night, "plan", TERM="xterm")
    assert "reading" in shown
    assert "db1" in shown


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"NO_COLOR": "1", "TERM": "xterm"}], ids=["dumb", "no colour"])
def test_no_escape_sequence_for_a_terminal_that_takes_none(environment: dict[str, str], night: Night) -> None:
    night.box("db1").server.settings.latency = 0.25
    assert "\x1b" not in shown_on_a_terminal(night, "plan", **environment)


def test_a_pipe_is_shown_no_progress(night: Night) -> None:
    night.box("db1").server.settings.latency = 0.25
    done = night.run("plan")
    assert len(done.err.splitlines()) == 1
    assert done.err.split()[1] == "POSTs,"


# ---------------------------------------------------------------- the store


class Failing:
    """A journal with room for so many entries."""

    def __init__(self, recorder: Recorder, room: int) -> None:
        self._recorder, self._room = recorder, room

    def __getattr__(self, name: str) -> Any:
        self._room -= 1
        if self._room < 0:
            raise OpdeployError("disk full")
        return getattr(self._recorder, name)


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (0, ["not_reached", "not_reached", "not_reached"]),
        (2, ["applied", "not_reached", "not_reached"]),
        (3, ["applied", "applied", "not_reached"]),
    ],
)
def test_what_cannot_be_journalled_is_not_begun_and_what_was_done_is_told(
    room: int, expected: list[str], tmp_path: Path
) -> None:
    values = [RegistryValue(hive="local_machine", path=r"SOFTWARE\OP", name=f"n{n}", type="dword", data=n) for n in range(3)]
    store = Store.open(tmp_path)
    recorder: Any = Failing(store.begin(a_run(command="apply")), room)
    with box(servers.bare()) as made:
        (result,) = engine.apply([made.job(values)], store, recorder)
        written = sum(f"'n{n}'" in str(made.state.registry) for n in range(3))
    assert [item.outcome for item in result.items] == expected
    assert written == expected.count("applied")
    assert "can't be journalled: disk full" in result.items[-1].error


@pytest.mark.parametrize("command", ["plan", "drift check", "apply --yes"])
def test_a_run_that_cannot_be_recorded_is_shown_all_the_same(command: str, night: Night) -> None:
    (rule,) = list(ROLES["firewall"]["rules"].values())[:1]
    night.box("db1", firewall={"rules": {f"OP-{number}-In": rule for number in range(60)}})
    assert night.run("plan").code == 2
    room = 33_000  # bytes a file may have: SQLite's index of its log fits, what is logged of a run does not
    done = night.run(*command.split(), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)))
    assert "firewall_rule      OP-0-In" in done.out
    assert "the run store can't be used" in done.err + done.out
    assert "is the disk full" in done.err
    assert done.code == 1


def test_a_store_that_is_a_file_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file") as told:
        Store.open(tmp_path / "file")
    assert "--store" in told.value.hint


# ---------------------------------------------------------------- two of us, and one who gives up


def test_two_applies_at_once_double_nothing(night: Night) -> None:
    night.box("db1").server.settings.latency = 0.05
    both = [night.start("apply", "--yes") for _ in range(2)]
    ended = [process.communicate(timeout=60) for process in both]
    assert "Traceback" not in str(ended)
    assert {process.returncode for process in both} <= {0, 1}
    assert night.run("plan").code == 0
    assert str(night.boxes["db1"].state.registry).count("'OP-Web-In'") == 1


def test_an_apply_that_is_interrupted_says_how_far_it_was(night: Night) -> None:
    made = night.box("db1")
    made.server.settings.latency = 0.02
    reached = threading.Event()
    sends: list[object] = []

    def count(entry: object) -> None:
        sends.extend([entry] if str(getattr(entry, "action", "")).endswith("Send") else [])
        if len(sends) == 5:  # two rounds of reading, the agent's proof, two changes
            reached.set()

    made.server._on_request = count
    process = night.start("apply", "--yes")
    assert reached.wait(30)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "of 1 nobody knows: the next apply reads first" in err
    assert "interrupted" in err
