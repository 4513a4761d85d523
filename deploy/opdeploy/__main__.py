"""The command `opdeploy`: patches the standard library for gevent where the command talks to hosts, then runs it.

Patching comes before everything that imports ssl or a socket, so nothing is imported here before it is decided. The lab
serves with threads and is never patched; neither is what only prints.

Ctrl-C ends with 130 from the first line here on. Until the command runs there is nothing to close; afterwards the process
ends at once, since Python itself dies of SIGINT where one interrupted an import, although it was caught.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

TALKS_TO_HOSTS = {"plan", "apply", "remove", "drift", "snapshot", "access", "handover"}
ONLY_PRINTS = {"--help", "-h"}


INTERRUPTED = 130


def main() -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _too_early)
    _open_streams()
    arguments = sys.argv[1:]
    if _talks(arguments):
        _patch()
    from opdeploy.cli import ending

    code = ending.main(arguments)
    if code == INTERRUPTED:
        os._exit(code)
    sys.exit(code)


def _open_streams() -> None:
    """A stream that was closed leads nowhere: else the next file or socket would have its number, and be written into."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this stream's
            setattr(sys, name, open(nowhere, mode, closefd=False))  # noqa: SIM115 - for the process's life


def _too_early(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(INTERRUPTED)


def _talks(arguments: list[str]) -> bool:
    completing = "_OPDEPLOY_COMPLETE" in os.environ
    return arguments[:1] != [] and arguments[0] in TALKS_TO_HOSTS and not ONLY_PRINTS & set(arguments) and not completing


def _patch() -> None:
    from gevent import get_hub, monkey

    monkey.patch_all()
    get_hub().exception_stream = None  # a greenlet's error is told by whoever waits for it, never as a traceback


if __name__ == "__main__":
    main()
