"""The raw state of one machine: all that a dump holds, and nothing that could be computed from it.

Plain dictionaries and lists, so that `dump` is canonical JSON: two states are the same when their dumps are, byte for
byte. `registry`, `files`, `accounts` and the others are the only ones that know their part's shape; each says it in its
docstring. The machine's clock is part of the state and moves only when something is written.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]


@dataclass
class Facts:
    """What the machine says of itself; `language` is PowerShell's mode."""

    name: str
    product: str = "ServerNT"
    build: int = 20348
    ubr: int = 2402
    edition: str = "ServerStandard"
    installation: str = "Server"
    powershell: str = "5.1.20348.2400"
    language: str = "FullLanguage"
    culture: str = "en-US"
    domain: str = ""
    domain_sid: str = ""
    machine_sid: str = "S-1-5-21-1004336348-1177238915-682003330"


@dataclass
class State:
    facts: Facts
    time: str = "2024-05-06T06:00:00.0000000Z"
    booted: str = "2024-05-02T03:14:07.5000000Z"
    winrm_started: str = ""
    """When WinRM was last started anew: sessions from before are gone."""
    registry: Json = field(default_factory=dict)
    files: Json = field(default_factory=dict)
    users: Json = field(default_factory=dict)
    groups: Json = field(default_factory=dict)
    foreign: Json = field(default_factory=dict)
    """Accounts of the domain that this machine can resolve: SID -> 'DOMAIN\\name'."""
    rights: Json = field(default_factory=dict)
    rsop: Json = field(default_factory=dict)
    """Class -> rows, as WMI's root/rsop/computer has them."""
    running: list[str] = field(default_factory=list)
    """Services that run: their keys' names in lower case, sorted. Configuration is in the registry."""
    tasks: Json = field(default_factory=dict)
    """Full path in lower case -> {path, xml}."""
    jobs: Json = field(default_factory=dict)
    """Runners that live (`jobs`)."""
    unfinished: list[Json] = field(default_factory=list)
    """What programs that have ended left to a copy of themselves: {looks, installer}."""
    web: Json = field(default_factory=dict)
    """What this machine can download: URL -> base64."""
    installer_runs: list[Json] = field(default_factory=list)
    """Every run of an installer, in order: {program, line, exit}; exit is None where it did not end by itself."""
    features: Json = field(default_factory=dict)
    """Roles and features of a server (`cmdlets_features`)."""
    security_center: list[Json] = field(default_factory=list)
    """What a workstation's Windows Security Center lists as antivirus: WMI's AntiVirusProduct. A server has none."""
    network: Json = field(default_factory=dict)
    """What this machine gets through to (`network`)."""
    audit: Json = field(default_factory=dict)
    """What of the audit policy is not as Windows comes: see `auditing`."""
    events: list[Json] = field(default_factory=list)
    """The Security log, oldest first: {id, at, data} (`events`)."""
    application_events: list[Json] = field(default_factory=list)
    """The Application log, oldest first: {source, id, level, at, text} (`events`)."""
    sql: Json = field(default_factory=dict)
    """Instances of SQL Server (`sql`)."""
    password_policy: Json = field(default_factory=lambda: {"length": 0, "complexity": False})

    def tick(self) -> str:
        """A second goes by: called once for each write, so that what is written later has a later time."""
        self.time = iso(instant(self.time) + timedelta(seconds=1))
        return self.time


def instant(text: str) -> datetime:
    """An ISO time of any fraction, read as UTC where it says nothing."""
    head, _, fraction = text.removesuffix("Z").partition(".")
    when = datetime.fromisoformat(head)
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return when + timedelta(microseconds=int((fraction + "000000")[:6]) if fraction.isdigit() else 0)


def iso(when: datetime) -> str:
    """As .NET's round-trip format has it: seven decimals and Z."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


class Growing:
    """A file's bytes while pieces are added, so that each costs no more than itself; in a dump, base64 as of any file."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)

    def dumped(self) -> str:
        return base64.b64encode(self.data).decode()


def dump(state: State) -> str:
    """Canonical JSON; `load` gives the same state back."""
    return json.dumps(asdict(state), default=Growing.dumped, sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def load(text: str) -> State:
    """Raises ValueError or TypeError where the text is no dump."""
    values = json.loads(text)
    return State(facts=Facts(**values.pop("facts")), **values)
