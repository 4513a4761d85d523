"""Local users and groups: the cmdlets of the module Microsoft.PowerShell.LocalAccounts, with its error ids."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from opdeploy.lab.windows import accounts, errors
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.binding import Bound
from opdeploy.lab.windows.state import Json, State, instant, iso

MAX_PASSWORD_AGE = timedelta(days=42)
_PROPERTIES = {"FullName": "full_name", "Description": "description", "PasswordNeverExpires": "never_expires"}
_BAD_NAME = re.compile(r'["/\\\[\]:;|=,+*?<>@\x00-\x1f]|\A[.\s]*\Z')
_KINDS_OF_CHARACTERS = (str.isupper, str.islower, str.isdigit, lambda char: not char.isalnum())


# ---------------------------------------------------------------- reading


def get_user(state: State, token: Token, call: Bound) -> list[Json]:
    return [_user_row(sid, state.users[sid]) for sid in _chosen(state.users, call)]


def _chosen(users: Json, call: Bound) -> list[str]:
    by_name = sorted(users, key=lambda sid: users[sid]["name"].lower())
    if not call.given("Name"):
        return by_name
    found: list[str] = []
    for name in call.get("Name"):
        matching = [sid for sid in by_name if fnmatch.fnmatchcase(users[sid]["name"].lower(), name.lower())]
        if not matching and not set(name) & set("*?["):
            _missing("User", name, call)
        found += [sid for sid in matching if sid not in found]
    return found


def _missing(kind: str, what: str, call: Bound) -> str:
    raise errors.local_accounts(f"{kind} {what} was not found.", f"{kind}NotFound", call.name)


def _user_row(sid: str, user: Json) -> Json:
    last = user["password_last_set"]
    lasting = user["never_expires"] or last is None
    return {
        "Name": user["name"],
        "SID": sid,
        "FullName": user["full_name"],
        "Description": user["description"],
        "Enabled": user["enabled"],
        "AccountExpires": user["expires"],
        "LastLogon": user["last_logon"],
        "PasswordLastSet": last,
        "PasswordExpires": None if lasting else iso(instant(last) + MAX_PASSWORD_AGE),
        "PasswordChangeableDate": last,
        "PasswordRequired": user["required"],
        "UserMayChangePassword": user["may_change"],
        "PrincipalSource": "Local",
        "ObjectClass": "User",
    }


# ---------------------------------------------------------------- writing users


def new_user(state: State, token: Token, call: Bound) -> list[Json]:
    name = call.get("Name")
    _check_lengths(call)
    _check_expiry(call)
    _check_elevated(token, call)
    if _BAD_NAME.search(name):
        text = f"Name {name} is invalid."
        raise errors.local_accounts(text, "InvalidName", call.name, "InvalidArgument")
    if any(user["name"].lower() == name.lower() for user in state.users.values()):
        raise errors.local_accounts(f"User {name} already exists.", "UserExists", call.name, "ResourceExists")
    if any(group["name"].lower() == name.lower() for group in state.groups.values()):
        raise errors.local_accounts(f"Name {name} is already in use.", "NameInUse", call.name, "InvalidArgument")
    secret = call.get("Password")
    _check_password(state, name, secret.text, call)
    user = accounts.new_user(name, password=accounts.encoded(secret.text), password_last_set=state.time)
    user["enabled"] = not call.get("Disabled", False)
    user["may_change"] = not call.get("UserMayNotChangePassword", False)
    _set_properties(user, call)
    sid = accounts.next_sid(state)
    state.users[sid] = user
    return [_user_row(sid, user)]


def set_user(state: State, token: Token, call: Bound) -> list[Json]:
    _check_lengths(call)
    _check_expiry(call)
    user = state.users[_named(state, call.get("Name"), call)]
    _check_elevated(token, call)
    if call.given("Password"):
        secret = call.get("Password")
        _check_password(state, user["name"], secret.text, call)
        user |= {"password": accounts.encoded(secret.text), "password_last_set": state.time}
    if call.given("UserMayChangePassword"):
        user["may_change"] = call.get("UserMayChangePassword")
    _set_properties(user, call)
    return []


def _set_properties(user: Json, call: Bound) -> None:
    for parameter, name in _PROPERTIES.items():
        if call.given(parameter):
            user[name] = call.get(parameter)
    expires: datetime | None = call.get("AccountExpires")
    if expires is not None:
        user["expires"] = iso(expires)
    elif call.get("AccountNeverExpires"):
        user["expires"] = None


def enable_user(state: State, token: Token, call: Bound) -> list[Json]:
    return _switch(state, token, call, True)


def disable_user(state: State, token: Token, call: Bound) -> list[Json]:
    return _switch(state, token, call, False)


def _switch(state: State, token: Token, call: Bound, enabled: bool) -> list[Json]:
    for sid in [_named(state, name, call) for name in call.get("Name")]:
        _check_elevated(token, call)
        state.users[sid]["enabled"] = enabled
    return []


def remove_user(state: State, token: Token, call: Bound) -> list[Json]:
    """The account goes, and with it its memberships; rights and descriptors keep the orphaned SID."""
    for sid in [_known(state.users, "User", sid, call) for sid in call.get("SID")]:
        _check_elevated(token, call)
        if int(sid.rpartition("-")[2]) < 1000:
            text = "Cannot delete this user: it is built in."
            raise errors.local_accounts(text, "InvalidOperation", call.name, "InvalidOperation")
        del state.users[sid]
        for group in state.groups.values():
            group["members"] = [member for member in group["members"] if member != sid]
    return []


def _named(state: State, name: str, call: Bound) -> str:
    sid = next((sid for sid, user in state.users.items() if user["name"].lower() == name.lower()), None)
    return sid if sid is not None else _missing("User", name, call)


def _known(there: Json, kind: str, sid: str, call: Bound) -> str:
    return sid if sid in there else _missing(kind, sid, call)


# ---------------------------------------------------------------- members


def add_member(state: State, token: Token, call: Bound) -> list[Json]:
    group = state.groups[_known(state.groups, "Group", str(call.get("SID")), call)]
    _check_elevated(token, call)
    for text in call.get("Member"):
        sid = _principal(state, text, call)
        if sid in group["members"]:
            message = f"{text} is already a member of group {group['name']}."
            raise errors.local_accounts(message, "MemberExists", call.name, "ResourceExists")
        if sid.startswith(state.facts.machine_sid + "-") and accounts.name_of(state, sid) is None:
            raise errors.local_accounts(f"Member {text} was not found.", "MemberNotFound", call.name)  # STATUS_NO_SUCH_MEMBER
        group["members"] = [*group["members"], sid]
    return []


def remove_member(state: State, token: Token, call: Bound) -> list[Json]:
    group = state.groups[_known(state.groups, "Group", str(call.get("SID")), call)]
    _check_elevated(token, call)
    for text in call.get("Member"):
        sid = _principal(state, text, call)
        if sid not in group["members"]:
            message = f"Member {text} was not found in group {group['name']}."
            raise errors.local_accounts(message, "MemberNotFound", call.name)
        group["members"] = [member for member in group["members"] if member != sid]
    return []


def _principal(state: State, text: str, call: Bound) -> str:
    sid = accounts.principal(state, text)
    if sid is None:
        raise errors.local_accounts(f"Principal {text} was not found.", "PrincipalNotFound", call.name)
    return sid


# ---------------------------------------------------------------- checks


def _check_elevated(token: Token, call: Bound) -> None:
    if not token.elevated:
        raise errors.local_accounts("Access denied.", "AccessDenied", call.name, "PermissionDenied")


def _check_lengths(call: Bound) -> None:
    """What the parameters' own attributes refuse: a name above 20 characters, a description above 48."""
    for parameter, longest in (("Name", 20), ("Description", 48)):
        value = call.get(parameter)
        if isinstance(value, str) and len(value) > longest:
            text = f"Cannot validate argument on parameter '{parameter}'. It has more than {longest} characters."
            id, type = "ParameterArgumentValidationError", "ValidationMetadataException"
            refused = errors.binding(text, id, errors.cmdlet(call.name), type)
            refused.category = "InvalidData"
            raise refused


def _check_expiry(call: Bound) -> None:
    if call.given("AccountExpires") and call.get("AccountNeverExpires"):
        text = "The parameters AccountExpires and AccountNeverExpires may not be used together."
        raise errors.local_accounts(text, "InvalidParameters", call.name, "InvalidArgument")


def _check_password(state: State, name: str, password: str, call: Bound) -> None:
    """The local password policy: off by default but for what a test switches on."""
    policy = state.password_policy
    short = len(password) < policy["length"]
    kinds = sum(any(kind(char) for char in password) for kind in _KINDS_OF_CHARACTERS)
    weak = policy["complexity"] and (kinds < 3 or name.lower() in password.lower())
    if short or weak:
        text = "Unable to update the password. The value provided does not meet the requirements of the domain."
        raise errors.local_accounts(text, "InvalidPassword", call.name, "InvalidArgument")


COMMANDS: dict[str, Callable[[State, Token, Bound], list[Any]]] = {
    "Get-LocalUser": get_user,
    "New-LocalUser": new_user,
    "Set-LocalUser": set_user,
    "Enable-LocalUser": enable_user,
    "Disable-LocalUser": disable_user,
    "Remove-LocalUser": remove_user,
    "Add-LocalGroupMember": add_member,
    "Remove-LocalGroupMember": remove_member,
}
