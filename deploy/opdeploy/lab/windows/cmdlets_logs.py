"""Event logs: `Get-WinEvent`, `Write-EventLog` and `wevtutil sl`. [MS-EVEN6 3.1.4.21]

What was set stands in the registry, where Windows has it: of a classic log below the EventLog service, of a channel below
WINEVT\\Channels. Whatever does not stand there is as the publisher's manifest has it, which `LOGS` knows. A group policy's
values win. That `wevtutil` rounds up to 64 KB is what Windows' own viewer does; its exit codes are Win32's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opdeploy.lab.windows import errors, events, registry, sddl
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.binding import Bound
from opdeploy.lab.windows.state import Json, State

CLASSIC = r"SYSTEM\CurrentControlSet\Services\EventLog"
CHANNELS = r"SOFTWARE\Microsoft\Windows\CurrentVersion\WINEVT\Channels"
POLICY = r"SOFTWARE\Policies\Microsoft\Windows\EventLog"
KEEP = 0xFFFFFFFF
STEP, LEAST = 64 << 10, 1 << 20
LONGEST_EVENT = 31_718  # characters, as found on Windows 10 (dotnet-api-docs #9999)
NO_SUCH_CHANNEL, BAD_PARAMETER, BAD_LIST, DENIED = 15007, 87, 1336, 5
Ended = tuple[int, bytes]

_USUAL = "O:BAG:SYD:(A;;0xf0007;;;SY)(A;;0x7;;;BA)(A;;0x3;;;IU)(A;;0x3;;;SU)(A;;0x3;;;S-1-5-33)(A;;0x1;;;S-1-5-32-573)"
_CLOSED = "O:BAG:SYD:(A;;0xf0005;;;SY)(A;;0x5;;;BA)(A;;0x1;;;S-1-5-32-573)"


@dataclass(frozen=True)
class Manifest:
    """A log as its publisher declares it."""

    classic: bool = False
    type: str = "Operational"
    enabled: bool = True
    size: int = 1028 << 10
    access: str = _USUAL

    @property
    def access_value(self) -> str:
        return "CustomSD" if self.classic else "ChannelAccess"


_CLASSIC = Manifest(classic=True, type="Administrative", size=20 << 20)
LOGS = {
    "Application": _CLASSIC,
    "Security": Manifest(classic=True, type="Administrative", size=20 << 20, access=_CLOSED),
    "System": _CLASSIC,
    "Windows PowerShell": Manifest(classic=True, type="Administrative", size=15 << 20),
    "Setup": Manifest(),
    "Microsoft-Windows-PowerShell/Operational": Manifest(size=15 << 20),
    "Microsoft-Windows-TaskScheduler/Operational": Manifest(enabled=False, size=10 << 20),
    "Microsoft-Windows-TerminalServices-LocalSessionManager/Operational": Manifest(),
    "Microsoft-Windows-WinRM/Operational": Manifest(),
    "Microsoft-Windows-Windows Defender/Operational": Manifest(size=16 << 20),
    "Microsoft-Windows-WMI-Activity/Trace": Manifest(type="Analytical", enabled=False),
}
_BY_NAME = {name.lower(): name for name in LOGS}


def get_events(state: State, token: Token, call: Bound) -> list[Json]:
    if query := call.get("FilterXml"):
        return events.found(state, token, query, call.get("MaxEvents"), call.name)
    return [_row(state, token, name, call) for name in call.get("ListLog")]


def _row(state: State, token: Token, asked: str, call: Bound) -> Json:
    if any(char in asked for char in "*?["):
        raise errors.not_modelled("Get-WinEvent -ListLog with a pattern")
    name = _BY_NAME.get(asked.lower())
    if name is None:
        text = f'There is not an event log on the localhost computer that matches "{asked}".'
        raise errors.item(text, "System.Exception", "NoMatchingLogsFound", call.name, "ObjectNotFound")
    if name == "Security" and not token.elevated:
        text = "Attempted to perform an unauthorized operation."
        type = "System.UnauthorizedAccessException"
        raise errors.item(text, type, "LogInfoUnavailable", call.name, "NotSpecified", errors.DENIED)
    return {"LogName": name, **_effective(state, name)}


def _path(name: str) -> str:
    return rf"{CLASSIC if LOGS[name].classic else CHANNELS}\{name}"


def _effective(state: State, name: str) -> Json:
    """What the service logs by."""
    log, key = LOGS[name], registry.find(state, _path(name))
    told = _told(registry.find(state, rf"{POLICY}\{name}"))
    size = registry.value(key, "MaxSize", log.size) + (registry.value(key, "MaxSizeUpper", 0) << 32)
    return {
        "LogType": log.type,
        "IsClassicLog": log.classic,
        "IsEnabled": log.classic or bool(registry.value(key, "Enabled", log.enabled)),
        "LogMode": _mode(bool(registry.value(key, "Retention", 0)), bool(registry.value(key, "AutoBackupLogFiles", 0))),
        "MaximumSizeInBytes": size,
        "SecurityDescriptor": registry.value(key, log.access_value, log.access),
    } | told


def _told(policy: Json | None) -> Json:
    """A group policy's words; sizes in KB. [EventLog.admx]"""
    said: Json = {}
    if (size := registry.value(policy, "MaxSize")) is not None:
        said["MaximumSizeInBytes"] = size << 10
    if (keeps := registry.value(policy, "Retention")) is not None:
        said["LogMode"] = _mode(keeps == "1", registry.value(policy, "AutoBackupLogFiles") == "1")
    if access := registry.value(policy, "ChannelAccess"):
        said["SecurityDescriptor"] = access
    return said


def _mode(keeps: bool, archives: bool) -> str:
    return ("AutoBackup" if archives else "Retain") if keeps else "Circular"


# ---------------------------------------------------------------- Write-EventLog


def write_event(state: State, token: Token, call: Bound) -> list[Json]:
    """As the cmdlet's published source does it: a source is looked for under every log, and belongs to one."""
    source, log, text, type = call.get("Source"), call.get("LogName"), call.get("Message"), call.get("EntryType", "Information")
    home = _home(state, source)
    if home is None:
        raise _unwritten(f'The source name "{source}" does not exist on computer "localhost".', "", call)
    if home.lower() != log.lower():
        said = f"The source '{source}' is not registered in log '{log}'. (It is registered in log '{home}'.)"
        raise _unwritten(said, f"{said},", call)
    if home != "Application" or type not in events.LEVELS:
        raise errors.not_modelled(f"Write-EventLog -LogName {home} -EntryType {type}")
    if len(text.encode("utf-16-le")) // 2 > LONGEST_EVENT:
        raise _unwritten("The event can not be written.", "OSWritingError,", call)
    events.written(state, source, call.get("EventId"), type, text)
    return []


def _home(state: State, source: str) -> str | None:
    """The log below which a source is registered."""
    logs = (registry.find(state, CLASSIC) or {"keys": {}})["keys"].values()
    return next((key["name"] for key in logs if source.lower() in key["keys"]), None)


def _unwritten(text: str, id: str, call: Bound) -> errors.Refused:
    type = "System.InvalidOperationException"
    return errors.Refused(text, type, id + errors.cmdlet(call.name), "InvalidOperation", -2146233079)


# ---------------------------------------------------------------- wevtutil sl


def set_log(state: State, token: Token, words: list[str]) -> Ended:
    name = _BY_NAME.get(words[0].lower()) if words else None
    if not token.elevated:
        return _failed(DENIED, "Access is denied.")
    if name is None:
        return _failed(NO_SUCH_CHANNEL, "The specified channel could not be found.")
    options = {option.lower(): text for option, _, text in (word.partition(":") for word in words[1:])}
    if not options or not set(options) <= set(_SETTERS):
        return _failed(BAD_PARAMETER, "The parameter is incorrect.")
    if LOGS[name].classic and "/e" in options:
        raise errors.not_modelled("wevtutil.exe sl /e: of a classic log")
    try:
        values = [value for option, text in options.items() for value in _SETTERS[option](LOGS[name], text)]
    except (ValueError, KeyError):
        code = BAD_LIST if "/ca" in options else BAD_PARAMETER
        return _failed(code, "The parameter is incorrect.")
    key = registry.create(state, _path(name))
    for value, kind, data in values:
        registry.set_value(key, value, kind, data)
    return 0, b""


def _failed(code: int, text: str) -> Ended:
    return code, f"Failed to save configuration or activate log.\r\n{text}\r\n".encode("ascii")


Values = list[tuple[str, str, Any]]


def _size(log: Manifest, text: str) -> Values:
    size = -(-int(text) // STEP) * STEP
    if size < LEAST:
        raise ValueError(text)
    return [("MaxSize", "DWord", size & KEEP), ("MaxSizeUpper", "DWord", size >> 32)]


def _switch(value: str, on: int) -> Callable[[Manifest, str], Values]:
    def set_it(log: Manifest, text: str) -> Values:
        return [(value, "DWord", {"true": on, "false": 0}[text.lower()])]

    return set_it


def _access(log: Manifest, text: str) -> Values:
    sddl.parse(text)
    return [(log.access_value, "String", text)]


_SETTERS: dict[str, Callable[[Manifest, str], Values]] = {
    "/ms": _size,
    "/rt": _switch("Retention", KEEP),
    "/ab": _switch("AutoBackupLogFiles", 1),
    "/e": _switch("Enabled", 1),
    "/ca": _access,
}

COMMANDS: dict[str, Callable[[State, Token, Bound], list[Json]]] = {"Get-WinEvent": get_events, "Write-EventLog": write_event}
PROGRAMS: dict[tuple[str, str], Callable[[State, Token, list[str]], Ended]] = {("wevtutil.exe", "sl"): set_log}
