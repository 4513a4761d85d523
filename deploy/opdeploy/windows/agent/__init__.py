"""The agent: the PowerShell that runs resident on a host for one session and leaves nothing behind.

Five texts: two loaders (one goes on the command line, the other is the insurance, design.md "The agent"), the loop,
the read half and the write half. They are sent as they stand here: nothing is ever formatted into them. How they are
started and fed is ``windows/session.py``'s business; what their lines mean is ``windows/wire.py``'s.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

# Started directly, a command needs its full path and nothing expands a variable; cmd.exe expands it.
EXECUTABLE = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"
EXECUTABLE_FOR_CMD = r"%SystemRoot%\System32\WindowsPowerShell\v1.0\powershell.exe"


@cache
def _text(name: str) -> str:
    return (files(__name__) / f"{name}.ps1").read_text(encoding="ascii")


def loader(raw: bool = False) -> str:
    """The text for ``-Command``, on one line: it reads the source from stdin, up to a line of one dot, and runs it."""
    return " ".join(line.strip() for line in _text("loader-raw" if raw else "loader").splitlines())


def arguments(raw: bool = False) -> tuple[str, ...]:
    """powershell.exe's arguments, ready quoted."""
    return ("-NoProfile", "-NonInteractive", "-Command", f'"{loader(raw)}"')


def command_line(raw: bool = False) -> str:
    """The whole line as cmd.exe is given it: at most 8,191 characters."""
    return " ".join((EXECUTABLE_FOR_CMD, *arguments(raw)))


# Beside the agent: somebody's own text, over stdin as the raw loader reads it.
_READER = (
    "$ProgressPreference = 'SilentlyContinue'; "
    "$lines = New-Object System.IO.StreamReader ([Console]::OpenStandardInput()); . ([ScriptBlock]::Create($lines.ReadToEnd()))"
)


def reader_arguments() -> tuple[str, ...]:
    """powershell.exe's arguments for running a text that comes over stdin, to its end."""
    return ("-NoProfile", "-NonInteractive", "-Command", f'"{_READER}"')


def source(write: bool) -> str:
    """The loop and the read half, with `write` the write half too. ASCII; no line of it is a single dot."""
    names = ("loop", "read", "write") if write else ("loop", "read")
    return "".join(_text(name) for name in names)


def sent_digest(write: bool) -> str:
    """``sha256:`` and the digest of the source that a session sends: what a host's script-block log shows as one text."""
    return "sha256:" + hashlib.sha256(source(write).encode()).hexdigest()


def digest() -> str:
    """SHA-256 of all five texts: which agent a snapshot was taken with."""
    texts = (_text(name) for name in ("loader", "loader-raw", "loop", "read", "write"))
    return hashlib.sha256("".join(texts).encode()).hexdigest()
