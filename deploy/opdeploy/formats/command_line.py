"""One argument of a Windows command line, quoted as the C runtime and CommandLineToArgvW take it apart.

Microsoft, 'Parsing C command-line arguments' (learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments). For
programs that are started directly. cmd.exe reads a line by rules of its own, which no quoting satisfies everywhere:
nothing of ours is ever handed to it, and there is no function for it here.
"""

from __future__ import annotations

import re

_PROGRAM = re.compile(r"[A-Za-z]:\\[^\"<>|?*:/]*?\.(?:exe|com|cmd|bat|ps1|vbs|js|dll|jar)\b", re.IGNORECASE)
_PLAIN = re.compile(r"[^\s\"]+")


def argument(text: str) -> str:
    """`text` as one argument: in quotes where it has to be. Raises ValueError for a NUL, which no command line can hold.

    A backslash is itself unless a quote follows, so those before a quote and before the closing one are doubled.
    """
    if "\0" in text:
        raise ValueError("a command line can't hold a NUL character")
    if _PLAIN.fullmatch(text):
        return text
    quoted = re.sub(r'(\\*)"', r'\1\1\\"', text)
    return '"' + re.sub(r"(\\+)\Z", r"\1\1", quoted) + '"'


def line(*arguments: str) -> str:
    """Several arguments as one line."""
    return " ".join(argument(one) for one in arguments)


def programs(line: str) -> list[str]:
    """Every program, script and library that a line names by its full path, quoted or not."""
    return _PROGRAM.findall(line)


def program(line: str) -> tuple[str, str] | None:
    """A line as installers leave it, taken apart: the program without its quotes, and the rest as it stands.

    A path with blanks may stand there without quotes: it ends at its ``.exe``. None where no program can be told.
    """
    found = re.match(r'\s*(?:"([^"]+)"|(.+?\.exe)(?=\s|\Z)|(\S+))(.*)\Z', line, re.IGNORECASE | re.DOTALL)
    return (found[1] or found[2] or found[3], found[4].strip()) if found else None
