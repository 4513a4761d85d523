"""``python -m opdeploy.cli.janitor FOLDER LAB``: clears up behind a demo, however that ends, kill -9 included.

Its standard input is a pipe from the demo, which tells of each process it starts (``+PID``) and of each that ended
(``-PID``). When the pipe closes, what still runs is ended, the lab is waited for (it has a pipe of its own), and FOLDER
is removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from opdeploy.lab import folder

SECONDS = 10  # that a process may take to end by itself
PAUSE = 0.02


def main() -> None:
    everything, lab = Path(sys.argv[1]), Path(sys.argv[2])
    for process in _running(sys.stdin):
        _end(process)
    folder.wait_until_free(lab, SECONDS)
    shutil.rmtree(everything, ignore_errors=True)


def _running(lines: Iterable[str]) -> set[int]:
    """The processes that are left when the pipe closes."""
    started: set[int] = set()
    for line in lines:
        process = int(line[1:])
        started = started | {process} if line[0] == "+" else started - {process}
    return started


def _end(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            os.kill(process, 0)
            time.sleep(PAUSE)
        os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    main()
