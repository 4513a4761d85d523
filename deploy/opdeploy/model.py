"""What everything above shares: secrets, principals, the answers a plan can give, and errors that teach.

Nothing here does I/O, and nothing here knows a kind of resource, a transport or a file format.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Generic, Literal, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

HIDDEN = "(secret)"


class ExitCode(IntEnum):
    """The same everywhere; of several, the first of FAILED, UNKNOWN, CHANGES, OK wins."""

    OK = 0
    FAILED = 1
    CHANGES = 2
    UNKNOWN = 3
    USAGE = 64
    INTERRUPTED = 130

    @staticmethod
    def worst(codes: Iterator[ExitCode] | list[ExitCode]) -> ExitCode:
        found = set(codes)
        ranked = (ExitCode.FAILED, ExitCode.UNKNOWN, ExitCode.CHANGES)
        return next((code for code in ranked if code in found), ExitCode.OK)


# ---------------------------------------------------------------- errors


class OpdeployError(Exception):
    """An error that a person reads: one lower-case line of what and where, and a hint of what to do."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(OpdeployError):
    """Wrong usage, a bad inventory, an altered plan: refused whole, nothing was touched (64)."""

    exit_code = ExitCode.USAGE


class HostError(OpdeployError):
    """A host could not be reached, logged into or read in time (3): the other hosts carry on."""

    exit_code = ExitCode.UNKNOWN
    status: Literal["unreachable", "failed"] = "unreachable"


class LogonRefused(HostError):
    """The host is there and does not let the session's user in: to try again and again could lock the account."""


class HostFailed(HostError):
    """A host that answers, but not as it must: a reply that is not the agent's, a Windows that we refuse (1)."""

    exit_code = ExitCode.FAILED
    status = "failed"


# ---------------------------------------------------------------- secrets


class Secret:
    """A value that nobody is shown: it prints as ``(secret)`` everywhere and is revealed only into a request.

    ``source`` says where it comes from (``env:OP_PASSWORD``, ``file:/run/secrets/op``), which may be shown.
    """

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str = "") -> None:
        self._value = value
        self.source = source

    def reveal(self) -> str:
        return self._value

    def fingerprint(self, key: bytes) -> str:
        """A keyed digest (HMAC-SHA256, hex): enough to tell 'another one', useless without the key."""
        return hmac.new(key, self._value.encode(), hashlib.sha256).hexdigest()

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def to_json(self) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: Any) -> Secret:
        return self

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not pickled")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.is_instance_schema(
            cls,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda _: HIDDEN),
        )


@dataclass(frozen=True)
class OneHost:
    """Annotates a secret that no two hosts may share: what a person calls it, and what to do where two do."""

    what: str
    hint: str


# ---------------------------------------------------------------- principals

# Groups and accounts that every Windows has: by the SID, which it does not translate, the English name. [MS-DTYP 2.4.2.4]
WELL_KNOWN_NAMES = {
    "S-1-1-0": "Everyone",
    "S-1-3-0": "CREATOR OWNER",
    "S-1-5-2": "NETWORK",
    "S-1-5-4": "INTERACTIVE",
    "S-1-5-6": "SERVICE",
    "S-1-5-11": "Authenticated Users",
    "S-1-5-18": "SYSTEM",
    "S-1-5-19": "LOCAL SERVICE",
    "S-1-5-20": "NETWORK SERVICE",
    "S-1-5-113": "Local account",
    "S-1-5-32-544": "Administrators",
    "S-1-5-32-545": "Users",
    "S-1-5-32-546": "Guests",
    "S-1-5-32-547": "Power Users",
    "S-1-5-32-551": "Backup Operators",
    "S-1-5-32-555": "Remote Desktop Users",
    "S-1-5-32-556": "Network Configuration Operators",
    "S-1-5-32-558": "Performance Monitor Users",
    "S-1-5-32-559": "Performance Log Users",
    "S-1-5-32-562": "Distributed COM Users",
    "S-1-5-32-573": "Event Log Readers",
    "S-1-5-32-578": "Hyper-V Administrators",
    "S-1-5-32-580": "Remote Management Users",
    "S-1-5-80-0": "ALL SERVICES",
}
ALSO = {"localsystem": "S-1-5-18", "localservice": "S-1-5-19", "networkservice": "S-1-5-20"}  # as services spell them
WELL_KNOWN = {name.lower(): sid for sid, name in WELL_KNOWN_NAMES.items()} | ALSO
SID = re.compile(r"S-1-\d+(-\d+)+", re.IGNORECASE)
REFERENCE = re.compile(r"<SID of [^<>]*>")
_AUTHORITIES = ("builtin\\", "nt authority\\", "vordefiniert\\")


def service_sid(service: str) -> str:
    """The SID of ``NT SERVICE\\name``, which every Windows computes alike: SHA-1 of the upper-case name in UTF-16LE."""
    words = struct.unpack("<5I", hashlib.sha1(service.upper().encode("utf-16-le")).digest())  # noqa: S324 - Windows' choice
    return "S-1-5-80-" + "-".join(map(str, words))


def sid_of(name: str) -> str:
    """A reference: what stands for a SID that only the host can give, until apply has read it."""
    return f"<SID of {name}>"


@dataclass(frozen=True)
class Principal:
    """An account or group: by SID where it is known, by name until then. Two are the same when their SIDs are.

    In an inventory it is text: a SID, a well-known English name, or a name that the host resolves (``.\\op-support``).
    """

    name: str
    sid: str = ""

    @classmethod
    def parse(cls, text: str) -> Principal:
        text = text.strip()
        if SID.fullmatch(text):
            sid = text.upper()
            return cls(WELL_KNOWN_NAMES.get(sid, ""), sid)
        bare = text.lower()
        for authority in _AUTHORITIES:
            bare = bare.removeprefix(authority)
        if known := WELL_KNOWN.get(bare):
            return cls(WELL_KNOWN_NAMES[known], known)
        if bare.startswith("nt service\\") and (service := text.partition("\\")[2]):
            return cls("NT SERVICE\\" + service, service_sid(service))
        if not text or not re.fullmatch(r"[^\"/\[\]:;|=,+*?<>\x00-\x1f]{1,256}", text):
            raise ValueError(f"{text!r} is no account: write a SID, 'Administrators' or the like, or '.\\name'")
        return cls(text if "\\" in text or "@" in text else ".\\" + text)

    @classmethod
    def of_sid(cls, sid: str, name: str = "") -> Principal:
        return cls(name or WELL_KNOWN_NAMES.get(sid.upper(), ""), sid.upper())

    @property
    def identity(self) -> str:
        """What two principals are compared by: the SID, or a name nobody has resolved yet."""
        return self.sid or self.name.lower()

    @property
    def resolved(self) -> bool:
        return bool(self.sid) and not REFERENCE.fullmatch(self.sid)

    @property
    def trustee(self) -> str:
        """The SID, or the reference that stands for it: what writes are given."""
        return self.sid or sid_of(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Principal) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    def __str__(self) -> str:
        if not self.resolved:
            return f"{self.name} ({sid_of(self.name)})"
        return f"{self.name} ({self.sid})" if self.name else self.sid

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else cls.parse(_text(value)),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected an account: a name or a SID")
    return value


# ---------------------------------------------------------------- what a plan says


class Unknown(Exception):
    """Something on the host could not be read, parsed or proved. Never the same as 'not there'."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Missing(Exception):
    """What a resource stands on is not there: ``token`` is what it needs (``path:d:\\op``), in the words of `needs`."""

    def __init__(self, token: str, reason: str) -> None:
        super().__init__(reason)
        self.token = token
        self.reason = reason


class NotApplicable(Exception):
    """A resource is not for this host as it is now, by the host's own word: nothing is compared, and nothing to be done."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Unproven:
    """An actual property that cannot be compared: it makes its resource *unknown*, and an apply sets it."""

    reason: str


class NotOurs(str):
    """A reason that is no refusal: a group policy sets it, or it is right already but without effect."""


Verdict = Literal["in_sync", "would_change", "unknown", "not_applicable"]
Action = Literal["none", "create", "update", "replace", "remove"]
Outcome = Literal["applied", "failed", "refused", "not_reached"]
SETTLED: tuple[Verdict, ...] = ("in_sync", "not_applicable")  # nothing differs


@dataclass(frozen=True)
class Property:
    """One property's two values, as the resource's model has them; ``before`` is None where there was nothing."""

    before: Any
    after: Any


R = TypeVar("R")


@dataclass(frozen=True)
class Change(Generic[R]):
    """What a plan says of one resource: the verdict, and the difference property by property.

    ``action`` is what apply would do. ``would_change`` with ``none`` is a difference that is not ours to close:
    refused, set by a policy, or right but without effect, for ``reason``. ``unknown`` with ``update`` is one that
    only apply can settle (a password without a record).
    """

    resource: R
    actual: R | None
    verdict: Verdict
    action: Action = "none"
    properties: Mapping[str, Property] = field(default_factory=dict)
    known_after_apply: tuple[str, ...] = ()
    reason: str = ""
    refused: bool = False  # with ``none``: we will not (an apply then fails), rather than it is not ours to say
    roles: tuple[str, ...] = ()

    def touches(self, *names: str) -> bool:
        return any(name in self.properties for name in names)


# Builds that are a Windows Server, and which. [formats.md 10]
SERVERS = {14393: "2016", 17763: "2019", 20348: "2022", 26100: "2025"}


@dataclass(frozen=True)
class Machine:
    """What the host says of itself in the first answer of every session (verb ``host.read``)."""

    name: str
    product: str  # WinNT, ServerNT, LanmanNT: workstation, server, domain controller [formats.md 10]
    build: int
    edition: str
    installation: str
    powershell: str
    language: str
    user: str  # SID of the session's user
    user_name: str
    groups: tuple[str, ...]  # SIDs in its token
    elevated: bool
    domain: str  # '' in a workgroup
    domain_sid: str
    machine_sid: str
    time: str
    culture: str

    @property
    def domain_controller(self) -> bool:
        return self.product == "LanmanNT"
