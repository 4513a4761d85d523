"""``python -m opdeploy.cli.janitor FOLDER``: runs a demo's commands, and clears up behind it however it ends, kill -9 included.

It makes FOLDER and says so with an empty line. Then each line of standard input is a command as JSON, ``{"arguments",
"alive"}``, run in FOLDER with its output in the file `OUTPUT`; the answer is a line with its exit code. A command that is
`alive` has for standard input a pipe that stays open as long as this process. When standard input closes, the demo is
gone: what runs is ended, the lab is waited for, and FOLDER is removed.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
from pathlib import Path

from opdeploy.lab import folder

INVENTORY = "inventories/lab"
LAB = f"{INVENTORY}/.lab"
OUTPUT = "output"
SECONDS = 10  # that a process may take to end by itself
PAUSE = 0.02


def main() -> None:
    stage = Path(sys.argv[1])
    stage.mkdir(mode=0o700)
    lifeline, held = os.pipe()
    step = None
    _answer("")
    while line := sys.stdin.readline():
        step = _started(json.loads(line), stage, lifeline)
        if not _ended_before_the_demo(step):
            break
        _answer(str(step.returncode))
    if step:
        _end(step)
    os.close(held)
    folder.wait_until_free(stage / LAB, SECONDS)
    shutil.rmtree(stage, ignore_errors=True)


def _started(command: dict[str, object], stage: Path, lifeline: int) -> subprocess.Popen[bytes]:
    with (stage / OUTPUT).open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "opdeploy", *list(command["arguments"])],  # type: ignore[call-overload]
            cwd=stage,
            stdin=lifeline if command["alive"] else subprocess.DEVNULL,
            stdout=output,
        )


def _ended_before_the_demo(step: subprocess.Popen[bytes]) -> bool:
    """Nothing is asked while a command runs, so there is something to read only when the pipe is closed."""
    while step.poll() is None:
        if select.select([sys.stdin], [], [], PAUSE)[0]:
            return False
    return True


def _end(step: subprocess.Popen[bytes]) -> None:
    step.terminate()
    try:
        step.wait(SECONDS)
    except subprocess.TimeoutExpired:
        step.kill()
        step.wait()


def _answer(text: str) -> None:
    try:
        print(text, flush=True)  # noqa: T201
    except BrokenPipeError:
        return  # the demo is gone; the next line that is read says so


if __name__ == "__main__":
    main()
