"""What Microsoft Defender does not scan: one path, the files that one process opens, or one extension.

Read with `Get-MpPreference`, whose lists join what was set here and what a group policy sets; the policy's own lists come
from the registry. Written with `Add-` and `Remove-MpPreference`, which leave the others (formats.md 8). Where tamper protection
guards exclusions, changes 'might appear to succeed but are actually blocked' (Microsoft, 'Manage tamper protection using
Intune'): so what was written and is not there fails the change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import ValidationInfo, model_validator

from opdeploy.calls import Write, cmdlet_read, cmdlet_write, registry_read
from opdeploy.model import Change, Machine, NotApplicable, NotOurs, Unknown
from opdeploy.resources import defender
from opdeploy.resources.base import KEY, Answers, Option, Reads, Scoped, Work
from opdeploy.resources.values import Text, observed

ExclusionType = Literal["path", "process", "extension"]

LISTS = {"path": "ExclusionPath", "process": "ExclusionProcess", "extension": "ExclusionExtension"}
POLICY = r"SOFTWARE\Policies\Microsoft\Windows Defender"
POLICY_KEYS = {"path": "Paths", "process": "Processes", "extension": "Extensions"}
FEATURES = r"SOFTWARE\Microsoft\Windows Defender\Features"
NOT_SHOWN = "N/A:"  # how the one line begins that stands for a list which may not be seen

# What Microsoft says not to exclude ('Common mistakes to avoid when defining exclusions'), but for pictures; and its like.
TOO_WIDE = (
    r"[a-z]:(\\(windows(\\(temp|prefetch|system32(\\(spool|catroot2))?))?|users|temp|programdata|program files( \(x86\))?))?"
    r"|.*\\appdata\\(local|locallow|roaming)(\\temp)?"
)
EXTENSIONS = {
    "7z", "bat", "bin", "cab", "cmd", "com", "cpl", "dll", "exe", "gz", "hta", "inf", "jar", "job", "js", "msi", "ocx", "ps1",
    "py", "rar", "reg", "scr", "sys", "tar", "tmp", "url", "vbe", "vbs", "wsf", "zip",
}  # fmt: skip
PROCESSES = {
    "acrord32", "addinprocess", "addinprocess32", "addinutil", "bash", "bginfo", "bitsadmin", "cdb", "cmd", "cscript", "csi",
    "dotnet", "excel", "explorer", "fsi", "iexplore", "java", "kd", "msbuild", "mshta", "ntsd", "outlook", "powerpnt",
    "powershell", "psexec", "pwsh", "rcsi", "regsvr32", "rundll32", "schtasks", "svchost", "windbg", "winword", "wmic",
    "wscript", "wuauclt",
}  # fmt: skip
VARIABLES = {
    "%systemdrive%": "c:", "%windir%": r"c:\windows", "%systemroot%": r"c:\windows", "%programfiles%": r"c:\program files",
    "%programfiles(x86)%": r"c:\program files (x86)", "%programdata%": r"c:\programdata",
    "%allusersprofile%": r"c:\programdata", "%temp%": r"c:\windows\temp", "%tmp%": r"c:\windows\temp",
}  # fmt: skip
_FULL_PATH = re.compile(r'([a-z]:|%[a-z()]+%|\\\\[^\\/:*?"<>|]+)(\\[^/:"<>|]*)?', re.IGNORECASE)


def same_form(type: str, value: str) -> str:
    """What two exclusions are compared by: case counts for nothing, nor a path's last backslash, nor an extension's dot."""
    folded = value.lower()
    return {"path": folded.rstrip("\\"), "extension": folded.removeprefix(".")}.get(type, folded)


# ---------------------------------------------------------------- what is refused


def _wrong(type: str, value: str) -> str:
    """Why Defender would not know it for what it should be, or why so much is never left unscanned; '' if neither."""
    return {"path": _wrong_path, "process": _wrong_process, "extension": _wrong_extension}[type](value)


def _wrong_path(value: str) -> str:
    if not _FULL_PATH.fullmatch(value):
        return r"expected a whole path like D:\OP\data, from a drive, a share or %ProgramData%; * and ? may stand in it"
    if re.fullmatch(TOO_WIDE, _place(value)):
        return f"refused: {value} is a whole drive or a folder where attackers put their files; name the folder below it"
    return ""


def _wrong_process(value: str) -> str:
    folder, _, name = value.rpartition("\\")
    if re.search(r'[/:*?"<>|]', name) or not name or (folder and not _FULL_PATH.fullmatch(folder)):
        return r"expected a program like firebird.exe, or better its whole path: C:\Program Files\Firebird\firebird.exe"
    if name.lower().removesuffix(".exe") in PROCESSES:
        return f"refused: whatever {name} opens would not be scanned, and anybody can have it open anything"
    return ""


def _wrong_extension(value: str) -> str:
    if not re.fullmatch(r'\.?[^\\/:*?"<>|.\s]+', value):
        return "expected one extension without wildcards: fdb or .fdb"
    if same_form("extension", value) in EXTENSIONS:
        return f"refused: files with the extension {value} run or hold what runs; exclude the folder or the process instead"
    return ""


def _place(value: str) -> str:
    """The folder that a path means: variables as they usually are, without what stands for everything in it."""
    place = value.lower()
    for variable, usual in VARIABLES.items():
        place = place.replace(variable, usual)
    return re.sub(r"(\\[*?.]*)+$", "", place)


# ---------------------------------------------------------------- the exclusion


class DefenderExclusion(Scoped):
    KIND = "defender_exclusion"
    SCOPE = "type of exclusion"
    EXAMPLE = r"""
        - { type: path, value: 'D:\OP\gdbmed' }
        - { type: process, value: 'C:\Program Files\Firebird\Firebird_3_0\firebird.exe' }
        - { type: extension, value: fdb }
    """

    type: Annotated[ExclusionType, KEY]
    """What is excluded: files by where they are, by which program opens them, or by their extension."""
    value: Annotated[Text, KEY]
    """A path and a program as a whole path, in which `*` and `?` stand for a part; an extension with or without its dot."""
    only_where_active: Option = False
    """Not applicable where the host says that Defender is not active; otherwise it is unknown there, or set in vain."""

    @model_validator(mode="after")
    def _sensible(self, info: ValidationInfo) -> Self:
        if not self.absent and not observed(info) and (wrong := _wrong(self.type, self.value)):
            raise ValueError(wrong)
        return self

    @property
    def identity(self) -> tuple[str, str]:
        return self.KIND, f"{self.type} {same_form(self.type, self.value)}"

    def reads(self) -> Reads:
        return {**self.scope_reads(self.type), **(defender.READS if self.only_where_active else {})}

    @classmethod
    def scope_reads(cls, of: str) -> Reads:
        return {
            "preference": cmdlet_read("Get-MpPreference", list(LISTS.values())),
            "policy": registry_read(POLICY, values=["DisableLocalAdminMerge"]),
            "policy_list": registry_read(rf"{POLICY}\Exclusions\{POLICY_KEYS[of]}"),
            "features": registry_read(FEATURES, values=["TPExclusions"]),
        }

    @classmethod
    def found(cls, of: str, answers: Answers) -> Iterator[Scoped]:
        """What is excluded here and not by a policy."""
        by_policy = {same_form(of, value) for value in _names(answers.policy_list)}
        for value in _listed(of, answers):
            if same_form(of, value) not in by_policy:
                yield cls.model_validate({"type": of, "value": value, "absent": True})

    def actual(self, answers: Answers) -> Self | None:
        if self.only_where_active and (why := defender.standing_back(answers)):
            raise NotApplicable(why)
        there = self._of_these(_listed(self.type, answers)) or self._by_policy(answers)
        return self.observed(type=self.type, value=there[0]) if there else None

    def _of_these(self, values: list[str]) -> list[str]:
        """This exclusion in every spelling that a list has of it."""
        return [value for value in values if same_form(self.type, value) == same_form(self.type, self.value)]

    def _by_policy(self, answers: Answers) -> list[str]:
        return self._of_these(_names(answers.policy_list))

    # ------------------------------------------------------------ judging and writing

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        by_policy, alone = bool(self._by_policy(answers)), _data(answers.policy, "DisableLocalAdminMerge") == 1
        if change.action == "remove" and by_policy:
            return NotOurs("set by a group policy: take it out there")
        if self.absent or by_policy or not alone:
            return ""
        only = "a group policy lets no local exclusion count (DisableLocalAdminMerge)"
        return NotOurs(f"{only}: set it there" if change.action == "create" else f"right, but without effect: {only}")

    def note(self, change: Change[Any], answers: Answers) -> str:
        guarded = _data(answers.features, "TPExclusions") == 1
        return "tamper protection guards the exclusions of this host: it may refuse this without an error" if guarded else ""

    def work(self, answers: Answers) -> Work | None:
        try:
            done = (self.actual(answers) is None) is self.absent
        except (Unknown, NotApplicable):
            return None
        refused = "Defender took it without an error and did not do it: so does tamper protection, or who else manages it"
        return None if done else Work(running=False, error=refused)

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        if change.action == "remove":
            yield cmdlet_write("Remove-MpPreference", **{LISTS[self.type]: self._of_these(_listed(self.type, answers))})
        else:
            yield cmdlet_write("Add-MpPreference", **{LISTS[self.type]: self.value})


def _listed(type: str, answers: Answers) -> list[str]:
    """The list in force. Raises `Unknown` where Defender does not show it."""
    failure = answers.failure("preference")
    if failure and failure.id.startswith(defender.STOPPED):
        raise Unknown("Defender does not run here, as beside another antivirus: its exclusions can't be read")
    if not answers.preference:
        raise Unknown("Get-MpPreference answered nothing")
    values = answers.preference[0][LISTS[type]]
    values = [values] if isinstance(values, str) else values or []
    if any(value.startswith(NOT_SHOWN) for value in values):
        raise Unknown(f"Defender shows no exclusions to this session ({', '.join(values)})")
    return list(values)


def _names(key: Any) -> list[str]:
    return list(key["values"]) if key else []


def _data(key: Any, name: str) -> Any:
    found = {value.lower(): data for value, (_, data) in key["values"].items()} if key else {}
    return found.get(name.lower())
