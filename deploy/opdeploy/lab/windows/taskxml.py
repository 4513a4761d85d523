"""Task XML as the Task Scheduler takes it and gives it back [MS-TSCH 2.5].

It comes back in the dialect that Windows writes for most of its own tasks: sections in its order, defaults left out but for
those it always writes, the URI added, account names as SIDs. The lab's own reading, apart from ``opdeploy.formats``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement
from xml.sax.saxutils import escape, quoteattr

NAMESPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"
BAD_VALUE, MISSING_NODE, MALFORMED, UNEXPECTED = 0x80041318, 0x80041319, 0x8004131A, 0x80041316
NO_SUCH_ACCOUNT = 0x80070534
SECTIONS = ("RegistrationInfo", "Principals", "Settings", "Triggers", "Actions")
_INFO = ("Date", "Version", "SecurityDescriptor", "Source", "Author", "Description", "Documentation", "URI")
# Element: its default, '' for none. In the order of the minimal dialect.
_SETTINGS = {
    "AllowStartOnDemand": "true",
    "AllowHardTerminate": "true",
    "DisallowStartIfOnBatteries": "true",
    "StopIfGoingOnBatteries": "true",
    "DeleteExpiredTaskAfter": "",
    "Enabled": "true",
    "ExecutionTimeLimit": "PT72H",
    "Hidden": "false",
    "MultipleInstancesPolicy": "IgnoreNew",
    "Priority": "7",
    "RestartOnFailure": "",
    "StartWhenAvailable": "false",
    "RunOnlyIfNetworkAvailable": "false",
    "NetworkProfileName": "",
    "NetworkSettings": "",
    "RunOnlyIfIdle": "false",
    "WakeToRun": "false",
    "IdleSettings": "",
    "DisallowStartOnRemoteAppSession": "false",
    "UseUnifiedSchedulingEngine": "false",
    "MaintenanceSettings": "",
    "Volatile": "false",
}
_ALWAYS = {"DisallowStartIfOnBatteries", "StopIfGoingOnBatteries", "MultipleInstancesPolicy"}
_IDLE = {"Duration": "PT10M", "WaitTimeout": "PT1H", "StopOnIdleEnd": "true", "RestartOnIdle": "false"}
_TRIGGERS = (
    "BootTrigger", "RegistrationTrigger", "IdleTrigger", "TimeTrigger", "EventTrigger", "LogonTrigger",
    "SessionStateChangeTrigger", "CalendarTrigger", "WnfStateChangeTrigger",
)  # fmt: skip
_ACTIONS = ("Exec", "ComHandler", "SendEmail", "ShowMessage")
_PRINCIPAL = ("UserId", "GroupId", "DisplayName", "LogonType", "RunLevel", "ProcessTokenSidType", "RequiredPrivileges")
_LOGON_TYPES = ("S4U", "Password", "InteractiveToken", "InteractiveTokenOrPassword")
_SERVICE_ACCOUNTS = ("S-1-5-18", "S-1-5-19", "S-1-5-20")
_DURATION = re.compile(r"P(?=.)(\d+Y)?(\d+M)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")
_BOOLEANS = {name for name, default in _SETTINGS.items() if default in ("true", "false")} | {
    "StopAtDurationEnd",
    "StopOnIdleEnd",
    "RestartOnIdle",
}
_DURATIONS = {"ExecutionTimeLimit", "Interval", "Duration", "WaitTimeout", "RandomDelay", "Delay", "DeleteExpiredTaskAfter"}


class Invalid(Exception):
    """The scheduler's code for what is wrong with the XML."""

    def __init__(self, code: int, what: str) -> None:
        super().__init__(what)
        self.code = code


def registered(text: str, uri: str, user: str, resolve: Callable[[str], str | None]) -> str:
    """The XML that an export gives after a task was registered. `user`: the SID of who registers it; `resolve` turns a name
    or SID into a SID, None for nobody's. Raises Invalid."""
    task = _parsed(text)
    _check_values(task)
    sections = {name: task.find(name) for name in SECTIONS}
    if sections["Actions"] is None or not len(sections["Actions"]):
        raise Invalid(MISSING_NODE, "Actions")
    made = Element("Task")
    made.append(_info(sections["RegistrationInfo"], uri))
    made.append(_principals(sections["Principals"], user, resolve))
    made.append(_settings(sections["Settings"]))
    made.append(_triggers(sections["Triggers"]))
    actions = sections["Actions"]
    actions.set("Context", actions.get("Context", "Author"))
    made.append(actions)
    return printed(made)


def with_enabled(text: str, enabled: bool) -> str:
    """A stored task, switched on or off."""
    task = _parsed(text)
    settings = task.find("Settings")
    assert settings is not None
    old = settings.find("Enabled")
    if old is not None:
        settings.remove(old)
    if not enabled:
        SubElement(settings, "Enabled").text = "false"
    settings[:] = sorted(settings, key=lambda element: list(_SETTINGS).index(element.tag) if element.tag in _SETTINGS else 99)
    return printed(task)


def printed(task: Element) -> str:
    """UTF-16 declared, indented by two, CRLF: as the service prints it."""
    lines = ['<?xml version="1.0" encoding="UTF-16"?>', f'<Task xmlns="{NAMESPACE}">']
    for section in task:
        lines += _lines(section, 1)
    return "\r\n".join([*lines, "</Task>"])


def _lines(element: Element, depth: int) -> list[str]:
    pad = "  " * depth
    head = element.tag + "".join(f" {name}={quoteattr(value)}" for name, value in element.attrib.items())
    if len(element):
        inside = [line for child in element for line in _lines(child, depth + 1)]
        return [f"{pad}<{head}>", *inside, f"{pad}</{element.tag}>"]
    if not element.text:
        return [f"{pad}<{head} />"]
    return [f"{pad}<{head}>{escape(element.text)}</{element.tag}>"]


# ---------------------------------------------------------------- reading


def _parsed(text: str) -> Element:
    body = re.sub(r"\A\ufeff?\s*<\?xml[^>]*\?>", "", text)
    if "<!DOCTYPE" in body:
        raise Invalid(MALFORMED, "a document type")
    try:
        task = ElementTree.fromstring(body.encode("utf-16"))  # noqa: S314 - no document type, so no entities
    except ElementTree.ParseError as error:
        raise Invalid(MALFORMED, str(error)) from None
    for element in task.iter():
        namespace, _, name = element.tag.rpartition("}")
        if namespace != "{" + NAMESPACE:
            raise Invalid(UNEXPECTED, name)
        element.tag = name
        if len(element):
            element.text = None
        element.tail = None
    if task.tag != "Task":
        raise Invalid(UNEXPECTED, task.tag)
    return task


def _check_values(task: Element) -> None:
    _check_children(task, (*SECTIONS, "Data"))
    _check_children(task.find("Settings"), tuple(_SETTINGS))
    _check_children(task.find("Triggers"), _TRIGGERS)
    _check_children(task.find("Actions"), _ACTIONS)
    for principal in task.iterfind("Principals/Principal"):
        _check_children(principal, _PRINCIPAL)
    for trigger in task.iterfind("Triggers/LogonTrigger"):
        tags = [child.tag for child in trigger]
        if {"Delay", "UserId"} <= set(tags) and tags.index("Delay") < tags.index("UserId"):
            raise Invalid(UNEXPECTED, "UserId")  # a sequence in the schema (logonTriggerType)
    for exec in task.iterfind("Actions/Exec"):
        if not (exec.findtext("Command") or "").strip():
            raise Invalid(MISSING_NODE, "Command")
    for element in task.iter():
        if not len(element) and not _well_formed(element.tag, (element.text or "").strip()):
            raise Invalid(BAD_VALUE, f"{element.tag}: {element.text}")


def _check_children(parent: Element | None, known: tuple[str, ...]) -> None:
    for child in parent if parent is not None else ():
        if child.tag not in known:
            raise Invalid(UNEXPECTED, child.tag)


def _well_formed(tag: str, text: str) -> bool:
    if tag in _BOOLEANS:
        return text in ("true", "false", "0", "1")
    if tag in _DURATIONS:
        return _DURATION.fullmatch(text) is not None
    if tag in ("StartBoundary", "EndBoundary", "Date"):
        return _TIME.fullmatch(text) is not None
    choices = {
        "MultipleInstancesPolicy": ("Parallel", "Queue", "IgnoreNew", "StopExisting"),
        "LogonType": _LOGON_TYPES,
        "RunLevel": ("LeastPrivilege", "HighestAvailable"),
        "Priority": tuple(map(str, range(11))),
    }
    return tag not in choices or text in choices[tag]


# ---------------------------------------------------------------- the minimal dialect


def _copy(element: Element) -> Element:
    made = Element(element.tag, dict(element.attrib))
    made.text = element.text
    made.extend(_copy(child) for child in element)
    return made


def _add(parent: Element, tag: str, text: str | None) -> None:
    SubElement(parent, tag).text = text


def _info(given: Element | None, uri: str) -> Element:
    made = Element("RegistrationInfo")
    texts = {child.tag: child.text for child in given} if given is not None else {}
    texts["URI"] = uri
    for tag in _INFO:
        if tag in texts:
            _add(made, tag, texts[tag])
    return made


def _principals(given: Element | None, user: str, resolve: Callable[[str], str | None]) -> Element:
    made = Element("Principals")
    principals = list(given) if given is not None else []
    if not principals:
        principal = SubElement(made, "Principal", {"id": "Author"})
        _add(principal, "UserId", user)
        _add(principal, "LogonType", "InteractiveToken")
    for one in principals:
        made.append(_principal(one, user, resolve))
    return made


def _principal(given: Element, user: str, resolve: Callable[[str], str | None]) -> Element:
    made = Element("Principal", {"id": given.get("id", "Author")})
    texts = {child.tag: (child.text or "").strip() for child in given}
    if texts.get("LogonType") == "Password":
        raise Invalid(0x8007052E, "the user name or password is incorrect")
    for tag in ("UserId", "GroupId"):
        if tag in texts:
            sid = resolve(texts[tag])
            if sid is None:
                raise Invalid(NO_SUCH_ACCOUNT, texts[tag])
            _add(made, tag, sid)
            texts[tag] = sid
    if not {"UserId", "GroupId"} & set(texts):
        _add(made, "UserId", user)
    if "LogonType" in texts and "GroupId" not in texts and texts.get("UserId") not in _SERVICE_ACCOUNTS:
        _add(made, "LogonType", texts["LogonType"])
    if texts.get("RunLevel") == "HighestAvailable":
        _add(made, "RunLevel", "HighestAvailable")
    made.extend(_copy(child) for child in given if child.tag in ("DisplayName", "ProcessTokenSidType", "RequiredPrivileges"))
    return made


def _settings(given: Element | None) -> Element:
    made = Element("Settings")
    there = {child.tag: child for child in given} if given is not None else {}
    for tag, default in _SETTINGS.items():
        if tag == "IdleSettings":
            made.append(_idle(there.get(tag)))
        elif tag == "UseUnifiedSchedulingEngine":
            _add(made, tag, "true")
        elif tag in there and len(there[tag]):
            made.append(_copy(there[tag]))
        else:
            said = (there[tag].text or "").strip() if tag in there else default
            text = _plain(said) if tag in _BOOLEANS else said
            if tag in _ALWAYS or not _same(text, default):
                _add(made, tag, text)
    return made


def _plain(text: str | None) -> str:
    text = (text or "").strip()
    return {"1": "true", "0": "false"}.get(text, text)


def _same(text: str, default: str) -> bool:
    return text == default or (default == "PT72H" and text in ("P3D", "PT72H", "P3DT0H"))


def _idle(given: Element | None) -> Element:
    made = Element("IdleSettings")
    there = {child.tag: _plain(child.text) for child in given} if given is not None else {}
    for tag, default in _IDLE.items():
        text = there.get(tag, default)
        if tag in ("StopOnIdleEnd", "RestartOnIdle") or text != default:
            _add(made, tag, text)
    return made


def _triggers(given: Element | None) -> Element:
    made = Element("Triggers")
    for trigger in given if given is not None else ():
        copy = _copy(trigger)
        _drop(copy, "Enabled", "true")
        repetition = copy.find("Repetition")
        if repetition is not None:
            _drop(repetition, "StopAtDurationEnd", "false")
        made.append(copy)
    return made


def _drop(parent: Element, tag: str, default: str) -> None:
    child = parent.find(tag)
    if child is not None and _plain(child.text) == default:
        parent.remove(child)
