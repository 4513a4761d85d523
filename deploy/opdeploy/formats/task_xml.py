"""Scheduled tasks: the XML that a task is registered with, exported as, and stored in.

MS-TSCH 2.5 (2.5.4 settings and their defaults, 2.5.3 triggers, 2.5.7 actions, 2.5.6 principals). `parse` and `render`
keep the document as it is; `normalise` says what it means: a plain nested structure with every default filled in, in
which the two dialects that Windows writes (all defaults spelt out, and all left out) are equal. Date, Author, URI,
Version, Source and ids make no difference. An element not known here is kept as its text.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr

from opdeploy.formats import sddl

NAMESPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"
DECLARATION = '<?xml version="1.0" encoding="UTF-16"?>\n'
_DEEPEST = 40
# Hand-made files have `--` in comments, which makes them no XML; comments mean nothing, so they go first.
_COMMENT = re.compile(r"(<!\[CDATA\[.*?\]\]>)|<!--.*?-->", re.DOTALL)

Value = str | int | bool | None | list["Value"] | dict[str, "Value"]
Normal = dict[str, Value]


@dataclass(frozen=True)
class Element:
    """`tag` without its namespace where that is the tasks' own, else `{namespace}name`; attributes `{namespace}name`.

    `children`: elements and pieces of text; blanks between elements are left out.
    """

    tag: str
    attributes: tuple[tuple[str, str], ...] = ()
    children: tuple[Element | str, ...] = ()

    @property
    def elements(self) -> tuple[Element, ...]:
        return tuple(child for child in self.children if isinstance(child, Element))

    @property
    def text(self) -> str:
        return "".join(child for child in self.children if isinstance(child, str))

    def find(self, *path: str) -> Element | None:
        """The first descendant along the path of tags."""
        found: Element | None = self
        for tag in path:
            found = next((child for child in found.elements if child.tag == tag), None) if found else None
        return found


# --- the document -----------------------------------------------------------------------------------------------------


def parse(document: str | bytes) -> Element:
    """Read a task's XML, with or without its declaration. Raises ValueError on anything but a <Task>."""
    task = parse_xml(document)
    if task.tag != "Task":
        raise ValueError(f"not a task: the document begins with <{task.tag}>, expected <Task xmlns='{NAMESPACE}'>")
    return task


def parse_xml(document: str | bytes) -> Element:
    """Read any small XML. A document type is refused: with it come entities, which can blow up or read files."""
    text = decode(document) if isinstance(document, bytes) else document.removeprefix("\ufeff")
    text = re.sub(r"^\s*<\?xml.*?\?>", "", text, count=1, flags=re.DOTALL)
    text = _COMMENT.sub(lambda match: match[1] or "", text)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("task XML with a document type (<!DOCTYPE) is refused: take the declaration out")
    try:
        return _element(ET.fromstring(text), _DEEPEST)  # noqa: S314 - no document type, hence no entities
    except ET.ParseError as error:
        raise ValueError(f"not well-formed XML: {error}") from None


def decode(document: bytes) -> str:
    """Text of a task file: UTF-16 by its BOM, else UTF-8, whatever its declaration says. Raises ValueError."""
    wide = document[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return document.decode("utf-16" if wide else "utf-8-sig").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(f"task XML is neither UTF-16 with a byte order mark nor UTF-8: {error.reason}") from None


def render(task: Element) -> str:
    """The document as text for `Register-ScheduledTask -Xml`, two blanks a level."""
    return DECLARATION + _xml(task, "", "\n") + "\n"


def _element(node: ET.Element, levels: int) -> Element:
    if not levels:
        raise ValueError(f"task XML is nested more than {_DEEPEST} levels deep")
    children: list[Element | str] = [node.text or ""]
    for child in node:
        children += [_element(child, levels - 1), child.tail or ""]
    has_elements = len(children) > 1
    kept = tuple(child for child in children if not isinstance(child, str) or _says(child, has_elements))
    tag = node.tag if node.tag.startswith("{") else f"{{}}{node.tag}"
    return Element(tag.removeprefix(f"{{{NAMESPACE}}}"), tuple(sorted(node.attrib.items())), kept)


def _says(text: str, between_elements: bool) -> bool:
    return bool(text.strip() if between_elements else text)


def _xml(element: Element, namespace: str, newline: str) -> str:
    own, name = _namespace_and_name(element.tag)
    attributes = "".join(_attribute(index, *pair) for index, pair in enumerate(element.attributes))
    declared = "" if own == namespace else f" xmlns={quoteattr(own)}"
    if not element.children:
        return f"<{name}{attributes}{declared} />"
    mixed = any(isinstance(child, str) for child in element.children)
    inner = "" if mixed else newline + "  "
    body = "".join(
        escape(child, {"\r": "&#13;"}) if isinstance(child, str) else inner + _xml(child, own, inner)
        for child in element.children
    )
    return f"<{name}{attributes}{declared}>{body}{'' if mixed else newline}</{name}>"


def _attribute(index: int, qualified: str, value: str) -> str:
    namespace, name = _namespace_and_name(qualified) if qualified.startswith("{") else ("", qualified)
    if namespace == "http://www.w3.org/XML/1998/namespace":
        return f" xml:{name}={quoteattr(value)}"
    if not namespace:
        return f" {name}={quoteattr(value)}"
    return f" xmlns:a{index}={quoteattr(namespace)} a{index}:{name}={quoteattr(value)}"


def _namespace_and_name(tag: str) -> tuple[str, str]:
    if not tag.startswith("{"):
        return NAMESPACE, tag
    namespace, _, name = tag[1:].partition("}")
    return namespace, name


# --- accounts ---------------------------------------------------------------------------------------------------------

# The task scheduler itself takes these words, in every language; any other name only the host can resolve.
_SERVICE_ACCOUNTS = {
    "system": "S-1-5-18", "localsystem": "S-1-5-18", "localservice": "S-1-5-19", "networkservice": "S-1-5-20",
}  # fmt: skip
_ACCOUNT_TAGS = frozenset({"UserId", "GroupId"})


def account_names(task: Element) -> tuple[str, ...]:
    """The names, as written, of users and groups in principals and triggers that a host has to resolve to SIDs."""
    names = (element.text.strip() for element in _walk(task) if element.tag in _ACCOUNT_TAGS)
    return tuple(dict.fromkeys(name for name in names if name and not _known_sid(name)))


def with_sids(task: Element, sids: Mapping[str, str]) -> Element:
    """The same task with these names (as written, case ignored) replaced by their SIDs."""
    return _with_sids(task, {name.casefold(): sid for name, sid in sids.items()})


def _with_sids(element: Element, sids: Mapping[str, str]) -> Element:
    if element.tag in _ACCOUNT_TAGS:
        name = element.text.strip()
        return replace(element, children=(sids.get(name.casefold(), element.text),)) if name else element
    children = (_with_sids(child, sids) if isinstance(child, Element) else child for child in element.children)
    return replace(element, children=tuple(children))


def _walk(element: Element) -> Iterator[Element]:
    yield element
    for child in element.elements:
        yield from _walk(child)


def _known_sid(name: str) -> str | None:
    if sddl.SID.fullmatch(name):
        return name.upper()
    word = name.casefold().removeprefix("nt authority\\").replace(" ", "")
    return _SERVICE_ACCOUNTS.get(word)


# --- values ---------------------------------------------------------------------------------------------------------

Reader = Callable[[Element], Value]
_DURATION = re.compile(
    r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.\d*)?S)?)?", re.ASCII
)
_CALENDAR = (
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "January", "February", "March",
    "April", "May", "June", "July", "August", "September", "October", "November", "December", "Last",
)  # fmt: skip


def seconds(duration: str) -> int | str:
    """An ISO 8601 duration in seconds; one with months or years, which have no length, as `P<months>MT<seconds>S`.

    What is no duration is given back as it is.
    """
    match = _DURATION.fullmatch(duration.strip())
    if not match or not any(match.groups()):
        return duration.strip()
    years, months, weeks, days, hours, minutes, rest = (int(number or 0) for number in match.groups())
    length = (((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60 + rest
    return f"P{years * 12 + months}MT{length}S" if years or months else length


def moment(text: str) -> str:
    """A boundary in one spelling: local wall clock without a zone; with one, the instant in UTC and a `Z`."""
    try:
        time = datetime.fromisoformat(text.strip())
        return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat()}Z" if time.tzinfo else time.isoformat()
    except (ValueError, OverflowError):
        return text.strip()


def _boolean(element: Element) -> Value:
    word = element.text.strip()
    return {"true": True, "1": True, "false": False, "0": False}.get(word.lower(), word)


def _integer(element: Element) -> Value:
    word = element.text.strip()
    return int(word) if re.fullmatch("[0-9]{1,9}", word) else word


def _length(element: Element) -> Value:
    return seconds(element.text)


def _moment(element: Element) -> Value:
    return moment(element.text)


def _text(element: Element) -> Value:
    return element.text


def _word(element: Element) -> Value:
    return element.text.strip()


def _guid(element: Element) -> Value:
    return element.text.strip().upper()


def _account(element: Element) -> Value:
    name = element.text.strip()
    return _known_sid(name) or name


def _members(element: Element) -> Value:
    """The members of a set: texts (<Day>1</Day>) or, where empty, tags (<Sunday/>)."""
    return [*sorted((child.text.strip() or child.tag for child in element.elements), key=_calendar_order)]


def _calendar_order(member: str) -> tuple[int, str]:
    if re.fullmatch("[0-9]{1,9}", member):
        return int(member), ""
    return 1000 + (_CALENDAR.index(member) if member in _CALENDAR else 100), member


def _query(element: Element) -> Value:
    """An event query is XML within text."""
    try:
        return _opaque(parse_xml(element.text))
    except ValueError:
        return element.text


def _descriptor(element: Element) -> Value:
    try:
        descriptor = sddl.parse(element.text)
    except ValueError:
        return element.text
    if descriptor.dacl is None:
        return sddl.render(descriptor)
    aces = tuple(replace(ace, mask=sddl.map_generic(ace.mask)) for ace in descriptor.dacl.aces)
    return sddl.render(replace(descriptor, dacl=replace(descriptor.dacl, aces=aces)))


def _opaque(element: Element) -> Value:
    if not element.attributes and not element.elements:
        return element.text
    return _xml(element, NAMESPACE, "\n")


# --- meaning ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fields:
    """What the children of an element are, and what one that is absent means."""

    readers: Mapping[str, Reader]
    defaults: Mapping[str, Value]

    def read(self, element: Element | None) -> Normal:
        normal: Normal = dict(self.defaults)
        seen: dict[str, int] = {}
        for child in element.elements if element else ():
            seen[child.tag] = seen.get(child.tag, 0) + 1
            key = child.tag if seen[child.tag] == 1 else f"{child.tag} {seen[child.tag]}"
            normal[key] = self.readers.get(child.tag, _opaque)(child)
        return normal

    def __call__(self, element: Element) -> Value:
        return self.read(element)


_REGISTRATION = _Fields(
    {"Description": _text, "Documentation": _text, "SecurityDescriptor": _descriptor},
    {"Description": "", "Documentation": ""},
)
_IGNORED_REGISTRATION = ("Date", "Author", "URI", "Version", "Source")
_PRINCIPAL = _Fields(
    {
        "UserId": _account, "GroupId": _account, "LogonType": _word, "RunLevel": _word, "RequiredPrivileges": _members,
        "ProcessTokenSidType": _word,
    },
    {"RunLevel": "LeastPrivilege"},
)  # fmt: skip
_IDLE = _Fields(
    {"Duration": _length, "WaitTimeout": _length, "StopOnIdleEnd": _boolean, "RestartOnIdle": _boolean},
    {"Duration": 600, "WaitTimeout": 3600, "StopOnIdleEnd": True, "RestartOnIdle": False},
)
_SWITCHES: dict[str, Value] = {
    "AllowStartOnDemand": True, "AllowHardTerminate": True, "Enabled": True, "DisallowStartIfOnBatteries": True,
    "StopIfGoingOnBatteries": True, "StartWhenAvailable": False, "RunOnlyIfNetworkAvailable": False,
    "RunOnlyIfIdle": False, "WakeToRun": False, "Hidden": False, "Volatile": False, "UseUnifiedSchedulingEngine": False,
    "DisallowStartOnRemoteAppSession": False,
}  # fmt: skip
_SETTINGS = _Fields(
    {
        **dict.fromkeys(_SWITCHES, _boolean),
        "MultipleInstancesPolicy": _word,
        "Priority": _integer,
        "ExecutionTimeLimit": _length,
        "DeleteExpiredTaskAfter": _length,
        "IdleSettings": _IDLE,
        "RestartOnFailure": _Fields({"Interval": _length, "Count": _integer}, {}),
        "MaintenanceSettings": _Fields({"Period": _length, "Deadline": _length, "Exclusive": _boolean}, {"Exclusive": False}),
        "NetworkSettings": _Fields({"Name": _text, "Id": _guid}, {}),
    },
    {
        **_SWITCHES,
        "MultipleInstancesPolicy": "IgnoreNew",
        "Priority": 7,
        "ExecutionTimeLimit": 72 * 3600,
        "IdleSettings": _IDLE.read(None),
    },
)
_DAYS = {"DaysOfMonth": _members, "Months": _members, "DaysOfWeek": _members, "Weeks": _members}
_TRIGGER_READERS: dict[str, Reader] = {
    "Enabled": _boolean,
    "StartBoundary": _moment,
    "EndBoundary": _moment,
    "ExecutionTimeLimit": _length,
    "RandomDelay": _length,
    "Delay": _length,
    "PeriodOfOccurrence": _length,
    "NumberOfOccurrences": _integer,
    "StateChange": _word,
    "StateName": _word,
    "UserId": _account,
    "Subscription": _query,
    "Repetition": _Fields(
        {"Interval": _length, "Duration": _length, "StopAtDurationEnd": _boolean}, {"StopAtDurationEnd": False}
    ),
    "ScheduleByDay": _Fields({"DaysInterval": _integer}, {"DaysInterval": 1}),
    "ScheduleByWeek": _Fields({"WeeksInterval": _integer, **_DAYS}, {"WeeksInterval": 1}),
    "ScheduleByMonth": _Fields(_DAYS, {}),
    "ScheduleByMonthDayOfWeek": _Fields(_DAYS, {}),
}
_RANDOM_DELAY = frozenset({"CalendarTrigger", "TimeTrigger"})
_FIXED_DELAY = frozenset({"BootTrigger", "LogonTrigger", "RegistrationTrigger", "EventTrigger", "SessionStateChangeTrigger"})
_ACTIONS = {
    "Exec": _Fields({}, {"Arguments": "", "WorkingDirectory": ""}),
    "ComHandler": _Fields({"ClassId": _guid}, {"Data": ""}),
}
_SERVICE_SIDS = frozenset(_SERVICE_ACCOUNTS.values())


def normalise(task: Element | str | bytes) -> Normal:
    """What a task means, as nested dicts and lists: equal for two tasks that do the same.

    Keys RegistrationInfo, Principal, Settings, Triggers, Actions, and elements not known here. Lengths of time are
    seconds, switches booleans, sets sorted lists; triggers and actions have their kind under `type`. Accounts are as
    written: put SIDs in first (`account_names`, `with_sids`). Raises ValueError where it is no task.
    """
    root = task if isinstance(task, Element) else parse(task)
    parts = {"RegistrationInfo", "Principals", "Settings", "Triggers", "Actions"}
    rest = replace(root, children=tuple(child for child in root.elements if child.tag not in parts))
    triggers, actions = root.find("Triggers"), root.find("Actions")
    return {
        "RegistrationInfo": _registration(root.find("RegistrationInfo")),
        **_principals(root.find("Principals"), dict(actions.attributes).get("Context") if actions else None),
        "Settings": _SETTINGS.read(root.find("Settings")),
        "Triggers": [*map(_trigger, triggers.elements if triggers else ())],
        "Actions": [*map(_action, actions.elements if actions else ())],
        **_Fields({}, {}).read(rest),
    }


def _registration(element: Element | None) -> Normal:
    normal = _REGISTRATION.read(element)
    return {key: value for key, value in normal.items() if key.split(" ")[0] not in _IGNORED_REGISTRATION}


def _principals(element: Element | None, context: str | None) -> Normal:
    """The principal that the actions refer to; its id is a mere label. There is one, but the schema allows a list."""
    found = list(element.elements) if element else []
    found.sort(key=lambda principal: dict(principal.attributes).get("id") != context)
    normals = [_principal(principal) for principal in found] or [_principal(None)]
    others: Normal = {"OtherPrincipals": [*normals[1:]]} if normals[1:] else {}
    return {"Principal": normals[0], **others}


def _principal(element: Element | None) -> Normal:
    normal = _PRINCIPAL.read(element)
    if "GroupId" in normal or normal.get("UserId") in _SERVICE_SIDS:
        normal.pop("LogonType", None)
    return normal


def _trigger(element: Element) -> Normal:
    delay = "RandomDelay" if element.tag in _RANDOM_DELAY else "Delay" if element.tag in _FIXED_DELAY else None
    defaults: Normal = {"type": element.tag, "Enabled": True, **({delay: 0} if delay else {})}
    normal = _Fields(_TRIGGER_READERS, defaults).read(element)
    start = normal.get("StartBoundary")
    if isinstance(start, str) and not _date_counts(element.tag, normal):
        normal["StartBoundary"] = start.rpartition("T")[2]
    return normal


def _date_counts(kind: str, trigger: Normal) -> bool:
    """A start in the past is as good as any other, unless every second day or week is counted from it."""
    intervals = [trigger.get("ScheduleByDay"), trigger.get("ScheduleByWeek")]
    counted = [item.get("DaysInterval", item.get("WeeksInterval")) for item in intervals if isinstance(item, dict)]
    return kind == "TimeTrigger" or any(interval != 1 for interval in counted)


def _action(element: Element) -> Normal:
    fields = _ACTIONS.get(element.tag, _Fields({}, {}))
    return {"type": element.tag, **fields.read(element)}
