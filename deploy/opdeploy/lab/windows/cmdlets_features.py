"""Roles and features of Windows Server: Get-, Install- and Uninstall-WindowsFeature of the module ServerManager.

Shape: ``state.features`` is {name in lower case: {"name", "state"}}, the state being InstallState's word. A workstation has
none of them, and no such module.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import Any

from opdeploy.lab.windows import errors, seeds
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.binding import Bound
from opdeploy.lab.windows.errors import Refused
from opdeploy.lab.windows.state import Json, State

_COMMANDS = "Microsoft.Windows.ServerManager.Commands."
_CLASSES = {"Install-WindowsFeature": "AddWindowsFeatureCommand", "Uninstall-WindowsFeature": "RemoveWindowsFeatureCommand"}
_NO_SOURCE = "The request to add or remove features on the specified server failed. The source files could not be found."


def get_feature(state: State, token: Token, call: Bound) -> list[Json]:
    """A name that Windows does not know gives nothing, and no error."""
    _check_server(state, call)
    wanted = [name.lower() for name in call.get("Name", ["*"])]
    found = [state.features[name] for name in sorted(state.features) if any(fnmatch.fnmatchcase(name, one) for one in wanted)]
    return [{"Name": each["name"], "InstallState": each["state"]} for each in found]


def install_feature(state: State, token: Token, call: Bound) -> list[Json]:
    for feature in _named(state, token, call):
        if feature["state"] == "Removed":
            raise _refused(_NO_SOURCE, "DISMAPI_Error__Cbs_Download_Failure", call, "InvalidResult")
        _set(feature, "Installed")
        tools = state.features.get(seeds.MANAGEMENT_TOOLS.get(feature["name"], "").lower())
        if call.get("IncludeManagementTools") and tools:
            _set(tools, "Installed")
    return []


def uninstall_feature(state: State, token: Token, call: Bound) -> list[Json]:
    for feature in _named(state, token, call):
        if feature["state"] in ("Installed", "InstallPending"):
            _set(feature, "Available")
    return []


def _set(feature: Json, wanted: str) -> None:
    """Some are only made ready, and done when Windows starts."""
    pending = {"Installed": "InstallPending", "Available": "UninstallPending"}
    if feature["state"] not in (wanted, pending[wanted]):
        feature["state"] = pending[wanted] if feature["name"] in seeds.NEED_A_RESTART else wanted


def restart(state: State) -> None:
    """What waited for it is done."""
    done = {"InstallPending": "Installed", "UninstallPending": "Available"}
    for feature in state.features.values():
        feature["state"] = done.get(feature["state"], feature["state"])


def _named(state: State, token: Token, call: Bound) -> list[Json]:
    _check_server(state, call)
    if not token.elevated:
        text = "You do not have adequate user rights to make changes to the target computer."
        raise _refused(text, "UnauthorizedAccess", call, "PermissionDenied")
    for name in call.get("Name"):
        if name.lower() not in state.features:
            text = f"ArgumentNotValid: The role, role service, or feature name is not valid: '{name}'. The name was not found."
            raise _refused(text, "NameDoesNotExist", call, "InvalidArgument")
    return [state.features[name.lower()] for name in call.get("Name")]


def _refused(text: str, id: str, call: Bound, category: str) -> Refused:
    return Refused(text, "System.Exception", f"{id},{_COMMANDS}{_CLASSES[call.name]}", category)


def _check_server(state: State, call: Bound) -> None:
    if state.facts.product == "WinNT":
        raise errors.no_command(call.name)


COMMANDS: dict[str, Callable[[State, Token, Bound], list[Any]]] = {
    "Get-WindowsFeature": get_feature,
    "Install-WindowsFeature": install_feature,
    "Uninstall-WindowsFeature": uninstall_feature,
}
