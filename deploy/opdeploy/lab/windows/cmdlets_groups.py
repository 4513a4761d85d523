"""Local groups themselves: Get-, New-, Set- and Remove-LocalGroup, with the module's error ids. Members: `cmdlets_users`."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from typing import Any

from opdeploy.lab.windows import accounts, errors
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.binding import Bound
from opdeploy.lab.windows.errors import Refused
from opdeploy.lab.windows.state import Json, State

LONGEST = 256
_BAD_NAME = re.compile(r'["/\\\[\]:;|=,+*?<>\x00-\x1f]|\A[.\s]*\Z')


def get_group(state: State, token: Token, call: Bound) -> list[Json]:
    by_name = sorted(state.groups, key=lambda sid: state.groups[sid]["name"].lower())
    if not call.given("Name"):
        return [_row(state, sid) for sid in by_name]
    found: list[str] = []
    for name in call.get("Name"):
        matching = [sid for sid in by_name if fnmatch.fnmatchcase(state.groups[sid]["name"].lower(), name.lower())]
        if not matching and not set(name) & set("*?["):
            raise _missing(name, call)
        found += [sid for sid in matching if sid not in found]
    return [_row(state, sid) for sid in found]


def _row(state: State, sid: str) -> Json:
    group = state.groups[sid]
    about = {"Name": group["name"], "Description": group["description"], "SID": sid}
    return about | {"PrincipalSource": "Local", "ObjectClass": "Group"}


def new_group(state: State, token: Token, call: Bound) -> list[Json]:
    name = call.get("Name")
    if len(name) > LONGEST:
        text = f"Cannot validate argument on parameter 'Name'. It has more than {LONGEST} characters."
        raise errors.binding(text, "ParameterArgumentValidationError", errors.cmdlet(call.name), "ValidationMetadataException")
    _check_elevated(token, call)
    if _BAD_NAME.search(name):
        raise errors.local_accounts(f"Name {name} is invalid.", "InvalidName", call.name, "InvalidArgument")
    if _has(state.groups, name):
        raise errors.local_accounts(f"Group {name} already exists.", "GroupExists", call.name, "ResourceExists")
    if _has(state.users, name):
        raise errors.local_accounts(f"Name {name} is already in use.", "NameInUse", call.name, "InvalidArgument")
    sid = accounts.next_sid(state)
    state.groups[sid] = {"name": name, "description": call.get("Description", ""), "members": []}
    return [_row(state, sid)]


def _has(named: Json, name: str) -> bool:
    return any(each["name"].lower() == name.lower() for each in named.values())


def set_group(state: State, token: Token, call: Bound) -> list[Json]:
    name = call.get("Name")
    sid = next((sid for sid, group in state.groups.items() if group["name"].lower() == name.lower()), None)
    if sid is None:
        raise _missing(name, call)
    _check_elevated(token, call)
    state.groups[sid]["description"] = call.get("Description")
    return []


def remove_group(state: State, token: Token, call: Bound) -> list[Json]:
    """The group goes with its list of members; rights and descriptors keep the orphaned SID."""
    for sid in call.get("SID"):
        if sid not in state.groups:
            raise _missing(sid, call)
        _check_elevated(token, call)
        if sid.startswith("S-1-5-32-"):
            text = f"Cannot perform this operation on built-in accounts: {state.groups[sid]['name']}."
            raise errors.local_accounts(text, "InvalidOperation", call.name, "InvalidOperation")
        del state.groups[sid]
    return []


def _missing(what: str, call: Bound) -> Refused:
    return errors.local_accounts(f"Group {what} was not found.", "GroupNotFound", call.name)


def _check_elevated(token: Token, call: Bound) -> None:
    if not token.elevated:
        raise errors.local_accounts("Access denied.", "AccessDenied", call.name, "PermissionDenied")


COMMANDS: dict[str, Callable[[State, Token, Bound], list[Any]]] = {
    "Get-LocalGroup": get_group,
    "New-LocalGroup": new_group,
    "Set-LocalGroup": set_group,
    "Remove-LocalGroup": remove_group,
}
