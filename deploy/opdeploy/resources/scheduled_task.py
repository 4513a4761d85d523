"""A scheduled task, by folder and name: what starts it, what it runs, as whom, with which settings.

Its XML is the whole truth (formats.md 6; MS-TSCH 2.5): read with `Export-ScheduledTask`, compared part by part with every
default filled in on both sides, written with `Register-ScheduledTask -Xml`. An inventory gives parts, or the XML whole, or
the XML and parts that differ from it; parts left out keep what the host has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self
from xml.sax.saxutils import escape

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from opdeploy.calls import Write, cmdlet_read, cmdlet_write, sid_resolve
from opdeploy.formats import task_xml
from opdeploy.formats.task_xml import Element, Normal, Value
from opdeploy.model import Change, Machine, Principal, Unknown
from opdeploy.resources.base import KEY, OPTION, Answers, Reads, Resource, WrittenAs, principals
from opdeploy.resources.task_parts import ActionSettings, Piece, TriggerSettings, account, flat, iso, shown, text_element
from opdeploy.resources.values import Duration, observed

SERVICE_ACCOUNTS = ("S-1-5-18", "S-1-5-19", "S-1-5-20")
GROUPS = re.compile(r"S-1-5-32-\d+|S-1-1-0|S-1-5-(4|11)")
LOGON_TYPES = {
    "S4U": "s4u", "Password": "password", "InteractiveToken": "interactive",
    "InteractiveTokenOrPassword": "interactive_or_password",
}  # fmt: skip
RUN_LEVELS = {"LeastPrivilege": "limited", "HighestAvailable": "highest"}
INSTANCES = {"IgnoreNew": "ignore_new", "Parallel": "parallel", "Queue": "queue", "StopExisting": "stop_existing"}

# Properties that are one element of <Settings> each. Windows 8 and later use one engine only, whatever a task says of it.
SETTINGS = {
    "enabled": "Enabled", "start_when_available": "StartWhenAvailable", "allow_start_on_demand": "AllowStartOnDemand",
    "allow_hard_terminate": "AllowHardTerminate", "disallow_start_if_on_batteries": "DisallowStartIfOnBatteries",
    "stop_if_going_on_batteries": "StopIfGoingOnBatteries", "run_only_if_network_available": "RunOnlyIfNetworkAvailable",
    "run_only_if_idle": "RunOnlyIfIdle", "wake_to_run": "WakeToRun", "hidden": "Hidden",
    "multiple_instances": "MultipleInstancesPolicy", "priority": "Priority", "execution_time_limit": "ExecutionTimeLimit",
    "delete_expired_after": "DeleteExpiredTaskAfter", "restart_on_failure": "RestartOnFailure",
}  # fmt: skip
NO_DIFFERENCE = "UseUnifiedSchedulingEngine"
NOTHING_YET = Element("Task", (("version", "1.4"),))


# ---------------------------------------------------------------- values, as a person writes them


def _path(text: str) -> str:
    parts = text.split("\\")
    named = all(part and part == part.strip() and part not in (".", "..") for part in parts[1:])
    if len(parts) < 2 or parts[0] or not named or re.search(r'[/:*?"<>|\[\]\x00-\x1f]', text):
        raise ValueError(r"""expected a task's folder and name like \OP\Nightly update, without / : * ? " < > | [ ]""")
    return text


def _pieces(settings: type[TriggerSettings] | type[ActionSettings]) -> BeforeValidator:
    def read(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return tuple(item if isinstance(item, Piece) else settings.model_validate(item).piece() for item in value)

    return BeforeValidator(read)


def _limit(value: Any, info: ValidationInfo) -> Any:
    """A length of time or `none`; of a host, a length in months too, which has no seconds."""
    if value is None or (observed(info) and isinstance(value, str)):
        return value
    length = Duration(0) if value == "none" else Duration.parse(value)
    return length if length.seconds else "none"


class Restart(BaseModel):
    """How often a task that failed is started again, and how long after."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: Annotated[int, Field(ge=1)]
    """How often."""
    interval: Duration
    """After how long: 1m to 31d."""

    @model_validator(mode="after")
    def _sensible(self, info: ValidationInfo) -> Self:
        if not observed(info) and not 60 <= self.interval.seconds <= 31 * 86400:
            raise ValueError("interval is 1 minute to 31 days")
        return self

    def __str__(self) -> str:
        return f"{self.count} times, after {self.interval}"


TaskPath = Annotated[str, AfterValidator(_path)]
Limit = Annotated[Duration | str | None, BeforeValidator(_limit)]


# ---------------------------------------------------------------- the task


class ScheduledTask(Resource):
    KIND = "scheduled_task"
    EXAMPLE = r"""
        - path: '\OP\Nightly update'
          triggers: [{ when: daily, at: '02:30' }]
          actions: [{ command: 'D:\OP\Services\update.cmd' }]
          principal: SYSTEM
          execution_time_limit: 2h
    """
    # The first is what a public script tells a missing task of Export-ScheduledTask by; the second would be a missing folder's,
    # the third a query's. None of them was seen here on a Windows.
    ABSENT_WHEN: ClassVar[tuple[str, ...]] = ("HRESULT 0x80070002,", "HRESULT 0x80070003,", "CmdletizationQuery_NotFound")

    path: Annotated[TaskPath, KEY]
    """Its folder and name: `\\OP\\Nightly`."""
    xml: Annotated[str | None, OPTION] = None
    """The whole task as Task Scheduler exports it; what else is given here counts before it."""
    description: str | None = None
    """What it is for."""
    triggers: Annotated[tuple[InstanceOf[Piece], ...] | None, _pieces(TriggerSettings), WrittenAs(TriggerSettings)] = None
    """What starts it."""
    actions: Annotated[tuple[InstanceOf[Piece], ...] | None, _pieces(ActionSettings), WrittenAs(ActionSettings)] = None
    """What it runs."""
    principal: Principal | None = None
    """As whom: a built-in account, a managed one, or with `logon_type: s4u` any local account."""
    logon_type: Literal["service", "s4u", "group", "password", "interactive", "interactive_or_password", "none"] | None = None
    """How it logs on; a stored password is refused."""
    run_level: Literal["limited", "highest"] | None = None
    """Whether it runs with all rights of its account."""
    enabled: bool | None = None
    """Whether it starts at all."""
    start_when_available: bool | None = None
    """Whether a start that was missed is made up for."""
    allow_start_on_demand: bool | None = None
    """Whether it may be started by hand."""
    allow_hard_terminate: bool | None = None
    """Whether it may be ended by force."""
    disallow_start_if_on_batteries: bool | None = None
    """Whether it stays away on battery; Windows' default is yes, also on a UPS."""
    stop_if_going_on_batteries: bool | None = None
    """Whether it is stopped when power fails; Windows' default is yes."""
    run_only_if_network_available: bool | None = None
    """Whether it needs a network."""
    run_only_if_idle: bool | None = None
    """Whether the machine has to be idle."""
    wake_to_run: bool | None = None
    """Whether it wakes the machine."""
    hidden: bool | None = None
    """Whether the console hides it."""
    multiple_instances: Literal["ignore_new", "parallel", "queue", "stop_existing"] | None = None
    """What happens when it should start and still runs."""
    priority: Annotated[int, Field(ge=0, le=10)] | None = None
    """0 (highest) to 10; 7 is below normal, 4 to 6 normal."""
    execution_time_limit: Limit = None
    """After how long it is stopped."""
    delete_expired_after: Limit = None
    """How long after its last trigger it is deleted."""
    restart_on_failure: Restart | Literal["never"] | None = None
    """How often and after how long it is tried again."""
    security: str | None = None
    """Who may see and run it, as SDDL."""
    other: tuple[str, ...] | None = None
    """Settings that are not known here, kept as they are in the XML."""

    @model_validator(mode="before")
    @classmethod
    def _from_xml(cls, data: Any, info: ValidationInfo) -> Any:
        """The XML's parts, and what is given beside it instead of them; how an account logs on follows from which it is."""
        if not isinstance(data, Mapping) or observed(info):
            return data
        given = {name: value for name, value in data.items() if value is not None}
        if "other" in given:
            raise ValueError("other elements than the properties tell are given as xml")
        parts = parts_of(task_xml.parse(given["xml"])) if isinstance(given.get("xml"), str) else {}
        if isinstance(given.get("principal"), str | Principal) and "logon_type" not in given:
            given["logon_type"] = _usual_logon(given["principal"])
        return {**{name: value for name, value in parts.items() if value is not None}, **given}

    @model_validator(mode="after")
    def _sensible(self, info: ValidationInfo) -> Self:
        if observed(info) or self.absent:
            return self
        if self.actions == ():
            raise ValueError("a task needs at least one action")
        if _stores_password(self.logon_type, self.principal):
            raise ValueError(
                "stored passwords are refused for now: run it as SYSTEM or the like, as a user with logon_type s4u, "
                "or as a group managed service account (its name ends in $)"
            )
        if self.logon_type and not self.principal:
            raise ValueError("logon_type needs a principal")
        return self

    def undone(self, found: Self | None) -> Self | str:
        return "it was there before, and what it was is not kept" if found else self.gone()

    def reads(self) -> Reads:
        return {"task": cmdlet_read("Export-ScheduledTask", [], **self._named)}

    def then_reads(self, answers: Answers) -> Reads:
        if answers.task is None:
            return {}
        return {_asked(name): sid_resolve(name) for name in task_xml.account_names(_document(answers))}

    def actual(self, answers: Answers) -> Self | None:
        if answers.task is None:
            return None
        document = _document(answers)
        sids = {name: _sid(name, answers) for name in task_xml.account_names(document)}
        try:
            return type(self).observed(path=self.path, **parts_of(task_xml.with_sids(document, sids)))
        except ValidationError as error:
            named = ", ".join(str(problem["loc"][0]) for problem in error.errors())
            raise Unknown(f"its XML says something of its {named} that is not known") from None
        except ValueError as error:
            raise Unknown(str(error)) from error

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        if change.action == "create" and not (self.actions and self.principal):
            return "it is not there, and without actions and a principal it can't be made"
        before = change.actual
        if change.action != "update" or before is None or set(change.properties) == {"enabled"}:
            return ""
        if _stores_password(self.logon_type or before.logon_type, self.principal or before.principal):
            return "its account's password is stored, and to register it anew would need it: refused for now"
        return ""

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        if change.action == "remove":
            yield cmdlet_write("Unregister-ScheduledTask", **self._named, Confirm=False)
        elif change.action == "update" and set(change.properties) == {"enabled"}:
            yield cmdlet_write("Enable-ScheduledTask" if self.enabled else "Disable-ScheduledTask", **self._named)
        else:
            base = task_xml.parse(self.xml) if self.xml else _document(answers) if change.actual else NOTHING_YET
            yield cmdlet_write("Register-ScheduledTask", **self._named, Xml=self.document(base), Force=True)

    @property
    def _named(self) -> dict[str, str]:
        folder, _, name = self.path.rpartition("\\")
        return {"TaskName": name, "TaskPath": folder + "\\"}

    def document(self, base: Element) -> str:
        """The XML to register: `base` with what is named here in place of what it has. References stay readable."""
        text = task_xml.render(_assembled(base, self))
        for reference in {principal.trustee for principal in principals(self) if not principal.resolved}:
            text = text.replace(escape(reference), reference)
        return text


def _usual_logon(given: str | Principal) -> str:
    principal = given if isinstance(given, Principal) else account(given)
    if principal.sid in SERVICE_ACCOUNTS:
        return "service"
    if GROUPS.fullmatch(principal.sid):
        return "group"
    return "password" if principal.name.endswith("$") else "s4u"


def _stores_password(logon_type: str | None, principal: Principal | None) -> bool:
    """A group managed service account logs on with a password that Windows itself knows."""
    managed = principal is not None and principal.name.endswith("$")
    return logon_type == "interactive_or_password" or (logon_type == "password" and not managed)


def _document(answers: Answers) -> Element:
    rows = answers.task
    if not rows or not isinstance(rows[0], str):
        raise Unknown("Export-ScheduledTask gave no XML")
    try:
        return task_xml.parse(rows[0])
    except ValueError as error:
        raise Unknown(str(error)) from error


def _asked(name: str) -> str:
    return f"account {name}"


def _sid(name: str, answers: Answers) -> str:
    """Its SID; the name where it is nobody's, or was not asked yet."""
    found = getattr(answers, _asked(name)) if answers.has(_asked(name)) else None
    return str(found["sid"]) if found and found["sid"] else name


# ---------------------------------------------------------------- XML into parts


def parts_of(task: Element) -> dict[str, Any]:
    """A task's XML as the model's properties, defaults filled in. Raises ValueError."""
    normal = task_xml.normalise(task)
    triggers, actions = task.find("Triggers"), task.find("Actions")
    registration = _taken(normal, "RegistrationInfo")
    return {
        "description": registration.pop("Description"),
        "security": registration.pop("SecurityDescriptor", None),
        "triggers": tuple(map(Piece.of, triggers.elements if triggers else ())),
        "actions": tuple(map(Piece.of, actions.elements if actions else ())),
        **_principal_parts(_taken(normal, "Principal")),
        **_settings_parts(_taken(normal, "Settings")),
        "other": _others(normal),
    }


def _taken(normal: Normal, part: str) -> Normal:
    found = normal[part]
    assert isinstance(found, dict)
    return found


def _principal_parts(principal: Normal) -> dict[str, Any]:
    group, user, kind = (principal.pop(tag, None) for tag in ("GroupId", "UserId", "LogonType"))
    name = group or user
    run_level = str(principal.pop("RunLevel"))
    service = "service" if user in SERVICE_ACCOUNTS else "none"
    logon = "group" if group else LOGON_TYPES.get(str(kind), str(kind)) if kind else service
    return {
        "principal": account(str(name)) if name else None,
        "logon_type": logon if name else None,
        "run_level": RUN_LEVELS.get(run_level, run_level),
    }


def _settings_parts(settings: Normal) -> dict[str, Any]:
    found: dict[str, Any] = {name: settings.pop(tag, None) for name, tag in SETTINGS.items()}
    settings.pop(NO_DIFFERENCE, None)
    retry = found["restart_on_failure"]
    return found | {
        "multiple_instances": INSTANCES.get(str(found["multiple_instances"]), found["multiple_instances"]),
        "execution_time_limit": _length(found["execution_time_limit"]),
        "delete_expired_after": _length(found["delete_expired_after"]),
        "restart_on_failure": {tag.lower(): _length(v) if tag == "Interval" else v for tag, v in retry.items()}
        if isinstance(retry, dict)
        else "never",
    }


def _length(value: Value) -> Any:
    if value is None:
        return "none"
    return (Duration(value) if value else "none") if isinstance(value, int) else value


def _others(normal: Normal) -> tuple[str, ...]:
    """What no property above tells and is not Windows' default, element by element."""
    rest = {name: value for name, value in normal.items() if name not in ("Triggers", "Actions")}
    usual = dict(flat(task_xml.normalise(Element("Task"))))
    told = ((path, value) for path, value in flat(rest) if usual.get(path, ...) != value)
    return tuple(sorted(f"{path}: {shown(path, value)}" for path, value in told))


# ---------------------------------------------------------------- parts into XML


def _assembled(base: Element, task: ScheduledTask) -> Element:
    document = _put(base, _registration(base, task))
    if task.triggers is not None:
        document = _put(document, Element("Triggers", (), tuple(piece.with_sids for piece in task.triggers)))
    document = _put(document, _principals(document, task))
    document = _put(document, _settings(document.find("Settings") or Element("Settings"), task))
    if task.actions is not None:
        context = document.find("Principals", "Principal")
        label = dict(context.attributes).get("id", "Author") if context else "Author"
        pieces = tuple(piece.with_sids for piece in task.actions)
        document = _put(document, Element("Actions", (("Context", label),), pieces))
    return document


def _put(parent: Element, child: Element) -> Element:
    """The parent with this child in place of the one of its tag, or as its last."""
    if parent.find(child.tag) is None:
        return replace(parent, children=(*parent.children, child))
    kept = (child if isinstance(c, Element) and c.tag == child.tag else c for c in parent.children)
    return replace(parent, children=tuple(kept))


def _registration(document: Element, task: ScheduledTask) -> Element:
    info = document.find("RegistrationInfo") or Element("RegistrationInfo")
    for tag, text in (("Description", task.description), ("SecurityDescriptor", task.security)):
        info = info if text is None else _put(info, text_element(tag, text))
    return info


def _principals(document: Element, task: ScheduledTask) -> Element:
    found = document.find("Principals", "Principal") or Element("Principal", (("id", "Author"),))
    if task.principal is not None:
        ours = {"UserId", "GroupId", "LogonType"}
        kept = tuple(child for child in found.elements if child.tag not in ours)
        found = replace(found, children=(*_account(task.principal, task.logon_type), *kept))
    if task.run_level is not None:
        level = next(word for word, ours in RUN_LEVELS.items() if ours == task.run_level)
        found = _put(found, text_element("RunLevel", level))
    return _put(document.find("Principals") or Element("Principals"), found)


def _account(principal: Principal, logon_type: str | None) -> Iterator[Element]:
    yield text_element("GroupId" if logon_type == "group" else "UserId", principal.trustee)
    if word := next((word for word, ours in LOGON_TYPES.items() if ours == logon_type), ""):
        yield text_element("LogonType", word)


def _settings(settings: Element, task: ScheduledTask) -> Element:
    for name, tag in SETTINGS.items():
        value = getattr(task, name)
        if value in ("never", "none") and tag in ("RestartOnFailure", "DeleteExpiredTaskAfter"):
            settings = replace(settings, children=tuple(c for c in settings.elements if c.tag != tag))
        elif value is not None:
            settings = _put(settings, _setting(tag, value))
    return settings


def _setting(tag: str, value: Any) -> Element:
    if isinstance(value, Restart):
        return Element(tag, (), (text_element("Interval", iso(value.interval)), text_element("Count", str(value.count))))
    words: dict[type, Callable[[Any], str]] = {bool: lambda on: "true" if on else "false", Duration: iso}
    policy = next((word for word, ours in INSTANCES.items() if ours == value), str(value))
    text = words.get(type(value), lambda _: "PT0S" if value == "none" else policy)(value)
    return text_element(tag, text)
