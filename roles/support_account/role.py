"""The account that a vendor's support works with: no administrator unless the inventory says so and why, only what it needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from opdeploy.formats.powershell import literal
from opdeploy.inventory import Host
from opdeploy.model import Principal, Secret
from opdeploy.resources.access_rule import AccessRule
from opdeploy.resources.base import Resource, Scope
from opdeploy.resources.desired import Because
from opdeploy.resources.directory import Directory
from opdeploy.resources.group_members import GroupMembers
from opdeploy.resources.jea_endpoint import JeaEndpoint
from opdeploy.resources.jea_parts import Cmdlet, Function, Line, Parameter
from opdeploy.resources.local_user import Instant, LocalUser
from opdeploy.resources.service import Grant, Service
from opdeploy.resources.user_right import UserRight
from opdeploy.resources.values import LocalPath
from opdeploy.roles import Required, RoleSettings, wide

ADMINISTRATORS = Principal.of_sid("S-1-5-32-544")
REMOTE_DESKTOP_USERS = Principal.of_sid("S-1-5-32-555")
EVENT_LOG_READERS = Principal.of_sid("S-1-5-32-573")

# Groups of Windows' own whose members can make themselves SYSTEM, or read everything (domain.md 5.1, Microsoft's pages of them)
POWERFUL = {
    f"S-1-5-32-{number}": name
    for number, name in {
        547: "Power Users", 548: "Account Operators", 549: "Server Operators", 550: "Print Operators", 551: "Backup Operators",
        552: "Replicator", 556: "Network Configuration Operators", 569: "Cryptographic Operators",
        578: "Hyper-V Administrators", 582: "Storage Replica Administrators",
    }.items()
}  # fmt: skip
# What else begins with Se…Privilege lets its holder be SYSTEM, read everything, or change what was logged and when.
HARMLESS = (
    "sechangenotifyprivilege", "seincreaseworkingsetprivilege", "seremoteshutdownprivilege", "seshutdownprivilege",
    "setimezoneprivilege", "seundockprivilege",
)  # fmt: skip
WATCHMEN = ("bfe", "eventlog", "mpssvc", "sense", "windefend", "winrm")
WINDOWS = (r"C:\Windows", r"C:\Program Files", r"C:\Program Files (x86)", r"C:\ProgramData\Microsoft")
ESSENTIAL = (
    "csrss", "lsaiso", "lsass", "lsm", "msmpeng", "powershell", "services", "smss", "svchost", "system", "wininit", "winlogon",
    "winrshost", "wsmprovhost",
)  # fmt: skip
CHANGING = ("Write", "Delete", "DeleteSubdirectoriesAndFiles", "ChangePermissions", "TakeOwnership")

# ---------------------------------------------------------------- the endpoint's functions: fixed texts

NAMED = r"""param([Parameter(Mandatory = $true)][ValidatePattern('\A[^\\/:*?"<>|\[\]]{1,100}\z')][string]$Name)"""
CHECKED = """$rule = Get-NetFirewallRule -Name $Name -ErrorAction Stop
if ($rule.Group -cne 'OP') { throw "$Name is no rule of the group OP" }
"""
OF_THE_GROUP = f"{NAMED}\n{CHECKED}"
OPENED = """param(
    [Parameter(Mandatory = $true)][ValidatePattern('\\AOP-[A-Za-z0-9-]{1,60}\\z')][string]$Name,
    [Parameter(Mandatory = $true)][ValidateSet('TCP', 'UDP')][string]$Protocol,
    [Parameter(Mandatory = $true)][ValidateRange(1, 65535)][int[]]$Port,
    [Parameter(Mandatory = $true)][ValidateSet(@@FROM@@)][string[]]$From
)
"""
WITH = "-Direction Inbound -Action Allow -Protocol $Protocol -LocalPort $Port -RemoteAddress $From -ErrorAction Stop"

TASKS = {
    "Get-OPTask": r"""Get-ScheduledTask -TaskPath '\OP\' | Get-ScheduledTaskInfo |
    Microsoft.PowerShell.Utility\Select-Object TaskName, LastRunTime, LastTaskResult, NextRunTime""",
    "Start-OPTask": NAMED + "\nStart-ScheduledTask -TaskPath '\\OP\\' -TaskName $Name -ErrorAction Stop",
    "Stop-OPTask": NAMED + "\nStop-ScheduledTask -TaskPath '\\OP\\' -TaskName $Name -ErrorAction Stop",
    "Enable-OPTask": NAMED + "\n[void](Enable-ScheduledTask -TaskPath '\\OP\\' -TaskName $Name -ErrorAction Stop)",
    "Disable-OPTask": NAMED + "\n[void](Disable-ScheduledTask -TaskPath '\\OP\\' -TaskName $Name -ErrorAction Stop)",
    "Set-OPTaskTime": r"""param(
    [Parameter(Mandatory = $true)][ValidatePattern('\A[^\\/:*?"<>|\[\]]{1,100}\z')][string]$Name,
    [Parameter(Mandatory = $true)][ValidatePattern('\A([01][0-9]|2[0-3]):[0-5][0-9]\z')][string]$At
)
$daily = New-ScheduledTaskTrigger -Daily -At $At
[void](Set-ScheduledTask -TaskPath '\OP\' -TaskName $Name -Trigger $daily -ErrorAction Stop)""",
}
SESSIONS = {
    "Stop-OPSession": r"""param([Parameter(Mandatory = $true)][ValidateRange(1, 65535)][int]$Id)
& ([System.IO.Path]::Combine([Environment]::SystemDirectory, 'logoff.exe')) $Id""",
}
RULES = {
    "Get-OPFirewallRule": r"""Get-NetFirewallRule -Group 'OP' |
    Microsoft.PowerShell.Utility\Select-Object Name, DisplayName, Enabled, Direction, Action""",
    "New-OPFirewallRule": f"{OPENED}[void](New-NetFirewallRule -Name $Name -DisplayName $Name -Group 'OP' {WITH})",
    "Set-OPFirewallRule": f"{OPENED}{CHECKED}Set-NetFirewallRule -Name $Name {WITH}",
    "Enable-OPFirewallRule": OF_THE_GROUP + "$rule | Enable-NetFirewallRule",
    "Disable-OPFirewallRule": OF_THE_GROUP + "$rule | Disable-NetFirewallRule",
    "Remove-OPFirewallRule": OF_THE_GROUP + "$rule | Remove-NetFirewallRule",
}
# The file is held open from its hash to its end, so that nobody puts another in its place.
INSTALL = r"""param([Parameter(Mandatory = $true)][ValidateSet(@@IDS@@)][string]$Id)
$ErrorActionPreference = 'Stop'
$packages = @{
@@PACKAGES@@
}
$package = $packages[$Id]
$file = [System.IO.File]::Open($package.Path, 'Open', 'Read', 'Read')
try {
    $hash = [BitConverter]::ToString([System.Security.Cryptography.SHA256]::Create().ComputeHash($file)).Replace('-', '')
    if ($hash -ne $package.Sha256) { throw "$Id is not the file that was allowed: its SHA-256 is $hash" }
    $start = New-Object System.Diagnostics.ProcessStartInfo $package.Program, $package.Line
    $start.UseShellExecute = $false
    $process = [System.Diagnostics.Process]::Start($start)
    $process.WaitForExit()
    "$Id ended with $($process.ExitCode)"
}
finally { $file.Dispose() }"""


# ---------------------------------------------------------------- settings


def _like(pattern: str, expected: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"{text!r}: expected {expected}")
        return text

    return AfterValidator(check)


def _process(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_. -]*", name) or name.lower().endswith(".exe"):
        raise ValueError(f"{name!r}: expected a process as Get-Process shows it, without .exe")
    if name.lower() in ESSENTIAL:
        raise ValueError(f"{name} is refused: Windows, or this very session, ends with it")
    return name


def _network(text: str) -> str:
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r}: expected a network or address of the practice, such as 10.20.0.0/24") from None
    if wide(str(network)):
        raise ValueError(f"{text} is wider than a network of one's own can be: name the practice's")
    return text


def _service(name: str) -> str:
    if name.lower() in WATCHMEN:
        raise ValueError(f"{name} is refused: it is none of OP's, and without it nothing is guarded, or nothing is seen")
    return name


Id = Annotated[str, _like(r"[a-z0-9]+(-[a-z0-9]+)*", "lower-case words with dashes")]


class AllowedPackage(RoleSettings):
    """An installer that the support may start. It lies in the folder `installers`, and only with this hash it is started."""

    file: Annotated[str, _like(r"[^\\/:*?\"<>|\x00-\x1f]+\.(exe|msi)", "the name of an .exe or .msi, without a folder")] = (
        Required("the installer's file name in the folder installers")
    )
    """Its file name in the folder `installers`."""
    sha256: Annotated[str, _like(r"[0-9a-fA-F]{64}", "64 hexadecimal digits")] = Required(
        "of the very file: Get-FileHash tells it"
    )
    """Its SHA-256."""
    arguments: Line = ""
    """What it is started with, such as its silent switch; the support can't change it."""

    @model_validator(mode="after")
    def _asks_nobody(self) -> Self:
        """There is no screen in an endpoint, and whoever waits for it waits for ever."""
        if self.file.lower().endswith(".msi") and not re.search(
            r"(?i)(^|\s)[/-](q[nb]?|quiet|passive)(?![a-z])", self.arguments
        ):
            raise ValueError(f"{self.file} would wait for somebody to click: give it arguments, such as /qn /norestart")
        return self


class Endpoint(RoleSettings):
    """What the support does as an administrator, and nothing else: a JEA endpoint."""

    name: str = "OP-Support"
    """What the support names to connect: `Enter-PSSession -ConfigurationName OP-Support`."""
    transcripts: LocalPath = Required(r"a folder that nobody but administrators reads, such as C:\ProgramData\OP\transcripts")
    """The folder in which everything that is done there is written down; made, and closed to all but administrators."""
    installers: LocalPath | None = None
    """The folder of the installers; made, and closed to all but administrators. Your IT puts the files there."""
    packages: dict[Id, AllowedPackage] = Field(default_factory=dict)
    """The installers that may be started, by a name for each: `Install-OPPackage NAME`."""
    processes: tuple[Annotated[str, AfterValidator(_process)], ...] = ()
    """Processes that may be ended, by name, without .exe."""
    firewall_from: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    """The networks that the support may open ports to, in rules of the group OP; without any it may open none."""

    @model_validator(mode="after")
    def _packages_lie_somewhere(self) -> Self:
        if bool(self.packages) != (self.installers is not None):
            raise ValueError("installers is the folder of packages: give both or neither")
        return self


class Settings(RoleSettings):
    name: str = Required("the account's name without a domain, such as op-support")
    """The account's name."""
    password: Secret = Required("each host its own: {from_env: NAME} or {from_file: PATH}")
    """Each host its own: `{from_env: NAME}` or `{from_file: PATH}`."""
    full_name: str | None = None
    """Whose it is, in words."""
    description: str | None = None
    """What it is for."""
    enabled: bool = True
    """Whether anybody can log on with it."""
    password_never_expires: bool = True
    """The inventory changes it, not Windows."""
    user_may_not_change_password: bool = True
    """Only an administrator can."""
    account_expires: Literal["never"] | Instant | None = None
    """A date, or `never`."""
    profile: Literal["least_privilege", "administrator"] = "least_privilege"
    """What it is on the host."""
    reason: str = ""
    """Why it is an administrator; told in every plan and report."""
    groups: tuple[Principal, ...] = (REMOTE_DESKTOP_USERS, EVENT_LOG_READERS)
    """Its groups, by SID or English name; it is in no other of Windows' own."""
    rights: tuple[str, ...] = ("SeBatchLogonRight",)
    """Its user rights; it has no other of its own."""
    services: tuple[Annotated[str, AfterValidator(_service)], ...] = ()
    """OP's services, by short name: it may query, start and stop them, and nothing else."""
    data_folders: tuple[LocalPath, ...] = ()
    """Folders of OP's in which it may change anything (Modify)."""
    program_folders: tuple[LocalPath, ...] = ()
    """Folders with programs that run as a service or as SYSTEM: it reads and starts what is there, and is denied to change it,
    whatever Users may."""
    endpoint: Endpoint | None = None
    """The JEA endpoint; without it there is none."""

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        administrator = self.profile == "administrator"
        if ADMINISTRATORS.sid in map(_sid, self.groups):
            raise ValueError("Administrators is no group to name: write profile: administrator, and the reason for it")
        if administrator and not self.reason.strip():
            raise ValueError("an administrator needs a written reason: it is told in every plan and report")
        if administrator and self.endpoint:
            raise ValueError("an endpoint bounds nobody who is an administrator already: take one of them out")
        if self.reason and not administrator:
            raise ValueError("reason says why the account is an administrator; with profile: least_privilege leave it out")
        return self

    @model_validator(mode="after")
    def _is_no_wider(self) -> Self:
        if self.profile == "administrator":
            return self
        instead = "write profile: administrator and the reason, if that is meant"
        if powerful := [POWERFUL[sid] for sid in map(_sid, self.groups) if sid in POWERFUL]:
            raise ValueError(f"{powerful[0]} is refused: who is in it can do what an administrator can; {instead}")
        privileges = [right for right in self.rights if right.lower().endswith("privilege")]
        if strong := [right for right in privileges if right.lower() not in HARMLESS]:
            raise ValueError(f"{strong[0]} is refused: it leads to SYSTEM, to all that is there, or to false logs; {instead}")
        return self

    @model_validator(mode="after")
    def _no_program_in_its_hands(self) -> Self:
        kept = [self.endpoint.transcripts, self.endpoint.installers] if self.endpoint else []
        for folder in self.data_folders:
            for program in (*self.program_folders, *filter(None, kept)):
                if _within(program, folder):
                    raise ValueError(
                        f"{program} lies in the data folder {folder}: with Modify there the account makes itself SYSTEM"
                    )
            for own in WINDOWS:
                if _within(own, folder) or _within(folder, own):
                    raise ValueError(f"{folder} is no data folder: Windows' own programs are in {own}")
        return self


def _sid(group: Principal) -> str:
    """Also of one that is written as if it were a group of the host's own, `.\\Administrators`."""
    return group.sid or Principal.parse(group.name.removeprefix(".\\")).sid


def _within(path: str, folder: str) -> bool:
    return f"{path}\\".lower().startswith(folder.rstrip("\\").lower() + "\\")


# ---------------------------------------------------------------- resources


def resources(account: Settings, host: Host) -> Iterator[Resource | Scope | Because]:
    yield LocalUser(
        name=account.name,
        password=account.password,
        full_name=account.full_name,
        description=account.description,
        enabled=account.enabled,
        password_never_expires=account.password_never_expires,
        user_may_not_change_password=account.user_may_not_change_password,
        account_expires=account.account_expires,
    )
    itself = Principal.parse(f".\\{account.name}")
    yield from _memberships(account, itself)
    for right in account.rights:
        yield UserRight(right=right, principals=(itself,))
    yield Scope(UserRight, itself.name)
    for service in account.services:
        yield Service(name=service, grants=(Grant(principal=itself, rights=("query", "start", "stop")),), exact=True)
    yield from _folders(account, itself)
    if account.endpoint:
        yield from _endpoint(account.endpoint, account.services, itself)


def _folders(account: Settings, itself: Principal) -> Iterator[Resource]:
    """Below a drive Users may add files, as Windows has it: a DLL beside a service's program. So that is denied to it.

    A deny from above does not take what a data folder inside allows by an entry of its own. [MS-DTYP 2.5.3.2]
    """
    bounded = account.profile == "least_privilege"
    for path in account.data_folders:
        yield AccessRule(path=path, principal=itself, rights="Modify", exact=True, no_programs=bounded)
    for path in account.program_folders:
        yield AccessRule(path=path, principal=itself, rights="ReadAndExecute", exact=True)
        if bounded:
            yield AccessRule(path=path, principal=itself, type="deny", rights=CHANGING, exact=True)


def _memberships(account: Settings, itself: Principal) -> Iterator[Resource | Scope | Because]:
    for group in account.groups:
        yield GroupMembers(group=group, members=(itself,))
    if account.profile == "administrator":
        yield Because(GroupMembers(group=ADMINISTRATORS, members=(itself,)), f"an administrator, because: {account.reason}")
    else:
        yield GroupMembers(group=ADMINISTRATORS, members=(itself,), absent=True)
    yield Scope(GroupMembers, itself.name)


def _endpoint(endpoint: Endpoint, services: tuple[str, ...], itself: Principal) -> Iterator[Resource | Scope]:
    """Both folders are ours whole: who may add a DLL beside an installer is an administrator once it is started."""
    for folder in filter(None, (endpoint.transcripts, endpoint.installers)):
        yield Directory(path=folder, owner=ADMINISTRATORS, inherits=False, keep_inherited=False)
        yield Scope(AccessRule, folder)
    yield JeaEndpoint(
        name=endpoint.name,
        allowed=(itself,),
        cmdlets=tuple(_cmdlets(endpoint, services)),
        functions=tuple(Function(name=name, content=text) for name, text in _functions(endpoint).items()),
        modules=("ScheduledTasks", *(("NetSecurity",) if endpoint.firewall_from else ())),
        programs=(r"C:\Windows\System32\quser.exe",),
        transcripts=endpoint.transcripts,
    )


def _cmdlets(endpoint: Endpoint, services: tuple[str, ...]) -> Iterator[Cmdlet]:
    yield Cmdlet(name="Get-Service")
    if services:
        named = (Parameter(name="Name", values=services),)
        yield from (Cmdlet(name=f"{verb}-Service", parameters=named) for verb in ("Start", "Stop", "Restart"))
    if endpoint.processes:
        ended = (Parameter(name="Name", values=endpoint.processes), Parameter(name="Force"))
        yield Cmdlet(name="Stop-Process", parameters=ended)


def _functions(endpoint: Endpoint) -> dict[str, str]:
    rules = {name: text.replace("@@FROM@@", _listed(endpoint.firewall_from)) for name, text in RULES.items()}
    return TASKS | SESSIONS | (rules if endpoint.firewall_from else {}) | _install(endpoint)


def _install(endpoint: Endpoint) -> dict[str, str]:
    if not endpoint.packages:
        return {}
    table = "\n".join(_entry(id, package, endpoint.installers or "") for id, package in endpoint.packages.items())
    return {"Install-OPPackage": INSTALL.replace("@@IDS@@", _listed(endpoint.packages)).replace("@@PACKAGES@@", table)}


def _entry(id: str, package: AllowedPackage, folder: str) -> str:
    path = f"{folder}\\{package.file}"
    program, line = path, package.arguments
    if path.lower().endswith(".msi"):
        program, line = r"C:\Windows\System32\msiexec.exe", f'/i "{path}" {package.arguments}'.strip()
    told = {"Path": path, "Sha256": package.sha256.upper(), "Program": program, "Line": line}
    return f"    {literal(id)} = @{{ {'; '.join(f'{name} = {literal(value)}' for name, value in told.items())} }}"


def _listed(words: tuple[str, ...] | dict[str, AllowedPackage]) -> str:
    return ", ".join(map(literal, words))
