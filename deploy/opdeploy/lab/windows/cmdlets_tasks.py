"""Scheduled tasks: the cmdlets of the module ScheduledTasks, with their error ids."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from opdeploy.lab.windows import accounts, errors, taskxml
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.binding import Bound
from opdeploy.lab.windows.errors import Refused
from opdeploy.lab.windows.state import Json, State

_CODES = {
    taskxml.BAD_VALUE: "The task XML contains a value which is incorrectly formatted or out of range.",
    taskxml.MISSING_NODE: "The task XML is missing a required element or attribute.",
    taskxml.MALFORMED: "The task XML is malformed.",
    taskxml.UNEXPECTED: "The task XML contains an unexpected node.",
    taskxml.NO_SUCH_ACCOUNT: "No mapping between account names and security IDs was done.",
    0x8007052E: "The user name or password is incorrect.",
    0x80070002: "The system cannot find the file specified.",
    0x80070005: "Access is denied.",
    0x8007007B: "The filename, directory name, or volume label syntax is incorrect.",
    0x800700B7: "Cannot create a file when that file already exists.",
}
_CATEGORIES = {0x80070002: "ObjectNotFound", 0x80070005: "PermissionDenied", 0x800700B7: "ResourceExists"}
_BAD_NAME = re.compile(r'[\\/:*?"<>|\x00-\x1f]|\A\s*\Z')
_SYSTEM_NAMES = {"system": "S-1-5-18", "local system": "S-1-5-18", "localsystem": "S-1-5-18"}
_SYSTEM_NAMES |= {"nt authority\\localservice": "S-1-5-19", "nt authority\\networkservice": "S-1-5-20"}


def _fails(code: int, call: Bound, more: str = "") -> Refused:
    category = _CATEGORIES.get(code, "NotSpecified")
    return errors.cim(f"{_CODES[code]} {more}".strip(), f"HRESULT {code:#010x}", call.name, category)


def full_path(folder: str, name: str) -> str:
    return "\\" + "\\".join(part for part in [*folder.split("\\"), name] if part)


def _stored(state: State, call: Bound) -> Json:
    """The task that name and folder (the root where none is given) say."""
    path = full_path(call.get("TaskPath", "\\"), call.get("TaskName", ""))
    found: Json | None = state.tasks.get(path.lower())
    if found is None:
        raise _fails(0x80070002, call)
    return found


def _check(token: Token, call: Bound, *modelled: str) -> None:
    unknown = set(call.parameters) - {"TaskName", "TaskPath", *modelled}
    if unknown:
        raise errors.not_modelled(f"{call.name} -{min(unknown)}")
    if not token.elevated:
        raise _fails(0x80070005, call)


# ---------------------------------------------------------------- reading


def export_task(state: State, token: Token, call: Bound) -> list[str]:
    if not call.given("TaskName"):
        raise errors.not_modelled("Export-ScheduledTask without -TaskName")
    _check(token, call)
    return [_stored(state, call)["xml"]]


# ---------------------------------------------------------------- writing


def register_task(state: State, token: Token, call: Bound) -> list[Json]:
    _check(token, call, "Xml", "Force")
    if call.set != "Xml":
        raise errors.not_modelled("Register-ScheduledTask without -Xml")
    name = call.get("TaskName", "")
    if _BAD_NAME.search(name):
        raise _fails(0x8007007B, call)
    path = full_path(call.get("TaskPath", "\\"), name)
    if path.lower() in state.tasks and not call.get("Force"):
        raise _fails(0x800700B7, call)
    try:
        xml = taskxml.registered(call.get("Xml"), path, token.user, lambda text: _account(state, text))
    except taskxml.Invalid as invalid:
        raise _fails(invalid.code, call, str(invalid)) from None
    state.tasks[path.lower()] = {"path": path, "xml": xml}
    return []


def _account(state: State, text: str) -> str | None:
    sid = _SYSTEM_NAMES.get(text.lower()) or accounts.principal(state, text)
    return sid if sid is not None and accounts.name_of(state, sid) is not None else None


def unregister_task(state: State, token: Token, call: Bound) -> list[Json]:
    chosen = _queried(state, token, call)
    if call.get("Confirm", True):
        text = "Windows PowerShell is in NonInteractive mode. Read and Prompt functionality is not available."
        type = "System.Management.Automation.PSInvalidOperationException"
        raise Refused(text, type, f"InvalidOperation,{call.name}", "InvalidOperation", -2146233079)
    for task in chosen:
        del state.tasks[task["path"].lower()]
    return []


def _queried(state: State, token: Token, call: Bound) -> list[Json]:
    """Tasks by name and folder, which is written with a bar at its end. Raises Refused as CDXML queries do."""
    found = list(state.tasks.values()) if token.elevated else []
    for parameter, part in (("TaskName", _name), ("TaskPath", _folder)):
        for wanted in call.get(parameter, []):
            found = [task for task in found if part(task).lower() == wanted.lower()]
            if not found:
                raise errors.cim_not_found("MSFT_ScheduledTask", parameter, wanted, call.name)
    return found


def _name(task: Json) -> str:
    return str(task["path"].rpartition("\\")[2])


def _folder(task: Json) -> str:
    return str(task["path"].rpartition("\\")[0]) + "\\"


def enable_task(state: State, token: Token, call: Bound) -> list[Json]:
    return _switch(state, token, call, True)


def disable_task(state: State, token: Token, call: Bound) -> list[Json]:
    return _switch(state, token, call, False)


def _switch(state: State, token: Token, call: Bound, enabled: bool) -> list[Json]:
    _check(token, call)
    task = _stored(state, call)
    task["xml"] = taskxml.with_enabled(task["xml"], enabled)
    return []


COMMANDS: dict[str, Callable[[State, Token, Bound], list[Any]]] = {
    "Export-ScheduledTask": export_task,
    "Register-ScheduledTask": register_task,
    "Unregister-ScheduledTask": unregister_task,
    "Enable-ScheduledTask": enable_task,
    "Disable-ScheduledTask": disable_task,
}
