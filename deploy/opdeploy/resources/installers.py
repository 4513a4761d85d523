"""Installers: where one comes from, how each type is told to be silent, and what its exit code means.

Switches and codes as the makers document them: msiexec (Microsoft's pages of `msiexec` and of its error codes,
learn.microsoft.com/windows/win32/msi/error-codes), Inno Setup (jrsoftware.org/ishelp: topic_setupcmdline,
topic_uninstcmdline, topic_setupexitcodes), NSIS (its manual, 3.2 and appendix D), InstallShield (docs.revenera.com,
'Setup.exe and Update.exe Command-Line Parameters': of projects with an MSI inside), Burn (WiX: its standard switches).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationInfo, model_validator

from opdeploy.formats import command_line
from opdeploy.formats.uninstall import InstalledProgram
from opdeploy.model import Secret, Unknown
from opdeploy.rendering import show
from opdeploy.resources.values import LocalPath, Text

Type = Literal["msi", "inno", "nsis", "installshield", "burn", "exe"]

MSIEXEC = r"C:\Windows\System32\msiexec.exe"
LOG = "install.log"
REBOOT = (3010, 1641)  # ERROR_SUCCESS_REBOOT_REQUIRED, ERROR_SUCCESS_REBOOT_INITIATED
_FILE_NAME = re.compile(r"[\w.+() -]{1,100}\.(msi|exe)", re.IGNORECASE | re.ASCII)

# ---------------------------------------------------------------- where it comes from


class LocalFile(BaseModel):
    """A file on the controller's disk, of any size; in an inventory its name below files/, which the project finds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Its name below files/."""
    path: str
    """Where it is on this machine."""
    size: int
    """In bytes."""
    sha256: str
    """Its digest."""

    @model_validator(mode="before")
    @classmethod
    def _of_the_project(cls, given: Any, info: ValidationInfo) -> Any:
        project = (info.context or {}).get("project")
        if isinstance(given, cls) or (project is None and not isinstance(given, str)):
            return given
        if project is None or not isinstance(given, str):
            raise ValueError("expected the name of a file below files/, in an inventory")
        return dict(project.local(given))


def _https(value: Any) -> Any:
    text = value.reveal() if isinstance(value, Secret) else str(value)
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or parts.username or re.search(r"[\x00-\x20\x7f]", text):
        raise ValueError("expected an address that begins with https://, without a user's name in it")
    return value


class Source(BaseModel):
    """A file of the project that is pushed, an address that the host fetches, or a path on the host."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    file: LocalFile | None = None
    """A file below files/ of the project, pushed over the session; in an inventory its name."""
    url: Annotated[str | Secret | None, PlainValidator(_https)] = None
    """An https address that the host fetches it from; may be a secret."""
    path: LocalPath | None = None
    """A file on the host."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(one is not None for one in (self.file, self.url, self.path)) != 1:
            raise ValueError("expected one of file (below files/), url and path (on the host)")
        return self

    @property
    def told(self) -> str:
        return f"files/{self.file.name}" if self.file else show(self.url or self.path)

    def place(self, folder: str, type: Type) -> str:
        """Where it stands on the host when it runs: under its own name, which repairs and patches of an MSI look for."""
        return self.path or f"{folder}\\{self._name() or ('setup.msi' if type == 'msi' else 'setup.exe')}"

    def _name(self) -> str:
        told = urlsplit(self.url).path if isinstance(self.url, str) else self.file.name if self.file else ""
        name = unquote(PurePosixPath(told).name)
        return name if _FILE_NAME.fullmatch(name) else ""


class Signer(BaseModel):
    """Who must have signed it (Authenticode), both names as the certificate has them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: Text
    """The certificate's subject, whole."""
    issuer: Text
    """Its issuer, whole."""


# ---------------------------------------------------------------- how it is called


@dataclass(frozen=True)
class Started:
    """A program and the line that follows it; ``{log}`` stands for where the log goes."""

    program: str
    line: str


_INNO = "/VERYSILENT /SUPPRESSMSGBOXES /NORESTART"
_MSI = '/qn /norestart REBOOT=ReallySuppress /l*v "{log}"'
SILENT: dict[Type, str] = {
    "inno": f'/SP- {_INNO} /RESTARTEXITCODE=3010 /LOG="{{log}}"',
    "nsis": "/S",
    "installshield": '/s /v"/qn REBOOT=ReallySuppress /l*v \\"{log}\\""',
    "burn": '/quiet /norestart /log "{log}"',
    "exe": "",
}
# How what they left behind is told so. What is missing has no way that all of its type take.
SILENT_REMOVAL: dict[Type, str] = {"inno": f'{_INNO} /LOG="{{log}}"', "nsis": "/S", "burn": SILENT["burn"]}


def installation(type: Type, file: str, arguments: str) -> Started:
    if type == "msi":
        return Started(MSIEXEC, f'/i "{file}" {_MSI} {arguments}'.rstrip())
    return Started(file, f"{SILENT[type]} {arguments}".strip())


def removal(type: Type, program: InstalledProgram, arguments: str) -> Started:
    """Raises ValueError with the reason where there is no silent way; `Unknown` where a snapshot left the command out."""
    if program.product_code:
        return Started(MSIEXEC, f"/x {program.product_code} {_MSI} {arguments}".rstrip())
    switches = arguments or SILENT_REMOVAL.get(type, "")
    command = program.uninstall_string if switches else program.quiet_uninstall_string
    if not command and switches:
        command = program.quiet_uninstall_string
    if not command:
        raise ValueError("its uninstall key has no silent command: give uninstall_arguments, or remove it by hand")
    if command.startswith("("):
        raise Unknown("what it is removed with is not in the snapshot")
    found = command_line.program(command)
    if not found or not re.match(r"[A-Za-z]:\\", found[0]):
        raise ValueError(f"its uninstall key names no program by its full path ({command}): remove it by hand")
    return Started(found[0], f"{found[1]} {switches}".strip())


# ---------------------------------------------------------------- what it said

MSI_CODES = {
    5: "access is denied",
    740: "it needs to be elevated",
    1223: "it was cancelled",
    1601: "the Windows Installer service could not be reached",
    1602: "it was cancelled",
    1603: "a fatal error during the installation, which its log tells",
    1605: "no such product is installed",
    1612: "what it was installed from is not there any more",
    1618: "another installation is running on the host: apply again when that has ended",
    1619: "the package could not be opened: run_as system reads no path of a user's",
    1620: "this is no valid Windows Installer package",
    1622: "its log could not be opened",
    1623: "the package does not know the host's language",
    1624: "a transform could not be applied: look at TRANSFORMS among the arguments",
    1625: "a system policy forbids it",
    1632: "the folder for temporary files is full or can't be reached",
    1633: "the package is not for this type of processor",
    1638: "another version of the product is installed: remove that one first",
    1639: "its command line is wrong: look at the arguments",
    1643: "a system policy forbids the patch",
    1644: "a system policy forbids a transform",
    1654: "it refuses to be installed on this Windows",
}
INNO_CODES = {
    1: "it could not be prepared",
    2: "it was cancelled before it began",
    3: "a fatal error before it began",
    4: "a fatal error during the installation, which its log tells",
    5: "it was cancelled, or chose to give up at a question that nobody answered",
    6: "it was ended by a debugger",
    7: "it says that it can't go on, its log tells why",
    8: "it says that Windows has to be started anew before it can go on",
}
NSIS_CODES = {1: "it was cancelled", 2: "its script gave up"}
CODES: dict[Type, dict[int, str]] = {"inno": INNO_CODES, "nsis": NSIS_CODES}
HRESULT_OF_WIN32 = 0x8007


def plain_code(exit: int) -> int:
    """An exit code, and of a failure that wraps one of Windows' own (Burn's), that one."""
    unsigned = exit & 0xFFFFFFFF
    return unsigned & 0xFFFF if unsigned >> 16 == HRESULT_OF_WIN32 else exit


def in_words(type: Type, exit: int) -> str:
    """``ended with 1603: a fatal error …``; the number alone where nobody says what it means."""
    code = plain_code(exit)
    shown = str(exit) if code == exit else f"{code} (0x{exit & 0xFFFFFFFF:08X})"
    meaning = CODES.get(type, MSI_CODES).get(code, "")
    return f"ended with {shown}" + (f": {meaning}" if meaning else "")
