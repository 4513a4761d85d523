"""``opdeploy demo``: the whole way on the lab, each step the real command in a process of its own.

It works on a copy of ``inventories/lab`` in a temporary folder, on free ports and with a run store there, so that two
demos never meet; `janitor` runs the commands and clears up, whatever becomes of this process.
"""

from __future__ import annotations

import json
import os
import random
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

import opdeploy
from opdeploy.cli import terminal
from opdeploy.cli.janitor import INVENTORY, OUTPUT
from opdeploy.model import ExitCode, OpdeployError, UsageError

SOURCE = Path(opdeploy.__file__).parents[2] / INVENTORY
PORT = re.compile(r"(ansible_port:\s*)(\d+)")
PORTS = range(20_000, 32_000)  # below those that systems give to outgoing connections
HEAD, TAIL = 28, 6  # lines of a step's output that are shown
SECONDS_TO_CLEAR_UP = 60


@dataclass(frozen=True)
class Step:
    """One command of the story, the code it must end with, and what that means."""

    words: str
    arguments: tuple[str, ...]
    code: int = ExitCode.OK
    alive: bool = False  # its standard input is the pipe that keeps the lab alive


STORY = (
    Step("three simulated servers start on this machine", ("lab", "up", "--with-parent"), alive=True),
    Step("the inventory is in order", ("inventory", "validate")),
    Step("what would change? nothing is written", ("plan",), ExitCode.CHANGES),
    Step("close the difference", ("apply", "--yes")),
    Step("nothing is left to do", ("plan",)),
    Step("somebody changes the servers by hand", ("lab", "tamper")),
    Step("the drift is found", ("drift", "check"), ExitCode.CHANGES),
    Step("the lab ends", ("lab", "down")),
)


@click.command("demo")
@click.option("--full", is_flag=True, help="Show all of each command's output, not its beginning and end.")
def command(full: bool) -> ExitCode:
    """Show the whole way on simulated servers: validate, plan, apply, plan, tamper, drift. Under a minute.

    It leaves nothing behind: no process, no file, whether it comes to its end or not.

    \b
    Example:
      opdeploy demo
    """
    if not SOURCE.is_dir():
        raise UsageError(f"the demo's inventory is not here: {SOURCE}", "run it from a clone of the project")
    began = time.monotonic()
    with _stage() as stage:
        for step in STORY:
            _play(step, stage, full)
    terminal.write(f"\nAll as it should be, in {time.monotonic() - began:.0f} s. Nothing was left behind.\n")
    return ExitCode.OK


def _play(step: Step, stage: Stage, full: bool) -> None:
    line = f"opdeploy {' '.join(step.arguments)} -i {INVENTORY}"
    terminal.write(_bold(f"\n# {step.words}\n$ {line}\n"))
    code, output = stage.run([*step.arguments, "-i", INVENTORY], step.alive)
    terminal.write(output if full else _shortened(output))
    if code != step.code:
        raise OpdeployError(f"the story went otherwise: `{line}` ended with {code}, not with {int(step.code)}")
    if code:
        terminal.write(f"(exit code {code})\n")


def _shortened(output: str) -> str:
    lines = output.splitlines(keepends=True)
    if len(lines) <= HEAD + TAIL:
        return output
    left = f"      … {len(lines) - HEAD - TAIL} more lines …\n"
    return "".join([*lines[:HEAD], left, *lines[-TAIL:]])


def _bold(text: str) -> str:
    return click.style(text, bold=True) if terminal.coloured(sys.stdout) else text


# ---------------------------------------------------------------- the stage


@dataclass
class Stage:
    """The temporary folder, and who runs the commands in it."""

    folder: Path
    janitor: subprocess.Popen[str]

    def run(self, arguments: Sequence[str], alive: bool) -> tuple[int, str]:
        """One command: its exit code and what it printed."""
        assert self.janitor.stdin
        self.janitor.stdin.write(json.dumps({"arguments": arguments, "alive": alive}) + "\n")
        self.janitor.stdin.flush()
        code = int(self.answer())
        return code, (self.folder / OUTPUT).read_text(encoding="utf-8", errors="replace")

    def answer(self) -> str:
        assert self.janitor.stdout
        line = self.janitor.stdout.readline()
        if not line:
            raise OpdeployError("the demo's own process ended too early")
        return line


@contextmanager
def _stage() -> Iterator[Stage]:
    folder = Path(tempfile.gettempdir()) / f"opdeploy-demo-{secrets.token_hex(8)}"
    janitor = subprocess.Popen(
        [sys.executable, "-m", "opdeploy.cli.janitor", str(folder)],
        env=_environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the demo, which then closes the pipe
    )
    assert janitor.stdin
    try:
        stage = Stage(folder, janitor)
        stage.answer()
        copied_inventory(folder)
        yield stage
    finally:
        janitor.stdin.close()
        janitor.wait(SECONDS_TO_CLEAR_UP)


def _environment(folder: Path) -> dict[str, str]:
    """A run store of its own, and colours where this process has them: its children write into a pipe."""
    forced = {"CLICOLOR_FORCE": "1"} if terminal.coloured(sys.stdout) else {}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPDEPLOY_")}
    return {**kept, **forced, "XDG_STATE_HOME": str(folder / "state"), "PYTHONIOENCODING": "utf-8"}


def copied_inventory(folder: Path) -> None:
    """The lab's inventory on ports that nobody has."""
    copy = folder / INVENTORY
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns(".*"))
    files = sorted(copy.rglob("*.yml"))
    named = sorted({found[2] for path in files for found in PORT.finditer(path.read_text(encoding="utf-8"))})
    ports = dict(zip(named, _free_ports(len(named)), strict=True))
    for path in files:
        text = path.read_text(encoding="utf-8")
        path.write_text(PORT.sub(lambda found: f"{found[1]}{ports[found[2]]}", text), encoding="utf-8")


def _free_ports(count: int) -> list[int]:
    """Ports of loopback that nothing listens on now."""
    free: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            if len(free) < count and probe.connect_ex(("127.0.0.1", port)):
                free.append(port)
        if len(free) == count:
            break
    return free
