"""Services: Get-, New-, Start- and Stop-Service of Windows PowerShell 5.1, with their error ids."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import Any

from opdeploy.lab.windows import errors, registry, services
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.binding import Bound
from opdeploy.lab.windows.errors import Refused
from opdeploy.lab.windows.state import Json, State

_START = {"Automatic": 2, "Manual": 3, "Disabled": 4, "Boot": 0, "System": 1}
_WIN32 = {
    1053: "The service did not respond to the start or control request in a timely fashion",
    1056: "An instance of the service is already running",
    1058: "The service cannot be started: it is disabled, or it has no enabled devices associated with it",
    1068: "The dependency service or group failed to start",
    1075: "The dependency service does not exist or has been marked for deletion",
}


def get_service(state: State, token: Token, call: Bound) -> list[Json]:
    if not token.elevated:
        text = "Cannot open Service Control Manager on computer '.'. This operation might require other privileges."
        type = "System.InvalidOperationException"
        raise Refused(text, type, f"{type},{errors.cmdlet(call.name)}", "NotSpecified", -2146233079)
    return [_row(state, key) for key in _chosen(state, call)]


def _chosen(state: State, call: Bound) -> list[Json]:
    everything = services.all_services(state)
    if not call.given("Name"):
        return everything
    found: list[Json] = []
    for name in call.get("Name"):
        matching = [key for key in everything if fnmatch.fnmatchcase(key["name"].lower(), name.lower())]
        if not matching and not set(name) & set("*?["):
            raise _not_found(name, call)
        found += [key for key in matching if key not in found]
    return found


def _not_found(name: str, call: Bound) -> Refused:
    text = f"Cannot find any service with service name '{name}'."
    return errors.service(text, "NoServiceFoundForGivenName", call.name)


def _row(state: State, key: Json) -> Json:
    running = services.runs(state, key["name"])
    return {
        "Name": key["name"],
        "ServiceName": key["name"],
        "DisplayName": _display_name(key),
        "Status": "Running" if running else "Stopped",
        "StartType": services.START_TYPES[registry.value(key, "Start", 3)],
        "CanStop": running and key["name"].lower() not in services.NO_STOP,
        "MachineName": ".",
    }


def new_service(state: State, token: Token, call: Bound) -> list[Json]:
    name = call.get("Name")
    if not token.elevated or services.find(state, name) is not None:
        text = f"Service '{name} ({call.get('DisplayName', name)})' cannot be created due to the following error: "
        text += "The specified service already exists" if token.elevated else "Access is denied"
        raise errors.service(text, "CouldNotNewService", call.name, "PermissionDenied")
    start = _START[call.get("StartupType", "Automatic")]
    key = services.create(state, name, call.get("BinaryPathName"), start=start)
    registry.set_value(key, "DisplayName", "String", call.get("DisplayName", name))
    if call.get("Description"):
        registry.set_value(key, "Description", "String", call.get("Description"))
    return [_row(state, key)]


def start_service(state: State, token: Token, call: Bound) -> list[Json]:
    for key in _chosen(state, call):
        if not token.elevated:
            raise _could_not(state, key, "Start", "Access is denied", call)
        code = services.start(state, key["name"])
        if code not in (0, 1056):
            raise _could_not(state, key, "Start", _WIN32[code], call)
    return []


def stop_service(state: State, token: Token, call: Bound) -> list[Json]:
    for key in _chosen(state, call):
        if not services.runs(state, key["name"]):
            continue
        if any(services.runs(state, one["name"]) for one in services.dependents(state, key["name"])):
            text = f"Cannot stop service '{_called(key)}' because it has dependent services."
            raise errors.service(text, "ServiceHasDependentServices", call.name, "InvalidOperation")
        if not token.elevated or key["name"].lower() in services.NO_STOP:
            raise _could_not(state, key, "Stop", "Cannot open the service or it does not accept a stop", call)
        services.set_running(state, key["name"], False)
    return []


def restart_service(state: State, token: Token, call: Bound) -> list[Json]:
    """Of WinRM, whatever session there was is gone. With -Force what needs a service is stopped first, and started again."""
    for key in _chosen(state, call):
        if not token.elevated:
            raise _could_not(state, key, "Stop", "Access is denied", call)
        if not call.given("Force"):
            raise errors.not_modelled(f"Restart-Service {key['name']} without -Force")
        if key["name"].lower() == "winrm":
            state.winrm_started = state.tick()
            continue
        ran = [one["name"] for one in services.dependents(state, key["name"]) if services.runs(state, one["name"])]
        for name in [*ran, key["name"]]:
            services.set_running(state, name, False)
        for name in [key["name"], *ran]:
            services.start(state, name)
    return []


def _could_not(state: State, key: Json, verb: str, why: str, call: Bound) -> Refused:
    text = f"Service '{_called(key)}' cannot be {verb.lower()}ed due to the following error: {why}"
    type, id = "System.ComponentModel.Win32Exception", f"CouldNot{verb}Service,{errors.cmdlet(call.name)}"
    return Refused(text, type, id, "OpenError" if verb == "Start" else "CloseError", -2147467259)


def _display_name(key: Json) -> str:
    """The key's name where the display name is in a library: the lab has none of those."""
    text = str(registry.value(key, "DisplayName", key["name"]))
    return str(key["name"]) if text.startswith("@") else text


def _called(key: Json) -> str:
    return f"{_display_name(key)} ({key['name']})"


COMMANDS: dict[str, Callable[[State, Token, Bound], list[Any]]] = {
    "Get-Service": get_service,
    "New-Service": new_service,
    "Start-Service": start_service,
    "Stop-Service": stop_service,
    "Restart-Service": restart_service,
}
