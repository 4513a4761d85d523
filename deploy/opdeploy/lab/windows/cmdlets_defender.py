"""Defender: how it runs (Get-MpComputerStatus), and its exclusions (Get-, Add- and Remove-MpPreference) in the registry.

A local exclusion is a value's name below `LOCAL`, one of a group policy below `POLICY`. What is in force is both, or the
policy's alone where it says so. Tamper protection refuses without an error; without the service every cmdlet of preferences
fails; a server without the feature Windows-Defender has none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from opdeploy.lab.windows import errors, registry, services
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.binding import Bound
from opdeploy.lab.windows.state import Json, State

DEFENDER = r"SOFTWARE\Microsoft\Windows Defender"
POLICIES = r"SOFTWARE\Policies\Microsoft\Windows Defender"
THREAT_PROTECTION = r"SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection"
LOCAL, POLICY = rf"{DEFENDER}\Exclusions", rf"{POLICIES}\Exclusions"
KEYS = {"ExclusionPath": "Paths", "ExclusionProcess": "Processes", "ExclusionExtension": "Extensions"}
_HIDDEN = "N/A: Must be an administrator to view exclusions"
_DENIED = "You don't have enough permissions to perform the requested operation."


def get_status(state: State, token: Token, call: Bound) -> list[Json]:
    """Without the service it says so; beside some products it fails as the others do, which is not modelled."""
    _check_installed(state, call)
    runs = services.runs(state, "WinDefend")
    passive = registry.value(registry.find(state, THREAT_PROTECTION), "ForceDefenderPassiveMode") == 1
    mode = ("Passive Mode" if passive else "Normal") if runs else "Not running"
    return [{"AMRunningMode": mode, "AMServiceEnabled": runs, "AntivirusEnabled": runs}]


def get_preference(state: State, token: Token, call: Bound) -> list[Json]:
    _check_running(state, call)
    hidden = not token.elevated or _policy(state, "HideExclusionsFromLocalAdmins")
    return [{name: [_HIDDEN] if hidden else _in_force(state, key) for name, key in KEYS.items()}]


def _in_force(state: State, name: str) -> list[str] | None:
    places = [POLICY] if _policy(state, "DisableLocalAdminMerge") else [LOCAL, POLICY]
    keys = [registry.find(state, rf"{place}\{name}") for place in places]
    found = {lower: value[0] for key in keys if key for lower, value in key["values"].items()}
    return [found[lower] for lower in sorted(found)] or None


def _policy(state: State, name: str) -> bool:
    return bool(registry.value(registry.find(state, POLICIES), name) == 1)


def add_preference(state: State, token: Token, call: Bound) -> list[Json]:
    for key, value in _changed(state, token, call):
        registry.set_value(key, value, "DWord", 0)
    return []


def remove_preference(state: State, token: Token, call: Bound) -> list[Json]:
    """What is not in the list is no error."""
    for key, value in _changed(state, token, call):
        registry.remove_value(key, value)
    return []


def _changed(state: State, token: Token, call: Bound) -> Iterator[tuple[Json, str]]:
    """The local key of each value that is given; nothing where tamper protection guards them."""
    _check_running(state, call)
    if not token.elevated:
        raise errors.cim(_DENIED, "HRESULT 0xc0000142", call.name, "PermissionDenied")
    if registry.value(registry.find(state, rf"{DEFENDER}\Features"), "TPExclusions") == 1:
        return
    for name, key in KEYS.items():
        for value in call.get(name, []):
            yield registry.create(state, rf"{LOCAL}\{key}"), value


def _check_installed(state: State, call: Bound) -> None:
    if state.features.get("windows-defender", {"state": "Installed"})["state"] != "Installed":
        raise errors.no_command(call.name)


def _check_running(state: State, call: Bound) -> None:
    _check_installed(state, call)
    if not services.runs(state, "WinDefend"):
        text = "Operation failed with the following error: 0x%1!x!"
        raise errors.cim(text, "HRESULT 0x800106ba", call.name, "NotSpecified", -2147023174)


COMMANDS: dict[str, Callable[[State, Token, Bound], list[Any]]] = {
    "Get-MpComputerStatus": get_status,
    "Get-MpPreference": get_preference,
    "Add-MpPreference": add_preference,
    "Remove-MpPreference": remove_preference,
}
