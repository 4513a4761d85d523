"""A JEA endpoint: who may connect, what they may do there as a virtual account, where it is written down.

Three files in a module's folder (its manifest, the role capability, the session configuration), and the registration with
WinRM. The files are compared as data and byte by byte; of the registration, what WinRM keeps of it in the registry: it holds
the path of a copy of the session configuration, made when it was registered, and the list of those who may connect.

Registering must not end the session that does it. By PowerShell 5.1's source (decompiled; 7's says the same of the first),
`-NoServiceRestart` is not enough: `-Force` restarts WinRM when a first try to connect fails, as it does until WinRM was
restarted, and the list that is made from the role definitions is set by a call that restarts it too. So the list is given
ready made, as SDDL, without `-Force`, and what was registered before is taken away by a call of its own. It is in effect once
WinRM is restarted: the run's last step. Not verified on a Windows: that a role capability takes a function's text as a string,
as PowerShell's source does.

What a function calls has to be loaded before: a session that limits what is visible sets `$PSModuleAutoLoadingPreference` to
None (PowerShell's InitialSessionStateProvider.cs; github.com/PowerShell/JEA/issues/42). PowerShell's own core is there.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, ValidationError, ValidationInfo, model_validator

from opdeploy.calls import (
    Write,
    cmdlet_write,
    file_discard,
    file_read,
    file_stat,
    name_resolve,
    registry_read,
    sid_resolve,
)
from opdeploy.formats import powershell_data, wsman_plugin
from opdeploy.model import Change, Machine, Missing, Principal, Unknown
from opdeploy.resources.base import KEY, RESTART_WINRM, Answers, Comparator, Reads, Resource, account_token, path_token
from opdeploy.resources.file import File, encoded
from opdeploy.resources.jea_parts import Cmdlet, Function, Module, Parameter, Program
from opdeploy.resources.values import LocalPath, observed

MODULES = r"C:\Program Files\WindowsPowerShell\Modules"
PLUGINS = r"SOFTWARE\Microsoft\Windows\CurrentVersion\WSMAN\Plugin"
LENGTH = 256 * 1024  # bytes of a file of ours, at most
AS_WRITTEN, OF_THESE = "as written here", "of these files"
_LOCAL = re.compile(r"[A-Za-z]:\\")
_IDS = uuid.UUID("6f1c4c5e-6c39-4a6e-9d4e-0f6d2a4b7c11")
EVERYBODY = {
    "S-1-1-0", "S-1-5-2", "S-1-5-4", "S-1-5-7", "S-1-5-11", "S-1-5-32-545", "S-1-5-32-546",
}  # fmt: skip
CONTROLLER = "the virtual account would be a Domain Admin on a domain controller: no such endpoint there"

VISIBLE = ("cmdlets", "functions", "modules", "programs")
LISTED = Comparator(same=lambda one, other: set(one) == set(other), nothing=())


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]{0,63}", text) or text.endswith("."):
        raise ValueError(f"{text!r} is no endpoint's name: a letter, then letters, digits and . _ -")
    if text.lower().startswith(("microsoft.", "powershell.")):
        raise ValueError(f"{text} is one of PowerShell's own endpoints: it is not managed here")
    return text


class JeaEndpoint(Resource):
    KIND = "jea_endpoint"
    EXAMPLE = r"""
        - name: OP-Support
          allowed: ['.\op-support']
          cmdlets:
            - { name: Get-Service }
            - { name: Restart-Service, parameters: [{ name: Name, values: [OPMsg] }] }
          programs: ['C:\Windows\System32\quser.exe']
          transcripts: 'C:\ProgramData\OP\transcripts'
    """
    ABSENT_WHEN: ClassVar[tuple[str, ...]] = ("FileNotFoundException", "DirectoryNotFoundException")

    name: Annotated[str, AfterValidator(_name), KEY]
    """What `Enter-PSSession -ConfigurationName` is given."""
    allowed: Annotated[tuple[Principal, ...], LISTED] = ()
    """Who may use it; nobody else."""
    cmdlets: Annotated[tuple[Cmdlet, ...], LISTED] = ()
    """Cmdlets that are there in it."""
    functions: Annotated[tuple[Function, ...], LISTED] = ()
    """Functions of ours that are there in it."""
    modules: Annotated[tuple[Module, ...], LISTED] = ()
    """Modules whose cmdlets its functions call: nothing is loaded by itself in it, and none of them is visible there."""
    programs: Annotated[tuple[Program, ...], LISTED] = ()
    """Programs that may be run in it, by full path."""
    transcripts: LocalPath | None = None
    """The folder in which Windows writes down each session."""
    files: Annotated[str, Comparator(nothing=AS_WRITTEN)] = AS_WRITTEN
    """Its three files, byte by byte."""
    registration: Annotated[str, Comparator(nothing=OF_THESE)] = OF_THESE
    """Whether it is registered from them."""

    @model_validator(mode="after")
    def _sensible(self, info: ValidationInfo) -> Self:
        if observed(info) or self.absent:
            return self
        if (self.files, self.registration) != (AS_WRITTEN, OF_THESE):
            raise ValueError("files and registration say what a host has: leave them out")
        if not self.allowed or not (self.cmdlets or self.functions or self.programs):
            raise ValueError("an endpoint needs somebody in allowed, and cmdlets, functions or programs that they may use")
        if wide := next((who for who in self.allowed if who.sid in EVERYBODY), None):
            raise ValueError(f"{wide} is next to everybody: name an account or a group that is made for it")
        if self.transcripts is None:
            raise ValueError("transcripts is missing: the folder in which all that is done there is written down")
        names = [
            name.rpartition("\\")[2].lower() for name in (*[c.name for c in self.cmdlets], *[f.name for f in self.functions])
        ]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"{twice} is named twice: put all its parameters into one entry")
        if len(self._contents[self.paths.capability]) > LENGTH:
            raise ValueError(f"its functions are too long: the role capability may have {LENGTH // 1024} KB")
        return self

    def refusal(self, machine: Machine) -> str:
        return CONTROLLER if machine.domain_controller else ""

    def provides(self) -> frozenset[str]:
        return frozenset({f"endpoint:{self.name.lower()}"})

    def needs(self) -> frozenset[str]:
        return super().needs() | ({path_token(self.transcripts)} if self.transcripts else set())

    @property
    def paths(self) -> Paths:
        return Paths(self.name)

    # ------------------------------------------------------------ the files

    @property
    def _contents(self) -> dict[str, bytes]:
        """The two that hang on nothing of the host's."""
        paths = self.paths
        return {paths.manifest: _bytes(self._manifest()), paths.capability: _bytes(self._capability())}

    def _manifest(self) -> dict[str, Any]:
        return {"ModuleVersion": "1.0", "GUID": self._id("psd1"), "Description": f"JEA endpoint {self.name}, by opdeploy"}

    def _capability(self) -> dict[str, Any]:
        return {
            "GUID": self._id("psrc"),
            "VisibleCmdlets": [_visible(cmdlet) for cmdlet in self.cmdlets],
            **({"ModulesToImport": list(self.modules)} if self.modules else {}),
            "VisibleFunctions": [function.name for function in self.functions],
            "VisibleExternalCommands": list(self.programs),
            "FunctionDefinitions": [{"Name": one.name, "ScriptBlock": one.body} for one in self.functions],
        }

    def _configuration(self, names: list[str]) -> bytes:
        """Role definitions go by name: PowerShell asks Windows whether who connects is in a role of that name."""
        return _bytes(
            {
                "SchemaVersion": "2.0.0.0",
                "GUID": self._id("pssc"),
                "SessionType": "RestrictedRemoteServer",
                "RunAsVirtualAccount": True,
                "TranscriptDirectory": self.transcripts or "",
                "RoleDefinitions": {name: {"RoleCapabilities": [self.name]} for name in names},
            }
        )

    def _id(self, which: str) -> str:
        return str(uuid.uuid5(_IDS, f"{self.name.lower()}.{which}"))

    # ------------------------------------------------------------ reading

    def reads(self) -> Reads:
        paths = self.paths
        return {
            "manifest": file_read(paths.manifest, length=LENGTH),
            "capability": file_read(paths.capability, length=LENGTH),
            "configuration": file_read(paths.configuration, length=LENGTH),
            "folder": file_stat(paths.folder),
            "capabilities": file_stat(paths.capabilities),
            "plugin": registry_read(f"{PLUGINS}\\{self.name}", values=["ConfigXML"]),
            **{f"sid {who.name}": sid_resolve(who.name) for who in self.allowed if not who.sid},
        }

    def then_reads(self, answers: Answers) -> Reads:
        found, plugin = Found(self, answers), _plugin(answers)
        copy = {"copy": file_stat(plugin.file, hash=True)} if plugin and _LOCAL.match(plugin.file) else {}
        sids = [who.sid or getattr(answers, f"sid {who.name}")["sid"] for who in self.allowed]
        names = {f"name {sid.upper()}": name_resolve(sid.upper()) for sid in sids if sid}
        return {**copy, **names, **{f"role {name}": sid_resolve(name) for name in found.roles}}

    def actual(self, answers: Answers) -> Self | None:
        found, plugin = Found(self, answers), _plugin(answers)
        if not (plugin or answers.folder):
            return None
        return self.observed(
            name=self.name,
            allowed=found.allowed(answers),
            transcripts=found.transcripts,
            files=found.state(self),
            registration=_registration(plugin, found, answers),
            **found.visible,
        )

    def note(self, change: Change[Any], answers: Answers) -> str:
        if change.action != "create":
            return ""
        return "WinRM then runs in a process of its own as LocalSystem, and goes on so when the endpoint is removed"

    def words(self, change: Change[Any], answers: Answers) -> list[str]:
        """What its functions say, line by line: whoever signs a plan has to read what they let people do."""
        if not change.touches("functions") or self.absent:
            return []
        before = {one.name: one.body for one in (change.actual.functions if change.actual else ())}
        return [line for one in self.functions for line in _lines(one, before.get(one.name, ""))]

    def afterwards(self, change: Change[Any]) -> frozenset[str]:
        return frozenset({RESTART_WINRM}) if change.action == "remove" or self._registers(change) else frozenset()

    def _registers(self, change: Change[Any]) -> bool:
        """A role capability is read when somebody connects, a session configuration when it is registered."""
        before = change.properties["files"].before if change.touches("files") and change.actual else ""
        touched = change.touches("allowed", "transcripts", "registration") or ".pssc" in str(before)
        return change.action == "create" or (change.action == "update" and touched)

    # ------------------------------------------------------------ writing

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        if change.action == "remove":
            yield from self._removed(answers)
            return
        contents = {**self._contents, self.paths.configuration: self._configuration(self._names(answers))}
        found = Found(self, answers).bytes
        if not answers.capabilities:
            yield cmdlet_write("New-Item", ItemType="Directory", Path=self.paths.capabilities)
        for path, content in contents.items():
            if content != found[path]:
                yield from File(path=path, content=content).arriving()
        if self._registers(change):
            yield from self._unregistered(answers)
            yield cmdlet_write(
                "Register-PSSessionConfiguration",
                Name=self.name,
                Path=self.paths.configuration,
                SecurityDescriptorSddl=wsman_plugin.access_list([who.sid for who in self.allowed]),
                NoServiceRestart=True,
            )

    def _unregistered(self, answers: Answers) -> Iterator[Write]:
        if _plugin(answers):
            yield cmdlet_write("Unregister-PSSessionConfiguration", Name=self.name, NoServiceRestart=True, Force=True)

    def _removed(self, answers: Answers) -> Iterator[Write]:
        """What a cut run left beside a file goes too: a folder is only removed when nothing is in it."""
        yield from self._unregistered(answers)
        paths, found = self.paths, Found(self, answers).bytes
        inside = ((paths.capabilities, answers.capabilities, [paths.capability]),
                  (paths.folder, answers.folder, [paths.manifest, paths.configuration]))  # fmt: skip
        for folder, there, files in inside:
            for path in files if there else ():
                yield file_discard(path)
                if found[path] is not None:
                    yield cmdlet_write("Remove-Item", LiteralPath=path)
            if there:
                yield cmdlet_write("Remove-Item", LiteralPath=folder)

    def _names(self, answers: Answers) -> list[str]:
        """What the host calls those who may connect. Raises `Missing` for an account that is still to be made."""
        names = []
        for who in self.allowed:
            if not who.resolved:
                raise Missing(account_token(who.name), f"no account {who.name} on this host yet")
            name = getattr(answers, f"name {who.sid}")["name"]
            if not name:
                raise Unknown(f"{who} is nobody's SID on this host, and an endpoint takes names")
            names.append(name)
        return names


@dataclass(frozen=True)
class Paths:
    """Where an endpoint's files are; a role capability is found by its name in any module's folder of that name."""

    name: str

    @property
    def folder(self) -> str:
        return f"{MODULES}\\{self.name}"

    @property
    def capabilities(self) -> str:
        return f"{self.folder}\\RoleCapabilities"

    @property
    def manifest(self) -> str:
        return f"{self.folder}\\{self.name}.psd1"

    @property
    def capability(self) -> str:
        return f"{self.capabilities}\\{self.name}.psrc"

    @property
    def configuration(self) -> str:
        return f"{self.folder}\\{self.name}.pssc"


def _bytes(data: Mapping[str, Any]) -> bytes:
    return encoded(powershell_data.render(data), "utf-8-bom")


def _visible(cmdlet: Cmdlet) -> str | dict[str, Any]:
    if not cmdlet.parameters:
        return cmdlet.name
    return {"Name": cmdlet.name, "Parameters": [_limited(parameter) for parameter in cmdlet.parameters]}


def _limited(parameter: Parameter) -> dict[str, Any]:
    """PowerShell itself puts a pattern between ^( and )$."""
    limits = {"ValidateSet": list(parameter.values), "ValidatePattern": parameter.pattern}
    return {"Name": parameter.name, **{name: limit for name, limit in limits.items() if limit}}


# ---------------------------------------------------------------- what a host has


class Found:
    """The endpoint's files on the host, read as what this file writes. What can't be read so is None, and differs."""

    def __init__(self, wanted: JeaEndpoint, answers: Answers) -> None:
        paths = wanted.paths
        self.bytes: dict[str, bytes | None] = {
            paths.manifest: _whole(answers.manifest, paths.manifest),
            paths.capability: _whole(answers.capability, paths.capability),
            paths.configuration: _whole(answers.configuration, paths.configuration),
        }
        self.configuration = _data(self.bytes[paths.configuration])
        self.visible = _seen(_data(self.bytes[paths.capability]))
        roles = self.configuration.get("RoleDefinitions", {})
        self.roles: tuple[str, ...] = tuple(roles) if isinstance(roles, dict) else ()

    @property
    def transcripts(self) -> str | None:
        try:
            return JeaEndpoint.observed(name="x", transcripts=self.configuration.get("TranscriptDirectory")).transcripts
        except ValidationError:
            return None

    def allowed(self, answers: Answers) -> tuple[Principal, ...]:
        """Those whom its roles name; a name that is nobody's stays a name."""
        sids = {name: getattr(answers, f"role {name}") for name in self.roles if answers.asked(f"role {name}")}
        return tuple(Principal(name, (sids.get(name) or {}).get("sid") or "") for name in self.roles)

    def state(self, wanted: JeaEndpoint) -> str:
        """Whether each is there and is, to the byte, what this file would write for what stands in it."""
        paths, same = wanted.paths, wanted.model_copy(update={**self.visible, "transcripts": self.transcripts})
        as_written = {**same._contents, paths.configuration: same._configuration(list(self.roles))}
        odd = [path.rpartition("\\")[2] for path, content in as_written.items() if content != self.bytes[path]]
        return f"missing or written by others: {', '.join(odd)}" if odd else AS_WRITTEN


def _whole(answer: Any, path: str) -> bytes | None:
    if answer is None:
        return None
    if not answer["end"]:
        raise Unknown(f"{path} is longer than {LENGTH // 1024} KB, so it is none of ours: look at it by hand")
    return base64.b64decode(answer["bytes"])


def _data(content: bytes | None) -> dict[str, Any]:
    try:
        return powershell_data.parse((content or b"").decode("utf-8"))
    except ValueError:
        return {}


def _seen(capability: dict[str, Any]) -> dict[str, Any]:
    """Cmdlets, functions and programs that are visible; empty where they don't stand as this file writes them."""
    try:
        cmdlets = [_cmdlet(entry) for entry in capability["VisibleCmdlets"]]
        functions = [{"name": one["Name"], "content": one["ScriptBlock"]} for one in capability["FunctionDefinitions"]]
        modules, programs = capability.get("ModulesToImport", []), capability["VisibleExternalCommands"]
        seen = JeaEndpoint.observed(name="x", cmdlets=cmdlets, functions=functions, modules=modules, programs=programs)
    except (KeyError, TypeError, ValidationError):
        return dict.fromkeys(VISIBLE, ())
    return {name: getattr(seen, name) for name in VISIBLE}


def _cmdlet(entry: Any) -> Any:
    if isinstance(entry, str):
        return {"name": entry}
    limits = {"Name": "name", "ValidateSet": "values", "ValidatePattern": "pattern"}
    parameters = [{limits[name]: value for name, value in one.items()} for one in entry["Parameters"]]
    return {"name": entry["Name"], "parameters": parameters}


def _plugin(answers: Answers) -> wsman_plugin.Plugin | None:
    """What WinRM has registered under the name. Raises `Unknown` where that can't be read."""
    values = (answers.plugin or {}).get("values", {})
    if not values:
        return None
    try:
        return wsman_plugin.parse(str(values["ConfigXML"][1]), *answers.base_sids)
    except (KeyError, ValueError) as error:
        raise Unknown(f"what WinRM has registered can't be read: {error}") from error


def _registration(plugin: wsman_plugin.Plugin | None, found: Found, answers: Answers) -> str:
    """Whether what is registered is what stands in the files, for those who stand there."""
    if plugin is None:
        return "not there"
    copy = answers.copy if answers.asked("copy") else None
    configuration = next((content for path, content in found.bytes.items() if path.endswith(".pssc")), None)
    if not copy or configuration is None or copy.get("sha256") != hashlib.sha256(configuration).hexdigest():
        return "of another session configuration"
    if not plugin.enabled or not plugin.virtual_account:
        return "switched off" if not plugin.enabled else "without a virtual account"
    if plugin.allowed != frozenset(who.sid for who in found.allowed(answers)):
        return "open to others than the files say"
    return OF_THESE


def _lines(function: Function, before: str) -> Iterator[str]:
    now = function.body.splitlines()
    return difflib.unified_diff(before.splitlines(), now, f"{function.name} on the host", f"{function.name} to be", lineterm="")
