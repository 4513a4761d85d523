"""The command `opdeploy`: patches the standard library for gevent where the command talks to hosts, then runs it.

Patching comes before everything that imports ssl or a socket, so nothing is imported here before it is decided. The lab
serves with threads and is never patched; neither is what only prints.
"""

from __future__ import annotations

import os
import sys

TALKS_TO_HOSTS = {"plan", "apply", "drift", "snapshot"}
ONLY_PRINTS = {"--help", "-h"}


def main() -> None:
    arguments = sys.argv[1:]
    if _talks(arguments):
        _patch()
    from opdeploy.cli import ending

    sys.exit(ending.main(arguments))


def _talks(arguments: list[str]) -> bool:
    completing = "_OPDEPLOY_COMPLETE" in os.environ
    return arguments[:1] != [] and arguments[0] in TALKS_TO_HOSTS and not ONLY_PRINTS & set(arguments) and not completing


def _patch() -> None:
    from gevent import get_hub, monkey

    monkey.patch_all()
    get_hub().exception_stream = None  # a greenlet's error is told by whoever waits for it, never as a traceback


if __name__ == "__main__":
    main()
