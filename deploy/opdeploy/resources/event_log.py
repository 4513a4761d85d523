"""An event log: how large it may grow, what happens when it is full, whether anything is logged, who may read it.

What Windows logs by is read with `Get-WinEvent -ListLog`: a value that the registry does not hold is the default of the
publisher's manifest, never off (formats.md 8). Written with `wevtutil sl` (Microsoft's page of it). Windows rounds a size up
to 64 KB, so a size is rounded here before it is told, and two are the same that lie in the same 64 KB: a log that nobody
changed has 1,028 KB for 1 MB. Logs are made by programs, never here, so there is no `absent`; analytic and debug logs are
for one fault at a time (switching one on clears it) and are left alone.

A group policy's values stand below SOFTWARE\\Policies\\Microsoft\\Windows\\EventLog, sizes in KB [EventLog.admx]. Its list
for older programs stands in the log's own key and can't be told apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, ValidationInfo, field_validator, model_validator

from opdeploy.calls import Write, cmdlet_read, program_write, registry_read
from opdeploy.formats import sddl
from opdeploy.formats.command_line import line
from opdeploy.model import Change, Machine, NotOurs, Unknown
from opdeploy.resources.base import KEY, Answers, Comparator, Reads, Resource, comparator, properties
from opdeploy.resources.sizes import Size
from opdeploy.resources.values import Text, observed

Retention = Literal["overwrite", "archive", "keep"]
MODES: dict[str, Retention] = {"Circular": "overwrite", "AutoBackup": "archive", "Retain": "keep"}
SWITCHES: dict[Retention, tuple[str, ...]] = {
    "overwrite": ("/rt:false", "/ab:false"), "archive": ("/rt:true", "/ab:true"), "keep": ("/rt:true", "/ab:false"),
}  # fmt: skip
SELECT = ["LogType", "IsClassicLog", "IsEnabled", "LogMode", "MaximumSizeInBytes", "SecurityDescriptor"]
POLICY = r"SOFTWARE\Policies\Microsoft\Windows\EventLog"
POLICY_VALUES = ["MaxSize", "Retention", "AutoBackupLogFiles", "Enabled", "ChannelAccess"]
ONE_TIME = ("Analytical", "Debug")
STEP, LEAST, MOST = 64 << 10, 1 << 20, 2 << 40  # bytes
READ_AND_CLEAR = 0x1 | 0x4
NEEDED = {"S-1-5-18": "SYSTEM", "S-1-5-32-544": "Administrators"}


def _log(text: str) -> str:
    if len(text) > 255 or text[0] in "/-" or any(char in '*?[]"<>|' for char in text):
        raise ValueError(
            f"{text!r} is no log's name: expected one like Application or Microsoft-Windows-TaskScheduler/Operational"
        )
    return text


def _held(descriptor: sddl.SecurityDescriptor, sid: str) -> int:
    """What allow entries of this very SID give."""
    mask = 0
    for ace in descriptor.dacl.aces if descriptor.dacl else ():
        mask |= ace.mask if ace.type == "A" and ace.sid == sid else 0
    return mask


def _checked(text: str) -> str:
    """A list that an inventory may ask for. Raises ValueError."""
    descriptor = sddl.parse(text)
    if not descriptor.owner or not descriptor.group or descriptor.dacl is None:
        raise ValueError("expected owner, group and list as SDDL: O:BAG:SYD:(A;;0x7;;;BA)…")
    relative = [ace.sid for ace in descriptor.dacl.aces if not sddl.SID.fullmatch(ace.sid)]
    if relative:
        raise ValueError(f"{relative[0]} means another account on every host: write its SID")
    for sid, name in NEEDED.items():
        if _held(descriptor, sid) & READ_AND_CLEAR != READ_AND_CLEAR:
            raise ValueError(f"refused: {name} must be left to read and clear the log (0x5)")
    return text


SIZE = Comparator(same=lambda one, other: one.bytes // STEP == other.bytes // STEP, words="in steps of 64 KB")
LIST = Comparator(same=lambda one, other: sddl.parse(one) == sddl.parse(other), words="by its SIDs and masks")


class EventLog(Resource):
    KIND = "event_log"
    EXAMPLE = """
        - { log: Security, size: 256MB, retention: archive }
        - { log: Microsoft-Windows-TaskScheduler/Operational, enabled: true }
    """
    ABSENT_WHEN: ClassVar[tuple[str, ...]] = ("NoMatchingLogsFound",)
    READ_IF_MANAGED: ClassVar[tuple[str, ...]] = ("access",)

    log: Annotated[Text, AfterValidator(_log), KEY]
    """Its name as `Get-WinEvent -ListLog *` shows it."""
    size: Annotated[Size | None, SIZE] = None
    """How large it may grow: 64MB, 1GB or bytes, from 1MB on; rounded up to 64 KB."""
    retention: Retention | None = None
    """When it is full: the oldest events go, it is put aside and a new one begun, or nothing more is logged."""
    enabled: bool | None = None
    """Whether anything is logged; a classic log always is."""
    access: Annotated[str | None, LIST] = None
    """Who may read (0x1), write (0x2) and clear (0x4) it, as SDDL with owner and group; the whole list."""

    @field_validator("size")
    @classmethod
    def _rounded(cls, size: Size | None, info: ValidationInfo) -> Size | None:
        if size is None or observed(info):
            return size
        if not LEAST <= size.bytes <= MOST:
            raise ValueError(f"a log may grow to at least {Size(LEAST)} and at most {Size(MOST)}, not {size}")
        return Size(-(-size.bytes // STEP) * STEP)

    @field_validator("access")
    @classmethod
    def _safe(cls, text: str | None, info: ValidationInfo) -> str | None:
        return text if text is None or observed(info) else _checked(text)

    @model_validator(mode="after")
    def _says_something(self, info: ValidationInfo) -> Self:
        if self.absent:
            raise ValueError("a log is removed with the program that made it: to stop logging write enabled: false")
        if not observed(info) and not self._told:
            raise ValueError("say what of it is wanted: size, retention, enabled or access")
        return self

    @property
    def _told(self) -> list[str]:
        return [name for name in properties(type(self)) if getattr(self, name) is not None]

    def reads(self) -> Reads:
        return {
            "log": cmdlet_read("Get-WinEvent", SELECT, ListLog=self.log),
            "policy": registry_read(rf"{POLICY}\{self.log}", values=POLICY_VALUES),
        }

    def actual(self, answers: Answers) -> Self | None:
        if not answers.log:
            return None
        (row,) = answers.log
        if row["LogMode"] not in MODES:
            raise Unknown(f"its mode is {row['LogMode']}, which is none that is known")
        return self.observed(
            log=self.log,
            size=row["MaximumSizeInBytes"],
            retention=MODES[row["LogMode"]],
            enabled=row["IsEnabled"],
            access=_readable(row["SecurityDescriptor"]) if self.access else None,
        )

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        if change.action == "create":
            return "no such log on this host: a log comes with the program that writes it"
        (row,) = answers.log
        if row["LogType"] in ONE_TIME and change.verdict != "in_sync":
            return "an analytic or debug log: it is switched on by hand, for one fault"
        if change.touches("enabled") and self.enabled is False and row["IsClassicLog"]:
            return "a classic log can't be switched off"
        return self._overruled(change, policy(answers.policy))

    def _overruled(self, change: Change[Any], told: Mapping[str, Any]) -> str:
        """A policy's word counts, whether it is in force already or only at the next refresh."""
        names = [name for name in self._told if name in told and (change.touches(name) or not self._same(name, told[name]))]
        return NotOurs(f"{', '.join(names)} set by a group policy (Event Log Service): change it there") if names else ""

    def _same(self, name: str, value: Any) -> bool:
        return comparator(type(self), name).same(getattr(self, name), value)

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        words = list[str]()
        if change.touches("size") and self.size:
            words += [f"/ms:{self.size.bytes}"]
        if change.touches("retention") and self.retention:
            words += SWITCHES[self.retention]
        if change.touches("enabled"):
            words += [f"/e:{'true' if self.enabled else 'false'}"]
        if change.touches("access"):
            words += [f"/ca:{self.access}"]
        yield program_write("wevtutil.exe", "sl", line(self.log, *words))


def policy(answer: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a group policy's key says, as properties. Raises `Unknown` for what it should not say."""
    values = {name.lower(): data for name, (_, data) in (answer or {}).get("values", {}).items()}
    try:
        return dict(_policy(values))
    except ValueError as error:
        raise Unknown("what a group policy says of this log is no number where it must be one") from error


def _policy(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Whether to archive counts only where old events are kept."""
    if "maxsize" in values:
        yield "size", Size(int(values["maxsize"]) << 10)
    if "retention" in values:
        keeps, archives = int(values["retention"]), int(values.get("autobackuplogfiles", 0))
        yield "retention", ("archive" if archives else "keep") if keeps else "overwrite"
    if "enabled" in values:
        yield "enabled", bool(int(values["enabled"]))
    if "channelaccess" in values:
        yield "access", _readable(str(values["channelaccess"]))


def _readable(text: str) -> str:
    try:
        sddl.parse(text)
    except ValueError as error:
        raise Unknown(f"its access list can't be read: {error}") from error
    return text
