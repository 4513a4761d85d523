"""What the support did on a server can be seen afterwards: audited, logged, written down where the account reads nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator

from opdeploy.inventory import Host
from opdeploy.model import Principal
from opdeploy.resources.access_rule import AccessRule
from opdeploy.resources.audit_policy import LSA, NO_LEGACY, AuditPolicy
from opdeploy.resources.base import Resource, Scope
from opdeploy.resources.desired import Because
from opdeploy.resources.directory import Directory
from opdeploy.resources.event_log import EventLog
from opdeploy.resources.registry_value import RegistryValue
from opdeploy.resources.sizes import Size
from opdeploy.resources.values import LocalPath, Text
from opdeploy.roles import Required, RoleSettings

NEEDS = ("support_account",)  # a rule names its account

ADMINISTRATORS = Principal.of_sid("S-1-5-32-544")
AUTHENTICATED_USERS = Principal.of_sid("S-1-5-11")
OWNER_RIGHTS = Principal.of_sid("S-1-3-4", "OWNER RIGHTS")

SUBCATEGORIES = (  # domain.md 5.4
    "Logon", "Logoff", "Special Logon", "Other Logon/Logoff Events", "Process Creation", "User Account Management",
    "Security Group Management", "MPSSVC Rule-Level Policy Change", "Other Object Access Events", "Security System Extension",
)  # fmt: skip
PROCESSES = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System\Audit"
POWERSHELL = r"SOFTWARE\Policies\Microsoft\Windows\PowerShell"
SHOWN = (
    "event 4688 then holds every command line with the passwords in it, for whoever reads the Security log; "
    "the support's account does"
)


def _module(name: str) -> str:
    if set(name) & set("*?[]"):
        raise ValueError(
            f"{name!r} is refused: module logging writes down what cmdlets are given, secrets too; name each module"
        )
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise ValueError(f"{name!r} is no module's name")
    return name


class Settings(RoleSettings):
    account: Text = Required("the support's account without a domain, such as op-support")
    """The account that is looked at; it can't read the transcripts."""
    transcripts: LocalPath = Required(
        r"a folder of its own for what is typed into PowerShell, such as C:\ProgramData\OP\PowerShell"
    )
    """The folder of the transcripts: everybody's PowerShell writes there, only administrators read it."""
    command_lines: bool = False
    """Whether event 4688 holds command lines. Think twice: they show passwords to whoever reads the Security log."""
    modules: tuple[Annotated[str, AfterValidator(_module)], ...] = ()
    """PowerShell modules whose calls are written down with what they were given; `*` is refused."""
    security_log: Size = Size(256 << 20)
    """How large the Security log may grow."""
    system_log: Size = Size(64 << 20)
    """How large the System log may grow."""
    powershell_log: Size = Size(128 << 20)
    """How large PowerShell's log may grow."""
    tasks_log: Size = Size(32 << 20)
    """How large the Task Scheduler's log may grow."""


def resources(settings: Settings, host: Host) -> Iterator[Resource | Scope | Because]:
    yield RegistryValue(path=LSA, name=NO_LEGACY, type="dword", data=1)
    for name in SUBCATEGORIES:
        yield AuditPolicy(subcategory=name, success=True, failure=True if name == "Logon" else None)
    shown = _dword(PROCESSES, "ProcessCreationIncludeCmdLine_Enabled", settings.command_lines)
    yield Because(shown, SHOWN) if settings.command_lines else shown
    yield from _powershell(settings)
    yield from _transcripts(settings)
    yield from _logs(settings)


def _dword(path: str, name: str, on: bool) -> RegistryValue:
    return RegistryValue(path=path, name=name, type="dword", data=int(on))


def _powershell(settings: Settings) -> Iterator[Resource]:
    yield _dword(rf"{POWERSHELL}\ScriptBlockLogging", "EnableScriptBlockLogging", True)
    yield _dword(rf"{POWERSHELL}\ModuleLogging", "EnableModuleLogging", bool(settings.modules))
    yield RegistryValue(path=rf"{POWERSHELL}\ModuleLogging\ModuleNames", name="*", absent=True)
    for module in settings.modules:
        yield RegistryValue(path=rf"{POWERSHELL}\ModuleLogging\ModuleNames", name=module, type="string", data=module)


def _transcripts(settings: Settings) -> Iterator[Resource | Scope]:
    """Whoever owns a file could open it for himself, were it not for a rule of OWNER RIGHTS. ('Security identifiers')"""
    folder = settings.transcripts
    yield Directory(path=folder, owner=ADMINISTRATORS, inherits=False, keep_inherited=False)
    written = ("Write", "ReadAttributes")
    yield AccessRule(path=folder, principal=AUTHENTICATED_USERS, rights=written, exact=True)
    yield AccessRule(path=folder, principal=OWNER_RIGHTS, rights=written, applies_to=("subfolders", "files"), exact=True)
    yield AccessRule(path=folder, principal=Principal.parse(f".\\{settings.account}"), absent=True)
    yield Scope(AccessRule, folder)
    key = rf"{POWERSHELL}\Transcription"
    yield _dword(key, "EnableTranscripting", True)
    yield _dword(key, "EnableInvocationHeader", True)
    yield RegistryValue(path=key, name="OutputDirectory", type="string", data=folder)


def _logs(settings: Settings) -> Iterator[Resource]:
    yield EventLog(log="Security", size=settings.security_log)
    yield EventLog(log="System", size=settings.system_log)
    yield EventLog(log="Microsoft-Windows-PowerShell/Operational", size=settings.powershell_log, enabled=True)
    yield EventLog(log="Microsoft-Windows-TaskScheduler/Operational", size=settings.tasks_log, enabled=True)
