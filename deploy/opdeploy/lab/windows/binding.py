"""A cmdlet call held against the table of real cmdlets, as PowerShell's parameter binder does it before anything runs.

The table (Windows PowerShell 5.1 on Server 2016 and 2019) is read when it is first needed. `bind` gives the parameters in the
spelling and types of the cmdlet, or raises Refused with PowerShell's own error id.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any
from xml.etree import ElementTree

from opdeploy.lab.windows import errors
from opdeploy.lab.windows.errors import Refused
from opdeploy.lab.windows.state import Json, instant
from opdeploy.lab.windows.wire import Secure

ENUMS = {
    "Diagnostics.EventLogEntryType": "Error Warning Information SuccessAudit FailureAudit",
    "NetSecurity.Action": "NotConfigured Allow Block",
    "NetSecurity.Direction": "Inbound Outbound",
    "NetSecurity.Enabled": "True False",
    "NetSecurity.EdgeTraversal": "Block Allow DeferToUser DeferToApp",
    "NetSecurity.InterfaceType": "Any Wired Wireless RemoteAccess",
    "NetSecurity.Profile": "Any Domain Private Public NotApplicable",
    "NetSecurity.Authentication": "NotRequired Required NoEncap",
    "NetSecurity.Encryption": "NotRequired Required Dynamic",
    "ServiceProcess.ServiceStartMode": "Boot System Automatic Manual Disabled",
    "SmbShare.CachingMode": "None Manual Documents Programs BranchCache Unknown",
    "SmbShare.FolderEnumerationMode": "AccessBased Unrestricted",
}
FLAG_ENUMS = ("NetSecurity.Profile", "NetSecurity.InterfaceType")
SID = re.compile(r"S-1-\d+(-\d+)+", re.IGNORECASE)


@dataclass(frozen=True)
class Bound:
    """A call that binds: the cmdlet's real name, its parameter set, and its parameters converted."""

    name: str
    set: str
    parameters: dict[str, Any]

    def given(self, name: str) -> bool:
        return name in self.parameters

    def get(self, name: str, default: Any = None) -> Any:
        return self.parameters.get(name, default)


@cache
def table() -> Json:
    packed = resources.files("opdeploy.lab").joinpath("data/ps51_commands.json.gz").read_bytes()
    found: Json = json.loads(gzip.decompress(packed))
    return found


@cache
def _names() -> dict[str, str]:
    return {name.lower(): name for name in table()["commands"]}


def bind(name: str, given: dict[str, Any]) -> Bound:
    """Raises Refused: CommandNotFoundException, NamedParameterNotFound, AmbiguousParameterSet and the others."""
    real = _names().get(name.lower())
    if real is None:
        raise errors.no_command(name)
    entry = table()["commands"][real]
    command = errors.cmdlet(real) if entry["k"] == "C" else real
    parameters = _spelled(entry, given, command)
    converted = {
        parameter: _converted(_type(entry, parameter), value, parameter, command, compiled=entry["k"] == "C")
        for parameter, value in parameters.items()
    }
    return Bound(real, _set(entry, set(converted), command), converted)


def _spelled(entry: Json, given: dict[str, Any], command: str) -> dict[str, Any]:
    known = {name.lower(): name for name in entry["p"]}
    known |= {alias.lower(): name for alias, name in entry.get("a", {}).items()}
    found: dict[str, Any] = {}
    for name, value in given.items():
        real = known.get(name.lower())
        if real is None:
            text = f"A parameter cannot be found that matches parameter name '{name}'."
            raise errors.binding(text, "NamedParameterNotFound", command)
        if real in found:
            text = f"Cannot bind parameter because parameter '{real}' is specified more than once."
            raise errors.binding(text, "ParameterAlreadyBound", command)
        found[real] = value
    return found


def _type(entry: Json, parameter: str) -> str:
    number = entry["p"][parameter].get("t")
    return "" if number is None else str(table()["types"][number])


# ---------------------------------------------------------------- parameter sets


def _set(entry: Json, bound: set[str], command: str) -> str:
    sets = entry.get("sets") or ["__AllParameterSets"]
    possible = [one for one in sets if all(_in_set(entry, parameter, one) for parameter in bound)]
    if not possible:
        raise _ambiguous(command)
    complete = [one for one in possible if not _missing(entry, one, bound)]
    if len(complete) == 1:
        return str(complete[0])
    default = entry.get("def")
    if default in (complete or possible):
        if complete:
            return str(default)
        possible = [default]
    if len(complete) > 1 or len(possible) > 1:
        raise _ambiguous(command)
    missing = " ".join(_missing(entry, possible[0], bound))
    text = f"Cannot process command because of one or more missing mandatory parameters: {missing}."
    raise errors.binding(text, "MissingMandatoryParameter", command)


def _in_set(entry: Json, parameter: str, one: str) -> bool:
    sets = entry["p"][parameter].get("s")
    return sets is None or one in sets


def _missing(entry: Json, one: str, bound: set[str]) -> list[str]:
    sets = entry.get("sets") or []
    forms = entry.get("syn", [])
    form: Json = forms[sets.index(one)] if one in sets and len(sets) == len(forms) else forms[0] if len(forms) == 1 else {}
    wanted = [name for name, (mandatory, _) in form.items() if mandatory and _in_set(entry, name, one)]
    wanted += [name for name, x in entry["p"].items() if (x.get("s") or {}).get(one, [0])[0]]
    return [name for name in dict.fromkeys(wanted) if name not in bound]


def _ambiguous(command: str) -> Refused:
    text = "Parameter set cannot be resolved using the specified named parameters."
    return errors.binding(text, "AmbiguousParameterSet", command)


# ---------------------------------------------------------------- types


class _CannotConvert(Exception):
    pass


def _converted(type: str, value: Any, parameter: str, command: str, *, compiled: bool) -> Any:
    try:
        return _as_type(type, value)
    except _CannotConvert:
        short = type.rpartition(".")[2]
        text = f"Cannot bind parameter '{parameter}'. Cannot convert the value to type \"{short}\"."
        if compiled:
            raise errors.binding(text, "CannotConvertArgumentNoMessage", command, "PSInvalidCastException") from None
        raise errors.binding(text, "ParameterArgumentTransformationError", command, "PSInvalidCastException") from None


def _as_type(type: str, value: Any) -> Any:
    if type.endswith("[]"):
        items = value if isinstance(value, list) else [value]
        return [_as_type(type[:-2], item) for item in items]
    enum = ".".join(type.split(".")[-2:])
    if enum in ENUMS:
        return _as_enum(enum, value)
    convert = _CONVERTERS.get(type.rpartition(".")[2])
    if convert is None or (value is None and convert is not _text):
        raise _CannotConvert
    return convert(value)


def _as_enum(enum: str, value: Any) -> Any:
    names = {name.lower(): name for name in ENUMS[enum].split()}
    words = value if isinstance(value, list) else str(value).split(",")
    if isinstance(value, bool) or (len(words) > 1 and enum not in FLAG_ENUMS):
        raise _CannotConvert
    found = [names.get(str(word).strip().lower()) for word in words]
    if None in found:
        raise _CannotConvert
    return found if enum in FLAG_ENUMS else found[0]


def _text(value: Any) -> str:
    if isinstance(value, dict | bytes):
        raise _CannotConvert
    if isinstance(value, list):
        return " ".join(_text(item) for item in value)
    return "" if value is None else str(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool | int | float):
        return bool(value)
    raise _CannotConvert


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise _CannotConvert from None


def _time(value: Any) -> datetime:
    try:
        return instant(str(value))
    except ValueError:
        raise _CannotConvert from None


def _sid(value: Any) -> str:
    if isinstance(value, str) and SID.fullmatch(value):
        return value.upper()
    raise _CannotConvert


def _secure(value: Any) -> Secure:
    if isinstance(value, Secure):
        return value
    raise _CannotConvert


def _document(value: Any) -> str:
    """PowerShell makes a document of a text; the model keeps the text."""
    try:
        ElementTree.fromstring(value)  # noqa: S314 - what our own session sent
    except (ElementTree.ParseError, TypeError):
        raise _CannotConvert from None
    return str(value)


_CONVERTERS = {
    "String": _text,
    "WildcardPattern": _text,
    "LocalPrincipal": _text,
    "Feature": _text,
    "Object": lambda value: value,
    "Boolean": _boolean,
    "SwitchParameter": _boolean,
    "Int32": _number,
    "UInt32": _number,
    "Int64": _number,
    "DateTime": _time,
    "SecurityIdentifier": _sid,
    "SecureString": _secure,
    "XmlDocument": _document,
}
