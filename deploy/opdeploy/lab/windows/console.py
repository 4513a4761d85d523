"""The fixed table of commands that the lab answers besides the agent. No interpreter: what is not in the table is an error.

Commands come as people and other tools send them: to cmd.exe, or to powershell.exe by `-Command` or `-EncodedCommand`.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from opdeploy.lab.shells import Around
from opdeploy.lab.windows import programs
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.state import State, instant

LOADER = "${function:Receive-Line}"
READER = "$lines.ReadToEnd()"
"""What tells a process that runs a text from its whole standard input (pyinfra's exec)."""
_RAW = "OpenStandardInput"
_POWERSHELL = re.compile(r"(?:.*\\)?(?:powershell|pwsh)(?:\.exe)?", re.IGNORECASE)
_CMD = re.compile(r"(?:.*\\)?cmd(?:\.exe)?", re.IGNORECASE)
_IGNORED = re.compile(r"\$(?:ProgressPreference|ErrorActionPreference|OutputEncoding)\s*=|Set-StrictMode\b", re.IGNORECASE)
KNOWN = (
    "hostname, whoami, ver, echo, exit, cd, Get-Date, Write-Output, Start-Sleep, (Get-Location).Path, "
    "$PSVersionTable.PSVersion, $env:COMPUTERNAME and the shell's own variables"
)


@dataclass(frozen=True)
class Command:
    """What a command line asks for. `kind`: 'agent', 'reader', 'powershell' or 'cmd'; `raw`: the loader for raw stdin."""

    kind: str
    text: str = ""
    raw: bool = False


@dataclass(frozen=True)
class Result:
    stdout: str = ""
    stderr: str = ""
    exit: int = 0
    seconds: float = 0
    """How long it runs before it says so."""


def read(line: str) -> Command:
    """A command line as WinRS gets it, through cmd.exe or not."""
    program, _, rest = line.strip().partition(" ")
    if program.startswith('"'):
        program, _, rest = line.strip()[1:].partition('"')
    if _POWERSHELL.fullmatch(program):
        return _powershell(rest)
    if _CMD.fullmatch(program):
        inner = re.sub(r"\A(?:\s*/[a-z](?::\w+)?)+\s*", "", rest, flags=re.IGNORECASE).strip()
        inner = inner[1:-1] if inner.startswith('"') and inner.endswith('"') and len(inner) > 1 else inner
        return read(inner) if _POWERSHELL.match(inner) else Command("cmd", inner)
    return Command("cmd", line.strip())


def _powershell(rest: str) -> Command:
    encoded = re.search(r"(?:\A|\s)-e(?:c|nc\w*)?\s+([A-Za-z0-9+/=]+)", rest, re.IGNORECASE)
    if encoded:
        try:
            text = base64.b64decode(encoded.group(1)).decode("utf-16-le")
        except (binascii.Error, UnicodeDecodeError):
            text = ""
    else:
        words = re.split(r"(?:\A|\s)-c(?:ommand)?\s+", rest, maxsplit=1, flags=re.IGNORECASE)
        text = " ".join(programs.split(words[-1]))
    if LOADER in text:
        return Command("agent", raw=_RAW in text)
    return Command("reader") if READER in text else Command("powershell", text.strip())


def run(state: State, token: Token, command: Command, around: Around) -> Result:
    text = command.text
    if command.kind == "powershell":
        parts = [part.strip() for part in re.split(r"[;\r\n]+", text)]
        text = "; ".join(part for part in parts if part and not _IGNORED.match(part))
    answer = _from_around(around, text) or _answer(state, token, command.kind, text)
    if answer is not None:
        return answer
    word = text.split(" ")[0][:40]
    return Result(stderr=f"'{word}' is not known to the lab, which is no interpreter: it knows {KNOWN}\r\n", exit=1)


def _from_around(around: Around, text: str) -> Result | None:
    """What a shell was given when it was made: its folder and its variables."""
    if text.lower() in ("(get-location).path", "cd"):
        return Result(stdout=(around.directory or r"C:\Users\Default") + "\r\n")
    found = re.fullmatch(r"\$env:(\w+)|echo %(\w+)%", text, re.IGNORECASE)
    given = around.environment.get((found.group(1) or found.group(2)) if found else "")
    return Result(stdout=given + "\r\n") if given is not None else None


def _answer(state: State, token: Token, kind: str, text: str) -> Result | None:
    low = text.lower().strip()
    facts = state.facts
    fixed = {
        "": "",
        "hostname": facts.name,
        "hostname.exe": facts.name,
        "whoami": token.name.lower(),
        "whoami.exe": token.name.lower(),
        "ver": f"\r\nMicrosoft Windows [Version 10.0.{facts.build}.{facts.ubr}]",
        "$env:computername": facts.name,
        "$psversiontable.psversion.tostring()": facts.powershell,
        "$psversiontable.psversion": _version_table(facts.powershell),
        "get-date": instant(state.time).strftime("\r\n%A, %B %d, %Y %I:%M:%S %p\r\n\r\n"),
    }
    if low in fixed:
        return Result(stdout=fixed[low] + "\r\n" if low else "")
    return _with_argument(kind, text)


def _version_table(version: str) -> str:
    head = "\r\nMajor  Minor  Build  Revision\r\n-----  -----  -----  --------\r\n"
    return head + "".join(f"{number:<7}" for number in version.split("."))


def _with_argument(kind: str, text: str) -> Result | None:
    if found := re.fullmatch(r"exit\s+(?:/b\s+)?(\d+)", text, re.IGNORECASE):
        return Result(exit=int(found.group(1)))
    if found := re.fullmatch(r"start-sleep\s+(?:-s(?:econds)?\s+)?(\d+)", text, re.IGNORECASE):
        return Result(seconds=int(found.group(1)))
    if found := re.fullmatch(r"(?:echo|write-output)\s+(.*)", text, re.IGNORECASE):
        return Result(stdout=_unquoted(kind, found.group(1)) + "\r\n")
    if kind == "powershell" and (found := re.fullmatch(r"'([^']*)'|\"([^\"$`]*)\"", text)):
        return Result(stdout=(found.group(1) or found.group(2) or "") + "\r\n")
    return None


def _unquoted(kind: str, text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if kind == "powershell" and quoted else text
