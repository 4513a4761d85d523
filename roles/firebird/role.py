"""Firebird, OP's database engine: on the main database server, and on every station that runs OP Backup.

Names, switches and what Setup does come from Firebird's own install scripts and notes (FirebirdInstall_30.iss, the 2.5 one,
installation_scripted.txt); nothing was tried on a Windows. Setup stops with a message box beside a running server, so the
services are stopped in the installer's job. firebird.conf is written whole: 3.0 and 2.5 install none over one that is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from opdeploy.inventory import Host
from opdeploy.model import Secret
from opdeploy.resources.base import Resource
from opdeploy.resources.file import File
from opdeploy.resources.firewall_rule import ANY_OF_THEM, FirewallRule
from opdeploy.resources.manual_step import ManualStep
from opdeploy.resources.package import Package
from opdeploy.resources.service import Grant, Recovery, Service
from opdeploy.resources.values import LocalPath, ServiceName
from opdeploy.roles import GROUP, Installer, Required, RoleSettings, kept_running, wide

NEEDS = ("support_account",)  # grants may name its account

SERVER, GUARDIAN = "FirebirdServerDefaultInstance", "FirebirdGuardianDefaultInstance"
RULE = "OP-Firebird-In"
REFUSED_ARGUMENTS = {
    "force": "Setup would not look at what is installed",
    "clean": "the uninstaller would delete firebird.conf, the aliases, the log and the security database",
    "tasks": "it clears Setup's defaults: name what is wanted besides them under tasks",
    "mergetasks": "it is made of tasks and guardian",
    "dir": "folder says where it goes",
    "sysdbapassword": "it would stand there for everybody to read: sysdba_password is a secret",
}
REFUSED_TASKS = {
    "useapplicationtask": "Firebird would not run as a service, and Setup would not end",
    "useguardiantask": "guardian says so",
    "enablelegacyclientauth": "Setup would write it into firebird.conf: write AuthServer and WireCrypt under configuration",
    "useclassicservertask": "Setup would write it into firebird.conf: write ServerMode under configuration",
    "usesuperclassictask": "Setup would write it into firebird.conf: write ServerMode under configuration",
}
OF_OURS = {"remoteserviceport": "port", "remoteauxport": "event_port", "guardianoption": "guardian"}
TRY = {
    "2.5": r'"{place}\bin\gsec.exe" -user SYSDBA -password masterkey',
    "3.0": r'"{place}\isql.exe" localhost:DATABASE -user SYSDBA -password masterkey (a local connection asks for no password)',
}
NEW = {"2.5": "at GSEC>: modify SYSDBA -pw PASSWORD", "3.0": "at SQL>: ALTER USER SYSDBA PASSWORD 'PASSWORD';"}
HOW = """\
Start on the server, as administrator: {tried}
Where the password is refused, this is done. Where it lets you in, write {new}
with the password from {source}, then quit. Not on the command line: Windows may write that down.
OP's programs log on to their databases: ask OP Support first which of them have to be told.
"""
WHY = {
    "2.5": "whether Setup of 2.5 sets the password is not known; without, everybody who reaches the port reads all charts",
    "3.0": "Setup passes over the password where a security database was there before: then the old one stays",
}


def _one_line(value: str) -> str:
    if not value.strip() or re.search(r"[\x00-\x1f#]", value):
        raise ValueError("expected one line, without #")
    return value.strip()


Value = int | Annotated[str, AfterValidator(_one_line)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(RoleSettings):
    version: Literal["2.5", "3.0"] = Required("the Firebird that OP needs, as OP Support says, in quotes: '2.5' or '3.0'")
    """Which Firebird: `'2.5'` or `'3.0'`, in quotes."""
    installer: Installer = Required("the setup of that version: type inno, source, sha256, detect by its key FBDBServer_…_is1")
    """Its Setup."""
    sysdba_password: Secret = Required("the password of Firebird's owner SYSDBA: {from_env: NAME} or {from_file: PATH}")
    """The password of SYSDBA, who may do anything with every database."""
    remote_addresses: tuple[str, ...] = Required("who may connect: the practice's addresses (10.20.0.0/24); [] for nobody")
    """Who may connect from elsewhere: addresses of the practice, never any; `[]` for nobody."""
    folder: LocalPath | None = None
    r"""Where it goes; Firebird's own place where left out: `C:\Program Files\Firebird\Firebird_3_0`."""
    port: Port = 3050
    """The port that programs connect to."""
    event_port: Port = 3051
    """The port for events, which Firebird would otherwise choose anew each time."""
    configuration: dict[str, Value] = Field(default_factory=dict)
    """Further parameters of firebird.conf, by name."""
    guardian: bool = False
    """Whether Firebird's guardian watches over the server; Windows' own recovery does otherwise."""
    tasks: tuple[str, ...] = ()
    """Tasks of Setup besides its defaults, such as `CopyFbClientAsGds32Task`."""
    stops_first: tuple[ServiceName, ...] = ()
    """Services that need Firebird: stopped before its Setup runs, and started again after it."""
    start_mode: Literal["automatic", "automatic_delayed"] = "automatic"
    """How its service starts."""
    recovery: Recovery | None = None
    """What Windows does when its service fails; where left out, it is restarted."""
    grants: tuple[Grant, ...] = ()
    """Who may start and stop its services."""

    @field_validator("sysdba_password")
    @classmethod
    def _is_no_default(cls, password: Secret) -> Secret:
        if password.reveal().lower().startswith("masterke"):
            raise ValueError("begins like masterkey, which everybody knows (2.5 looks at 8 characters): choose another")
        return password

    @field_validator("remote_addresses")
    @classmethod
    def _are_the_practices(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        found = FirewallRule(name=RULE, remote_addresses=given).remote_addresses if given else ()
        if found == ANY_OF_THEM or any(map(wide, found or ())):
            raise ValueError("a database is never open to any address: name the practice's own, such as 10.20.0.0/24")
        return found or ()

    @field_validator("tasks")
    @classmethod
    def _do_not_undo_it(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        for task in tasks:
            if reason := REFUSED_TASKS.get(task.lower().rpartition("\\")[2]):
                raise ValueError(f"{task}: {reason}")
            if not re.fullmatch(r"!?[A-Za-z0-9_\\]+", task):
                raise ValueError(f"{task!r} is no task of Setup")
        return tasks

    @field_validator("configuration")
    @classmethod
    def _is_not_said_elsewhere(cls, given: dict[str, Value]) -> dict[str, Value]:
        for name in given:
            if name.lower() in OF_OURS:
                raise ValueError(f"{name}: {OF_OURS[name.lower()]} says it; take it out")
            if not re.fullmatch("[A-Za-z0-9]+", name):
                raise ValueError(f"{name!r} is no parameter of firebird.conf")
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.port == self.event_port:
            raise ValueError(f"port and event_port are both {self.port}: events need a port of their own")
        for switch in re.findall(r"/(\w+)", f"{self.installer.arguments} {self.installer.uninstall_arguments}"):
            if reason := REFUSED_ARGUMENTS.get(switch.lower()):
                raise ValueError(f"installer: /{switch.upper()} is refused: {reason}")
        self._check_version(self.installer.detect.key or "", self.installer.version or "")
        return self

    def _check_version(self, key: str, version: str) -> None:
        if self.installer.type != "inno":
            raise ValueError("installer: Firebird's Setup is of type inno")
        if key.startswith("FBDBServer_") and not key.startswith(f"FBDBServer_{self._numbers}_"):
            raise ValueError(f"installer: {key} is not the uninstall key of Firebird {self.version}")
        if version and not version.removeprefix("at least ").startswith(f"{self.version}."):
            raise ValueError(f"installer: version {version} is none of Firebird {self.version}")

    @property
    def _numbers(self) -> str:
        return self.version.replace(".", "_")

    @property
    def place(self) -> str:
        return self.folder or rf"C:\Program Files\Firebird\Firebird_{self._numbers}"

    @property
    def program(self) -> str:
        return {"2.5": rf"{self.place}\bin\fbserver.exe", "3.0": rf"{self.place}\firebird.exe"}[self.version]

    @property
    def configuration_file(self) -> str:
        return rf"{self.place}\firebird.conf"

    @property
    def watched(self) -> str:
        """The service that Windows starts; the guardian starts the server itself."""
        return GUARDIAN if self.guardian else SERVER


def resources(firebird: Settings, host: Host) -> Iterator[Resource]:
    yield _package(firebird)
    yield File.model_validate(
        {"path": firebird.configuration_file, "content": _configuration(firebird), "restarts": (firebird.watched,)}
    )
    yield from _services(firebird)
    if firebird.remote_addresses:
        yield _rule(firebird)
    yield _password_step(firebird)


def _package(firebird: Settings) -> Package:
    secret = {"sysdba": firebird.sysdba_password} if firebird.version == "3.0" else {}
    return firebird.installer.package(
        f"Firebird {firebird.version}",
        arguments=" ".join(filter(None, (*_arguments(firebird), firebird.installer.arguments))),
        secrets={**firebird.installer.secrets, **secret},
        provides_services=(SERVER, *([GUARDIAN] if firebird.guardian else [])),
        provides_paths=(firebird.place, firebird.program, firebird.configuration_file),
        stops_services=(*firebird.stops_first, GUARDIAN, SERVER),
    )


def _arguments(firebird: Settings) -> Iterator[str]:
    """2.5 installs its guardian unless told otherwise, 3.0 only when asked; `!` unticks a task (Inno Setup's manual)."""
    of_guardian = {
        ("2.5", False): ("!UseGuardianTask",),
        ("3.0", True): (r"UseSuperServerTask\UseGuardianTask",),
    }.get((firebird.version, firebird.guardian), ())
    yield f'/DIR="{firebird.place}"'
    if tasks := (*of_guardian, *firebird.tasks):
        yield f'/MERGETASKS="{",".join(tasks)}"'
    if firebird.version == "3.0":
        yield '"/SYSDBAPASSWORD={sysdba}"'


def _configuration(firebird: Settings) -> str:
    """Some Setups write GuardianOption into the file where the guardian is not wanted; so it stands there already."""
    lines = {"RemoteServicePort": firebird.port, "RemoteAuxPort": firebird.event_port}
    without = {} if firebird.guardian else {"GuardianOption": 0}
    told = "".join(f"{name} = {value}\n" for name, value in {**lines, **without, **firebird.configuration}.items())
    return f"# Made by opdeploy, role firebird. What does not stand here is as Firebird has it by itself.\n{told}"


def _services(firebird: Settings) -> Iterator[Service]:
    grants = {"grants": firebird.grants} if firebird.grants else {}
    watched = {"name": firebird.watched, "start_mode": firebird.start_mode, **grants}
    recovery = {"recovery": firebird.recovery} if firebird.recovery else {}
    yield kept_running(Service.model_validate(watched | recovery))
    if firebird.guardian:
        yield Service.model_validate({"name": SERVER, "state": "running", **grants})


def _rule(firebird: Settings) -> FirewallRule:
    return FirewallRule(
        name=RULE,
        group=GROUP,
        display_name="OP Firebird",
        description="Firebird's port and its fixed port for events",
        direction="inbound",
        action="allow",
        enabled=True,
        protocol="TCP",
        local_ports=(str(firebird.port), str(firebird.event_port)),
        remote_addresses=firebird.remote_addresses,
    )


def _password_step(firebird: Settings) -> ManualStep:
    return ManualStep(
        id="firebird-sysdba-password",
        title=f"See that SYSDBA of Firebird {firebird.version} has its own password",
        who="the practice's IT, with OP Support",
        how=HOW.format(
            tried=TRY[firebird.version].format(place=firebird.place),
            new=NEW[firebird.version],
            source=firebird.sysdba_password.source,
        ),
        why=WHY[firebird.version],
    )
