"""A nightly check as systemd's: a service and its timer, written whole, told from others' by their first line.

Quoting is that of systemd.service(5), "Command lines": a word in double quotes, in it backslashes and quotes escaped and
percent signs doubled; the colon before the program keeps a dollar sign what it is. LoadCredential= takes its path as it is.

The sandbox is systemd.exec(5)'s, version 252. A user's manager passes over what it can't do (PrivateTmp=, ProtectHome=); what
would take capabilities from the unit is for the system's alone, since a user's would not start.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from opdeploy import whole_file, xdg
from opdeploy.inventory.secrets import CREDENTIALS
from opdeploy.model import OpdeployError, UsageError
from opdeploy.scheduling.nightly import PREFIX, TIME_OF_DAY, Nightly, said

RUNNING = Path("/run/systemd/system")  # sd_booted(3)
SYSTEM = Path("/etc/systemd/system")
MARK = "# Made by opdeploy drift schedule: what is to be otherwise goes into a drop-in (systemctl edit)."
MARGIN = 900  # seconds that a check may take beyond its budget, to close sessions and tell people
IDENTIFIER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}")
SANDBOX = """\
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ProtectHome=read-only
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
"""
SYSTEM_ONLY = """\
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
"""


# ---------------------------------------------------------------- the two files


def service(nightly: Nightly, system: bool) -> str:
    """The service: drift that was found (2) is no failure of it."""
    program, *arguments = nightly.arguments
    if re.search(r"[\\\"']", program):
        raise UsageError(
            f"systemd starts no program with a quote or a backslash in its path: {program}", "install it elsewhere"
        )
    command = " ".join([quoted(f":{program}"), *map(quoted, arguments)])
    network = "Wants=network-online.target\nAfter=network-online.target\n" if system else ""
    return (
        f"{MARK}\n[Unit]\nDescription=Is {_raw(str(nightly.inventory))} as it should be? (opdeploy)\n{network}\n"
        f"[Service]\nType=oneshot\nExecStart={command}\nSuccessExitStatus=2\n"
        f"TimeoutStartSec={nightly.budget + MARGIN}\n"
        + (f"User={nightly.run_as}\n" if system else "")
        + "".join(f"Environment={quoted(f'{name}={value}')}\n" for name, value in nightly.environment.items())
        + "".join(f"LoadCredential={name}:{_raw(str(path))}\n" for name, path in nightly.credentials.items())
        + f"ReadWritePaths={quoted(str(nightly.store))}\n{SANDBOX}"
        + (SYSTEM_ONLY if system else "")
    )


def timer(nightly: Nightly) -> str:
    """A night that was slept through is made up for."""
    daily = f"*-*-* {nightly.at}:00" if TIME_OF_DAY.fullmatch(nightly.at) else _raw(nightly.at)
    delay = f"RandomizedDelaySec={nightly.jitter}\n" if nightly.jitter else ""
    return (
        f"{MARK}\n[Unit]\nDescription=Every night: is {_raw(str(nightly.inventory))} as it should be? (opdeploy)\n\n"
        f"[Timer]\nOnCalendar={daily}\n{delay}Persistent=true\n\n[Install]\nWantedBy=timers.target\n"
    )


def quoted(text: str) -> str:
    """One word of a list or a command line."""
    return '"' + _raw(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _raw(text: str) -> str:
    """A value that systemd does not unquote, but takes specifiers in."""
    return text.replace("%", "%%")


# ---------------------------------------------------------------- where they are


@dataclass(frozen=True)
class Manager:
    """The system's service manager, or the user's own."""

    system: bool = False

    @property
    def folder(self) -> Path:
        return SYSTEM if self.system else xdg.config() / "systemd/user"

    def files(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}.service", self.folder / f"{name}.timer"

    def ours(self, name: str = f"{PREFIX}*") -> list[Path]:
        """The files that we wrote, of one check or of all."""
        return sorted(path for end in ("service", "timer") for path in self.folder.glob(f"{name}.{end}") if _is_ours(path))

    def enabling(self, name: str) -> list[list[str]]:
        return [self._command("daemon-reload"), self._command("enable", "--now", f"{name}.timer")]

    def install(self, nightly: Nightly) -> tuple[Path, Path]:
        """Writes both files; a file of this name that is somebody else's is left. Raises UsageError."""
        files = self.files(nightly.name)
        texts = (service(nightly, self.system), timer(nightly))
        for path in files:
            if path.exists() and not _is_ours(path):
                raise UsageError(f"{path} is there, and not made by this command", "move it away")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{self.folder}: {error.strerror}", "name --system only as root") from error
        for path, text in zip(files, texts, strict=True):
            _write(path, text)
        return files

    def remove(self, name: str) -> list[Path]:
        """Deletes what we wrote, and the link that enabled it, and stops the timer. Raises OpdeployError."""
        there = self.ours(name)
        link = self.folder / "timers.target.wants" / f"{name}.timer"
        for path in [*there, *([link] if there and link.is_symlink() else [])]:
            try:
                path.unlink()
            except OSError as error:
                raise UsageError(f"{path}: {error.strerror}", "a unit of the system is root's to delete") from error
        if there and reachable():
            said(self._command("stop", f"{name}.timer"))
            said(self._command("daemon-reload"))
        return there

    def next(self, timer: str) -> str:
        """When it runs next, as systemd says it; '' where nobody knows."""
        try:
            return said(self._command("show", timer, "--property=NextElapseUSecRealtime", "--value")).strip()
        except OpdeployError:
            return ""

    def _command(self, *arguments: str) -> list[str]:
        return ["systemctl", *(() if self.system else ("--user",)), *arguments]


def _write(path: Path, text: str) -> None:
    try:
        whole_file.write(path, text)
    except OSError as error:
        hint = "a unit of the system is root's to write"
        raise UsageError(f"{path}: the unit can't be written: {error.strerror}", hint) from error


def _is_ours(path: Path) -> bool:
    try:
        return path.read_text(encoding="utf-8", errors="replace").startswith(MARK)
    except OSError:
        return False


def running() -> bool:
    return RUNNING.is_dir()


def reachable() -> bool:
    """Whether there is a systemd to be told anything."""
    return running() and shutil.which("systemctl") is not None


# ---------------------------------------------------------------- what is asked for


def check_calendar(text: str) -> None:
    """Raises UsageError for what systemd does not take as a time, where systemd is there to say so."""
    if TIME_OF_DAY.fullmatch(text) or not shutil.which("systemd-analyze"):
        return
    try:
        said(["systemd-analyze", "calendar", "--", text])
    except OpdeployError as error:
        raise UsageError(
            f"--at {text}: {error.message}", "write 02:30, or what systemd.time(7) calls a calendar event"
        ) from error


def credentials(given: tuple[str, ...]) -> dict[str, Path]:
    """Of ``NAME:PATH``. Raises UsageError."""
    return dict(_credential(*text.partition(":")) for text in given)


def _credential(name: str, colon: str, path: str) -> tuple[str, Path]:
    if not (IDENTIFIER.fullmatch(name) and path):
        raise UsageError(
            f"--credential {name}{colon}{path}: expected NAME:PATH", "a name has letters, digits, '.', '_' and '-'"
        )
    file = Path(path).absolute()
    if not file.is_file():
        raise UsageError(f"--credential {name}: no such file: {file}", f"its content is what {{from_credential: {name}}} gives")
    if str(file) != str(file).strip() or str(file).endswith("\\"):
        raise UsageError(f"--credential {name}: systemd takes no path that ends like this: {file}", "give it another name")
    return name, file


def as_given(folder: Path, given: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """The environment of such a unit, as far as secrets go: its credentials, put into a folder."""
    for name, path in given.items():
        (folder / name).symlink_to(path)
    if given:
        yield CREDENTIALS, str(folder)
