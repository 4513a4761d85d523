"""The registry: hives of keys whose names ignore case, and the 32-bit view.

Shape: ``state.registry[hive]`` is a key; a key is ``{"name", "values": {lower name: [name, kind, data]},
"keys": {lower name: key}}``. Kinds are .NET's RegistryValueKind names; Binary data is base64 text. CurrentControlSet is a
plain key here. The 32-bit view of HKLM\\SOFTWARE is SOFTWARE\\WOW6432Node, as on every 64-bit Windows.
"""

from __future__ import annotations

import base64
from typing import Any

from opdeploy.lab.windows.errors import Refused, dotnet, registry_denied
from opdeploy.lab.windows.state import Json, State

HIVES = {
    "localmachine": "LocalMachine",
    "users": "Users",
    "currentuser": "CurrentUser",
    "classesroot": "ClassesRoot",
    "currentconfig": "CurrentConfig",
}
VIEWS = ("registry64", "registry32", "default")
SYSTEM_ONLY = ("security", "sam")
KINDS = {"string": "String", "expandstring": "ExpandString", "binary": "Binary", "dword": "DWord", "qword": "QWord"}
KINDS["multistring"] = "MultiString"


def new_key(name: str) -> Json:
    return {"name": name, "values": {}, "keys": {}}


def find(state: State, path: str, hive: str = "LocalMachine", view: str = "Registry64") -> Json | None:
    """The key, or None where there is none. Raises Refused for a hive or view that .NET does not know."""
    key = state.registry.get(_hive(hive))
    for part in _parts(path, hive, view):
        key = key["keys"].get(part.lower()) if key else None
    return key


def create(state: State, path: str, hive: str = "LocalMachine", view: str = "Registry64") -> Json:
    """The key, made with all above it where it is missing."""
    name = _hive(hive)
    key: Json = state.registry.setdefault(name, new_key(name))
    for part in _parts(path, hive, view):
        key = key["keys"].setdefault(part.lower(), new_key(part))
    return key


def set_value(key: Json, name: str, kind: str, data: Any) -> None:
    """A value keeps the case that it was first written with."""
    old = key["values"].get(name.lower())
    key["values"][name.lower()] = [old[0] if old else name, kind, data]


def value(key: Json | None, name: str, default: Any = None) -> Any:
    """The data of a value; `default` where key or value is missing."""
    if key is None:
        return default
    found = key["values"].get(name.lower())
    return default if found is None else found[2]


def remove_value(key: Json, name: str) -> bool:
    return key["values"].pop(name.lower(), None) is not None


def remove_key(state: State, path: str) -> None:
    """A key of LocalMachine with all below it."""
    parent, _, name = path.rpartition("\\")
    above = find(state, parent)
    if above is not None:
        above["keys"].pop(name.lower(), None)


def answer(key: Json, values: list[str] | None, depth: int) -> Json:
    """What the verb registry.read gives: values with kinds, subkeys down to a depth."""
    wanted = None if values is None else {name.lower() for name in values}
    shown = {name: [kind, data] for lower, (name, kind, data) in key["values"].items() if wanted is None or lower in wanted}
    result: Json = {"values": shown}
    if depth > 0:
        result["subkeys"] = {sub["name"]: answer(sub, values, depth - 1) for sub in key["keys"].values()}
    return result


def check_readable(path: str, hive: str) -> None:
    """Only SYSTEM sees into SAM and SECURITY. Raises Refused."""
    first = path.strip("\\").split("\\")[0].lower()
    if hive.lower() == "localmachine" and first in SYSTEM_ONLY:
        raise registry_denied()


def checked_data(kind: str, data: Any) -> tuple[str, Any]:
    """Kind and data as stored, or Refused as .NET refuses a value that is not of its kind."""
    kind = KINDS.get(kind.lower(), "")
    limits = {"DWord": 1 << 32, "QWord": 1 << 64}
    if kind in limits and isinstance(data, int) and not isinstance(data, bool):
        if -limits[kind] // 2 <= data < limits[kind]:
            return kind, data % limits[kind]
    elif kind == "Binary" and isinstance(data, bytes):
        return kind, base64.b64encode(data).decode()
    elif kind in ("String", "ExpandString") and isinstance(data, str):
        return kind, data
    if kind == "MultiString" and isinstance(data, list) and all(isinstance(item, str) for item in data):
        return kind, data
    raise _wrong_kind()


def _wrong_kind() -> Refused:
    return dotnet(
        "The type of the value object did not match the specified RegistryValueKind or the object could not be properly "
        "converted.",
        "System.ArgumentException",
        -2147024809,
    )


def _hive(hive: str) -> str:
    name = HIVES.get(hive.lower())
    if name is None:
        raise dotnet(f"Invalid RegistryHive '{hive}'.", "System.Management.Automation.PSInvalidCastException")
    return name


def _parts(path: str, hive: str, view: str) -> list[str]:
    if view.lower() not in VIEWS:
        raise dotnet(f"Invalid RegistryView '{view}'.", "System.Management.Automation.PSInvalidCastException")
    parts = [part for part in path.split("\\") if part]
    redirected = view.lower() == "registry32" and hive.lower() == "localmachine" and parts[:1] != []
    if redirected and parts[0].lower() == "software" and [part.lower() for part in parts[1:2]] != ["wow6432node"]:
        parts.insert(1, "WOW6432Node")
    return parts
