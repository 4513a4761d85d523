"""How a command ends: every error becomes its exit code and lines that a person understands, none a traceback.

The codes are `opdeploy.model.ExitCode`'s. click's own errors are wrong usage (64): its 2 would read as drift.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import click

from opdeploy.cli import crash, terminal
from opdeploy.cli.app import app
from opdeploy.cli.place import Place
from opdeploy.model import ExitCode, OpdeployError, UsageError


class Ended(SystemExit):
    """A signal ends the process."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


def main(arguments: Sequence[str]) -> int:
    """A process's one command: SIGTERM and SIGHUP unwind it as Ctrl-C does, with their own codes."""
    place = Place()
    _prepare(place)
    return run(arguments, place)


def run(arguments: Sequence[str], place: Place) -> int:
    """Runs one command line and returns its exit code."""
    try:
        return _ran(arguments, place)
    except (KeyboardInterrupt, click.Abort):  # click makes an Abort of Ctrl-C
        with _undisturbed():
            terminal.say("interrupted: nothing runs here any more; the same command can be run again")
        return ExitCode.INTERRUPTED
    except Ended as ended:
        terminal.say("ended from outside: nothing runs here any more; the same command can be run again")
        return 128 + ended.number
    except SystemExit as ended:  # click's completion, which has printed what the shell asked for
        return ended.code if isinstance(ended.code, int) else ExitCode.FAILED
    except OpdeployError as error:
        terminal.error(error)
        return error.exit_code
    except click.ClickException as error:
        error.show(sys.stderr)
        return ExitCode.USAGE
    except Exception as error:
        terminal.say(crash.told(error, place.store))
        return ExitCode.FAILED
    finally:
        terminal.flush()


def _ran(arguments: Sequence[str], place: Place) -> int:
    if not _is_somewhere():
        raise UsageError("the working directory is not there any more", "go to another: cd")
    code = app.main(list(arguments), prog_name="opdeploy", standalone_mode=False, obj=place)
    return int(code or ExitCode.OK)


def _is_somewhere() -> bool:
    try:
        return bool(os.getcwd())
    except FileNotFoundError:
        return False


def _prepare(place: Place) -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that has no arrow is no reason to fail
    threading.excepthook = lambda lost: crash.noted(lost.exc_value, place.store)
    sys.unraisablehook = lambda lost: crash.noted(lost.exc_value, place.store)
    _heed(signal.SIGINT, signal.default_int_handler)
    _heed(signal.SIGTERM, _ended)
    _heed(signal.SIGHUP, _ended)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C finds nothing to end."""
    before = signal.getsignal(signal.SIGINT)
    _heed(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def _heed(number: signal.Signals, handler: Any) -> None:
    """Handles a signal, unless whoever started this had it ignored: nohup, a job in the background."""
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, handler)


def _ended(number: int, frame: FrameType | None) -> NoReturn:
    """Unwinds, so that sessions are closed and processes ended."""
    raise Ended(number)
