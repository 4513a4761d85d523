"""The lab's own process: ``python -m opdeploy.lab``, its `Setup` as one line on standard input.

It answers with one line of JSON on standard output, ``{}`` when every host listens, or ``{"error", "hint"}``, and then
serves until it is told to end: by ``lab down``, SIGTERM, or the end of the process that it was bound to.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from opdeploy.lab import control, folder
from opdeploy.lab.running import Lab, LabError, start
from opdeploy.lab.setup import Setup, from_json


def main() -> int:
    """The detached process."""
    setup = from_json(sys.stdin.readline())
    try:
        serve(setup, lambda lab: _ready())
    except LabError as error:
        print(json.dumps({"error": error.message, "hint": error.hint}), flush=True)  # noqa: T201
        return 1
    return 0


def serve(setup: Setup, ready: Callable[[Lab], None]) -> None:
    """Serves until the end and clears the folder away. Raises LabError before `ready` is called."""
    try:
        lab = start(setup)
        try:
            _until_the_end(lab, ready)
        finally:
            lab.stop()
    finally:
        with contextlib.suppress(FileNotFoundError):
            folder.clear(Path(setup.folder))


def _until_the_end(lab: Lab, ready: Callable[[Lab], None]) -> None:
    token = secrets.token_urlsafe(32)
    endpoint = control.listen(lab, token)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: lab.ended.set())
    if lab.setup.watched >= 0:
        threading.Thread(target=_watch, args=(lab,), name="lab watch", daemon=True).start()
    folder.write_run(Path(lab.setup.folder), {"control": endpoint.server_address[1], "token": token, "pid": os.getpid()})
    ready(lab)
    lab.ended.wait()


def _watch(lab: Lab) -> None:
    """Ends the lab when the other end of the pipe is closed, as the kernel does for a process that dies."""
    while os.read(lab.setup.watched, 4096):
        pass
    lab.ended.set()


def _ready() -> None:
    """Says so, and leaves whoever started this."""
    print("{}", flush=True)  # noqa: T201
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
