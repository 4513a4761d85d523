"""An install in the middle of which something goes away: it goes on on the host, ends right, and the installer ran once."""

from __future__ import annotations

import contextlib
import hashlib
import random
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_installers import inno, msi
from labs import Box
from night import Night, Said, night_in

from opdeploy import calls
from opdeploy.lab.http import serve
from opdeploy.lab.windows import files, servers
from opdeploy.windows import agent

pytestmark = pytest.mark.slow
PIECE = 449 * 1024
PADDING = "." * (2 * PIECE)  # so that it goes up in three pieces
SECRET = "Geheim-4711"


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    """With files/ beside its inventory's folder."""
    (tmp_path / "practice").mkdir()
    (tmp_path / "files").mkdir()
    with night_in(tmp_path / "practice") as made:
        yield made


def practice(night: Night, installer: bytes, **package: Any) -> Box:
    """One host that should have one package, whose installer is ours."""
    name = "setup.msi" if package.get("type") == "msi" else "setup.exe"
    (night.folder.parent / "files" / name).write_bytes(installer)
    wanted = {"name": "OP Tool", "type": "inno", "detect": {"display_name": "OP *"}, "source": {"file": name}}
    wanted |= {"sha256": hashlib.sha256(installer).hexdigest()} | package
    return night.box("db1", servers.bare(name="DB1"), firewall={"rules": {}}, resources={"package": [wanted]})


def exits(made: Box) -> list[int | None]:
    return [run["exit"] for run in made.state.installer_runs]


def pieces(made: Box) -> int:
    """How much of the installer has arrived."""
    entry = next((entry for path, entry in list(made.state.files.items()) if path.endswith(".opdeploy")), None)
    return files.size(entry) if entry else 0


def looks(made: Box) -> list[int]:
    """How many looks each job that runs has left."""
    return [runner["looks"] for runner in list(made.state.jobs.values())]


def at(made: Box, reached: Callable[[Box], bool], do: Callable[[], object]) -> threading.Event:
    """Does this once, while the host answers the first operation that finds this true of it."""
    done = threading.Event()

    def heard(_: object) -> None:
        if not done.is_set() and reached(made):
            done.set()
            do()

    made.server._on_request = heard
    return done


def ends_right(night: Night, made: Box) -> None:
    """The same command again brings it to its end, and leaves nothing behind."""
    applied = night.run("apply", "--yes")
    assert applied.code == 0, applied.out + applied.err
    assert (night.run("plan").code, exits(made)) == (0, [0])
    assert clean(made)


def clean(made: Box) -> bool:
    """No job, no folder of one."""
    return not made.state.jobs and not [path for path in made.state.files if "opdeploy-" in path]


# ---------------------------------------------------------------- the controller is killed

MOMENTS: dict[str, Callable[[Box], bool]] = {
    "the first piece is there": lambda made: pieces(made) >= PIECE,
    "all pieces are there": lambda made: pieces(made) > 2 * PIECE,
    "it has begun": lambda made: bool(looks(made)),
    "it runs": lambda made: looks(made) == [0],
    "it has ended": lambda made: bool(exits(made)),
}


def killed(night: Night, made: Box, reached: Callable[[Box], bool]) -> None:
    process: list[subprocess.Popen[str]] = []
    done = at(made, reached, lambda: process[0].kill())
    process.append(night.start("apply", "--yes"))
    out, err = process[0].communicate(timeout=60)
    assert done.is_set(), out + err
    assert process[0].returncode == -9
    made.server._on_request = None


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_controller_that_is_killed_leaves_an_install_to_the_next(moment: str, night: Night) -> None:
    made = practice(night, inno(takes=2, log=PADDING))
    killed(night, made, MOMENTS[moment])
    ends_right(night, made)


@pytest.mark.parametrize("operation", sorted(random.Random(4711).sample(range(8, 26), 5)))
def test_a_controller_that_is_killed_at_any_operation_leaves_an_install_to_the_next(operation: int, night: Night) -> None:
    made = practice(night, inno(log=PADDING))
    answered: list[Box] = []
    killed(night, made, lambda box: answered.append(box) or len(answered) >= operation)
    ends_right(night, made)


def test_a_plan_says_that_an_install_that_was_left_goes_on(night: Night) -> None:
    made = practice(night, inno(takes=3))
    killed(night, made, MOMENTS["it has begun"])
    planned = night.run("plan")
    assert (planned.code, "runs since" in planned.out) == (2, True)
    ends_right(night, made)


# ---------------------------------------------------------------- the session is cut


def test_an_install_goes_on_while_its_session_is_cut(night: Night) -> None:
    made = practice(night, inno(takes=2))
    cut = at(made, MOMENTS["it runs"], lambda: made.server.drop_connections())
    assert night.run("apply", "--yes").code == 0
    assert cut.is_set()
    assert exits(made) == [0]
    assert clean(made)


def test_an_install_goes_on_while_the_host_can_not_be_reached(night: Night) -> None:
    """Its listener is gone with every shell, and is there again at the same port."""
    made = practice(night, inno(takes=2))
    running = at(made, MOMENTS["it has begun"], lambda: None)
    process = night.start("apply", "--yes")
    assert running.wait(30)
    port = made.server.port
    made.server.stop()
    made.server = night.stack.enter_context(_stopped_at_last(serve(made.computer, port=port)))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert exits(made) == [0]
    assert clean(made)


@contextlib.contextmanager
def _stopped_at_last(server: Any) -> Iterator[Any]:
    yield server
    server.stop()


def test_an_install_is_waited_for_while_the_host_refuses_its_session(night: Night) -> None:
    made = practice(night, inno(takes=2))
    refused: list[object] = []

    def refuse() -> None:
        made.server.settings.refuse_logon = True
        made.server.drop_connections()
        made.server._on_request = count

    def count(entry: Any) -> None:
        refused.append(entry)
        made.server.settings.refuse_logon = len(refused) < 3

    at(made, MOMENTS["it runs"], refuse)
    said = night.run("apply", "--yes")
    assert said.code == 0, said.out + said.err
    assert len(refused) >= 3
    assert exits(made) == [0]


# ---------------------------------------------------------------- the host is started anew


def test_an_install_that_a_restart_cut_off_is_told_and_tried_again(night: Night) -> None:
    made = practice(night, inno(takes=2))
    restart = calls.cmdlet_write("Restart-Computer", Force=True)
    at(made, MOMENTS["it runs"], lambda: made.computer.ask([restart], 1, source=agent.source(True)))
    said = night.run("apply", "--yes")
    assert said.code == 1
    assert "was cut off: Windows was started anew at" in said.out
    assert exits(made) == [None]
    assert night.run("apply", "--yes").code == 0
    assert exits(made) == [None, 0]
    assert clean(made)


# ---------------------------------------------------------------- the installer fails

FAILING = {
    "inno": (inno(exit=1, log="not enough room\r\n"), "ended with 1: it could not be prepared"),
    "msi": (msi(exit=1603, log="Rückgabewert 3.\r\n"), "ended with 1603: a fatal error"),
}


@pytest.mark.parametrize("type", FAILING)
def test_a_failed_install_says_why_keeps_its_log_without_secrets_and_is_tried_again(type: str, night: Night) -> None:
    data, words = FAILING[type]
    night.environment["OP_TEST_KEY"] = SECRET
    line = {"arguments": "/KEY={key}", "secrets": {"key": {"from_env": "OP_TEST_KEY"}}}
    made = practice(night, data, type=type, **line)
    said = night.run("apply", "--yes")
    assert said.code == 1
    assert words in said.out
    log = kept_log(said)
    assert log.is_relative_to(night.folder / "state" / "opdeploy" / "logs")
    text = log.read_text(encoding="utf-8")
    assert "Command line: (secret)" in text
    assert text.rstrip().endswith(("not enough room", "Rückgabewert 3."))
    assert SECRET in made.state.installer_runs[0]["line"]
    assert SECRET not in said.out + said.err + everything_below(night.folder)
    assert night.run("plan").code == 2
    assert night.run("apply", "--yes").code == 1
    assert len(exits(made)) == 2


def kept_log(said: Said) -> Path:
    found = re.search(r"\(its log: ([^)]+)\)", " ".join(said.out.split()))
    assert found, said.out
    return Path(found[1])


def everything_below(folder: Path) -> str:
    return "".join(path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file())
