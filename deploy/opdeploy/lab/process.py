"""Starting the lab as a process of its own, and speaking to it from another: what ``opdeploy lab`` does."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

from opdeploy.lab import control, folder
from opdeploy.lab.running import LabError
from opdeploy.lab.setup import Setup, to_json

SECONDS_TO_END = 20


def start(setup: Setup, lock: int) -> None:
    """Starts the lab detached, and returns when every host listens.

    `lock` is what `folder.claim` gave; the process has it from then on. Raises LabError where it can't serve.
    """
    log = os.open(Path(setup.folder) / folder.LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    kept = (lock, *([setup.watched] if setup.watched >= 0 else []))
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "opdeploy.lab"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            pass_fds=kept,
            text=True,
        )
    finally:
        os.close(log)
    try:
        _await(process, setup)
    except BaseException:
        process.kill()
        process.wait()
        raise


def _await(process: subprocess.Popen[str], setup: Setup) -> None:
    assert process.stdin
    assert process.stdout
    with process.stdin, process.stdout:
        process.stdin.write(to_json(setup) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    told = json.loads(answer) if answer else {"error": "the lab ended as soon as it began", "hint": _last_words(setup)}
    if "error" in told:
        raise LabError(told["error"], told["hint"])


def _last_words(setup: Setup) -> str:
    """The log's last line: it goes with the folder."""
    try:
        lines = (Path(setup.folder) / folder.LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def stop(directory: Path, run: dict[str, Any]) -> bool:
    """Ends a running lab; whether it was gone in time, its process too: that lets go of the folder a moment before."""
    try:
        process = os.pidfd_open(int(run["pid"]))
    except ProcessLookupError:  # it ended by itself just now
        return folder.wait_until_free(directory, SECONDS_TO_END)
    try:
        with contextlib.suppress(OSError):  # it ends by itself just now, or it does not: the lock tells
            control.ask(run, "POST", "/down")
        return folder.wait_until_free(directory, SECONDS_TO_END) and bool(select.select([process], [], [], SECONDS_TO_END)[0])
    finally:
        os.close(process)
