"""Who is who on a machine: names to SIDs and back, groups and the tokens that come of them.

Shapes: ``state.users[sid]`` is ``{name, full_name, description, enabled, password (base64), password_last_set, never_expires,
may_change, required, expires, last_logon}``, ``state.groups[sid]`` is ``{name, description, members [sid]}``. The password is
there because NTLM needs it. Names of Windows' own accounts are those of the machine's language.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from dataclasses import dataclass

from opdeploy.lab.windows import registry
from opdeploy.lab.windows.state import Json, State, instant

ADMINISTRATORS, REMOTE_MANAGEMENT = "S-1-5-32-544", "S-1-5-32-580"
POLICIES = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System"
SERVICES = r"SYSTEM\CurrentControlSet\Services"
_AUTHORITY = {"en": "NT AUTHORITY", "de": "NT-AUTORITÄT"}
_BUILTIN = {"en": "BUILTIN", "de": "VORDEFINIERT"}
# SID: (English, German), each with its authority's number: 0 none, 1 NT AUTHORITY
_WELL_KNOWN = {
    "S-1-1-0": (0, "Everyone", "Jeder"),
    "S-1-3-0": (0, "CREATOR OWNER", "ERSTELLER-BESITZER"),
    "S-1-5-2": (1, "NETWORK", "NETZWERK"),
    "S-1-5-3": (1, "BATCH", "BATCH"),
    "S-1-5-4": (1, "INTERACTIVE", "INTERAKTIV"),
    "S-1-5-6": (1, "SERVICE", "DIENST"),
    "S-1-5-11": (1, "Authenticated Users", "Authentifizierte Benutzer"),
    "S-1-5-18": (1, "SYSTEM", "SYSTEM"),
    "S-1-5-19": (1, "LOCAL SERVICE", "LOKALER DIENST"),
    "S-1-5-20": (1, "NETWORK SERVICE", "NETZWERKDIENST"),
    "S-1-5-113": (1, "Local account", "Lokales Konto"),
    "S-1-5-114": (
        1,
        "Local account and member of Administrators group",
        "Lokales Konto und Mitglied der Gruppe Administratoren",
    ),
    "S-1-5-80-0": (2, "ALL SERVICES", "ALLE DIENSTE"),
    "S-1-5-90-0": (3, "Window Manager Group", "Window Manager Group"),
    "S-1-5-83-0": (4, "Virtual Machines", "Virtuelle Computer"),
}
_OTHER_AUTHORITIES = {2: "NT SERVICE", 3: "Window Manager", 4: "NT VIRTUAL MACHINE"}


@dataclass(frozen=True)
class Token:
    """Whose rights a call has. `sids` are all that count in an access check: the user, and the groups that are enabled."""

    user: str
    name: str
    groups: tuple[str, ...]
    elevated: bool

    @property
    def sids(self) -> frozenset[str]:
        enabled = [sid for sid in self.groups if self.elevated or sid != ADMINISTRATORS]
        return frozenset([self.user, *enabled])


def language(state: State) -> str:
    return "de" if state.facts.culture.lower().startswith("de") else "en"


def service_sid(name: str) -> str:
    """The SID of NT SERVICE\\name: S-1-5-80 and the SHA-1 of the upper-case name."""
    digest = hashlib.sha1(name.upper().encode("utf-16-le"), usedforsecurity=False).digest()
    return "S-1-5-80-" + "-".join(map(str, struct.unpack("<5I", digest)))


def name_of(state: State, sid: str) -> str | None:
    """'AUTHORITY\\name', or the bare name where there is no authority; None is nobody's SID."""
    if sid in state.users:
        return f"{state.facts.name}\\{state.users[sid]['name']}"
    if sid in state.groups:
        where = _BUILTIN[language(state)] if sid.startswith("S-1-5-32-") else state.facts.name
        return f"{where}\\{state.groups[sid]['name']}"
    if sid in _WELL_KNOWN:
        return _well_known_name(state, sid)
    if sid in state.foreign:
        return str(state.foreign[sid])
    if sid.startswith("S-1-5-80-"):
        return next((f"NT SERVICE\\{name}" for name in _services(state) if service_sid(name) == sid), None)
    return None


def sid_of(state: State, name: str) -> str | None:
    """As LSA looks a name up, '.\\name' for a local account as well; None is nobody's name."""
    wanted = name.strip()
    if wanted.startswith(".\\"):
        wanted = f"{state.facts.name}{wanted[1:]}"
    authority, _, bare = wanted.rpartition("\\")
    if authority.upper() == "NT SERVICE" and bare.lower() != "all services":
        return next((service_sid(service) for service in _services(state) if service.lower() == bare.lower()), None)
    for sid in [*state.users, *state.groups, *_WELL_KNOWN, *state.foreign]:
        if _is_named(name_of(state, sid) or "", authority, bare, wanted):
            return sid
    return None


def _is_named(full: str, authority: str, bare: str, wanted: str) -> bool:
    own_authority, _, own = full.rpartition("\\")
    if "@" in wanted:
        user, _, domain = wanted.partition("@")
        return own.lower() == user.lower() and own_authority.lower() == domain.partition(".")[0].lower()
    if not authority:
        return own.lower() == bare.lower()
    return own.lower() == bare.lower() and own_authority.lower() == authority.lower()


def principal(state: State, text: str) -> str | None:
    """A name or a SID, as cmdlets take it; a SID need not be anybody's."""
    return text.upper() if re.fullmatch(r"S-1-\d+(-\d+)+", text, re.IGNORECASE) else sid_of(state, text)


def _well_known_name(state: State, sid: str) -> str:
    number, english, german = _WELL_KNOWN[sid]
    name = german if language(state) == "de" else english
    authority = _AUTHORITY[language(state)] if number == 1 else _OTHER_AUTHORITIES.get(number, "")
    return f"{authority}\\{name}" if authority else name


def _services(state: State) -> list[str]:
    key = registry.find(state, SERVICES)
    return [sub["name"] for sub in key["keys"].values()] if key else []


# ---------------------------------------------------------------- users


def new_user(name: str, **given: object) -> Json:
    user: Json = {"name": name, "full_name": "", "description": "", "enabled": True, "password": encoded("")}
    user |= {"password_last_set": None, "never_expires": False, "may_change": True, "required": True}
    user |= {"expires": None, "last_logon": None}
    return user | given


def encoded(password: str) -> str:
    return base64.b64encode(password.encode()).decode()


def password_of(user: Json) -> str:
    return base64.b64decode(user["password"]).decode()


def next_sid(state: State) -> str:
    """The SID of the next account: numbers are never used again while their account is there."""
    prefix = state.facts.machine_sid
    numbers = [int(sid.rpartition("-")[2]) for sid in [*state.users, *state.groups] if sid.startswith(prefix)]
    return f"{prefix}-{max([1000, *numbers]) + 1}"


def usable(state: State, user: Json) -> bool:
    """May log on at all: enabled and not expired."""
    expired = user["expires"] is not None and instant(user["expires"]) <= instant(state.time)
    return bool(user["enabled"]) and not expired


def groups_of(state: State, sid: str) -> tuple[str, ...]:
    return tuple(sorted(group for group, value in state.groups.items() if sid in value["members"]))


def token_of(state: State, sid: str) -> Token:
    """The token of a network logon."""
    local = groups_of(state, sid)
    administrator = ADMINISTRATORS in local
    filtered = sid in state.users and not sid.endswith("-500") and not unfiltered(state)
    about = ["S-1-5-113", *(["S-1-5-114"] if administrator else [])] if sid in state.users else []
    groups = ("S-1-1-0", *local, "S-1-5-2", "S-1-5-11", "S-1-5-15", *about, "S-1-5-64-10")
    return Token(sid, name_of(state, sid) or sid, groups, administrator and not filtered)


def unfiltered(state: State) -> bool:
    """Whether local administrators keep their rights over the network, as WinRM's quick configuration has it."""
    return bool(registry.value(registry.find(state, POLICIES), "LocalAccountTokenFilterPolicy") == 1)


def may_log_on_over_network(state: State, sid: str) -> bool:
    token = {sid, "S-1-1-0", "S-1-5-11", "S-1-5-113", *groups_of(state, sid)}
    allowed = token & set(state.rights.get("SeNetworkLogonRight", []))
    return bool(allowed) and not token & set(state.rights.get("SeDenyNetworkLogonRight", []))
