"""Whoever ends a run, whenever: its exit code, plain words, and no shell on any host; the same command converges afterwards."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from night import Night

pytestmark = pytest.mark.slow
HOSTS = ("db1", "ts1")
WORDS = {signal.SIGINT: (130, "interrupted: nothing runs here"), signal.SIGTERM: (143, "ended from outside: nothing runs here")}


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


# ---------------------------------------------------------------- without a host


def test_ctrl_c_before_the_command_began_is_130_without_a_word() -> None:
    code = """if True:
        import os, signal, sys
        from opdeploy import __main__ as started
        sys.argv = ["opdeploy", "--version"]
        started._talks = lambda arguments: os.kill(os.getpid(), signal.SIGINT)
        started.main()
    """
    done = python(code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ctrl_c_while_a_class_is_made_is_130_too() -> None:
    """Python would die of SIGINT, since it passed through an exec of text, though it was caught."""
    code = """if True:
        import sys
        from opdeploy import __main__ as started
        from opdeploy.cli import app
        sys.argv = ["opdeploy", "--version"]
        app.app.main = lambda *_, **__: exec("raise KeyboardInterrupt")
        started.main()
    """
    done = python(code)
    assert (done.returncode, "Traceback" in done.stderr) == (130, False)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_what_nohup_has_ignored_stays_ignored(name: str) -> None:
    code = f"""if True:
        import signal
        signal.signal(signal.{name}, signal.SIG_IGN)
        from opdeploy.cli import ending
        ending.main(["--version"])
        print(signal.getsignal(signal.{name}) is signal.SIG_IGN)
    """
    assert python(code).stdout.endswith("True\n")


# ---------------------------------------------------------------- with hosts


def ended_at(night: Night, posts: int, number: signal.Signals, *command: str) -> tuple[int, str, str]:
    """Sends a signal when the hosts have answered so many operations; far away, so that something is always under way."""
    reached = threading.Event()
    answered: list[str] = []

    def count(entry: object) -> None:
        answered.extend(filter(None, [getattr(entry, "action", "")]))
        if len(answered) >= posts:
            reached.set()

    for name in HOSTS:
        made = night.boxes.get(name) or night.box(name)
        made.server.settings.latency = 0.02
        made.server._on_request = count
    process = night.start(*command)
    assert reached.wait(30)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in out + err
    return process.returncode, out, err


@pytest.mark.parametrize("number", WORDS, ids=lambda number: number.name)
@pytest.mark.parametrize("posts", [1, 3, 6, 8, 9, 10])
def test_a_plan_that_is_ended_leaves_no_shell(number: signal.Signals, posts: int, night: Night) -> None:
    code, out, err = ended_at(night, posts, number, "plan")
    assert (code, out) == (WORDS[number][0], "")
    assert WORDS[number][1] in err
    assert gone(lambda: night.shells() == 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
@pytest.mark.parametrize("posts", [9, 14, 17, 20, 23])
def test_an_apply_that_is_ended_converges_when_it_is_run_again(number: signal.Signals, posts: int, night: Night) -> None:
    ended_at(night, posts, number, "apply", "--yes")
    assert number == signal.SIGKILL or gone(lambda: night.shells() == 0)
    assert journalled_as_written(night)
    assert night.run("apply", "--yes").code == 0
    planned = night.run("plan")
    assert (planned.code, "2 hosts: 2 in sync" in planned.out) == (0, True)


def journalled_as_written(night: Night) -> bool:
    """Every change that the hosts have was begun in the journal, and the store opens."""
    with sqlite3.connect(night.folder / "state/opdeploy/runs.sqlite3") as db:
        begun = {tuple(row) for row in db.execute("SELECT host, key FROM changes WHERE begun_at IS NOT NULL")}
        applied = {tuple(row) for row in db.execute("SELECT host, key FROM changes WHERE outcome = 'applied'")}
    written = {(name, rule) for name in HOSTS for rule in rules_of(night, name)}
    return applied <= written <= begun


def rules_of(night: Night, name: str) -> set[str]:
    made = night.boxes[name]
    with made.computer.lock:
        text = str(made.state.registry)
    return {rule for rule in ("OP-Firebird-In", "OP-Web-In", "OP-Update-In") if f"'{rule}'" in text}


def gone(holds: Callable[[], bool]) -> bool:
    """Within seconds: a Delete that went out as the process ended is still being answered."""
    waiting = threading.Event()
    return any(holds() or waiting.wait(0.05) for _ in range(100))
