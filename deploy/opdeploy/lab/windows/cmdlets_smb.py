"""Shared folders: New-, Set- and Remove-SmbShare over what the server service keeps in the registry.

A share is a value of `KEY` (REG_MULTI_SZ) and its descriptor one of `SECURITY` (REG_BINARY, self-relative). Flags are those of
MS-SRVS 2.2.4.29. Error ids are the provider's: ``Windows System Error N,CMDLET``.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from opdeploy.lab.windows import errors, files, registry, sddl
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.binding import Bound
from opdeploy.lab.windows.errors import Refused
from opdeploy.lab.windows.state import Json, State

KEY = r"SYSTEM\CurrentControlSet\Services\LanmanServer\Shares"
SECURITY = rf"{KEY}\Security"
DEFAULT = "O:SYG:SYD:(A;;0x1200a9;;;WD)"
_CACHING = {"Manual": 0, "Documents": 0x10, "Programs": 0x20, "None": 0x30, "BranchCache": 0x2000}
_ALL_CACHING, _ACCESS_BASED = 0x2030, 0x800
_SAID = {
    3: "The system cannot find the path specified.",
    5: "Access is denied.",
    87: "The parameter is incorrect.",
    2118: "The name has already been shared.",
}


def new_share(state: State, token: Token, call: Bound) -> list[Json]:
    _check_elevated(token, call)
    folder = files.find(state, call.get("Path"))
    if folder is None or not folder["directory"]:
        raise _refused(3, call)
    if _lines(state, call.get("Name")):
        raise _refused(2118, call)
    lines = {"CATimeout": "0", "CSCFlags": "0", "MaxUses": "4294967295", "Path": call.get("Path"), "Permissions": "0"}
    _store(state, call.get("Name"), lines | {"ShareName": call.get("Name"), "Type": "0"}, call)
    if not call.given("SecurityDescriptor"):
        _secure(state, call.get("Name"), DEFAULT, call)
    return []


def set_share(state: State, token: Token, call: Bound) -> list[Json]:
    for name in _there(state, token, call):
        _store(state, name, _lines(state, name), call)
    return []


def remove_share(state: State, token: Token, call: Bound) -> list[Json]:
    for name in _there(state, token, call):
        for path in (KEY, SECURITY):
            registry.remove_value(registry.create(state, path), name)
    return []


def _there(state: State, token: Token, call: Bound) -> list[str]:
    """The shares that are meant. Without -Force both cmdlets ask first, which the lab has no answer to."""
    _check_elevated(token, call)
    if not call.get("Force"):
        raise errors.not_modelled(f"{call.name} without -Force")
    for name in call.get("Name"):
        if not _lines(state, name):
            raise errors.cim_not_found("MSFT_SMBShare", "Name", name, call.name)
    return list(call.get("Name"))


def _lines(state: State, name: str) -> dict[str, str]:
    lines = registry.value(registry.find(state, KEY), name, [])
    return {word: value for word, _, value in (line.partition("=") for line in lines)}


def _store(state: State, name: str, lines: dict[str, str], call: Bound) -> None:
    lines = lines | {"CSCFlags": str(_flags(int(lines["CSCFlags"]), call))}
    if call.given("Description"):
        lines["Remark"] = call.get("Description")
    if not lines.get("Remark"):
        lines.pop("Remark", None)
    if call.given("SecurityDescriptor"):
        _secure(state, name, call.get("SecurityDescriptor"), call)
    stored = [f"{word}={value}" for word, value in sorted(lines.items())]
    registry.set_value(registry.create(state, KEY), name, "MultiString", stored)


def _flags(flags: int, call: Bound) -> int:
    if call.given("CachingMode"):
        flags = flags & ~_ALL_CACHING | _CACHING[call.get("CachingMode")]
    if call.given("FolderEnumerationMode"):
        flags = flags & ~_ACCESS_BASED | (_ACCESS_BASED if call.get("FolderEnumerationMode") == "AccessBased" else 0)
    return flags


def _secure(state: State, name: str, text: str, call: Bound) -> None:
    try:
        blob = sddl.to_bytes(sddl.parse(text, state.facts.machine_sid))
    except (ValueError, KeyError):
        raise _refused(87, call) from None
    registry.set_value(registry.create(state, SECURITY), name, "Binary", base64.b64encode(blob).decode())


def _check_elevated(token: Token, call: Bound) -> None:
    if not token.elevated:
        raise _refused(5, call)


def _refused(code: int, call: Bound) -> Refused:
    category = "PermissionDenied" if code == 5 else "NotSpecified"
    return errors.cim(f"{_SAID[code]} ", f"Windows System Error {code}", call.name, category)


COMMANDS: dict[str, Callable[[State, Token, Bound], list[Any]]] = {
    "New-SmbShare": new_share,
    "Set-SmbShare": set_share,
    "Remove-SmbShare": remove_share,
}
