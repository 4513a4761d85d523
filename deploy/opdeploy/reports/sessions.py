"""Events of the Security log as sessions: who was there from when to when, from where, how, and what was done. Pure.

Events belong together by their logon id, which Windows gives anew after each start: a new logon ends what had its id before.
With User Account Control one logon makes two ids, which name each other: they are one session, elevated if one is.
(Microsoft, 'Audit Logon', 'Audit Logoff', 'Audit Process Creation', 'Audit Other Object Access Events')
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from opdeploy.formats.event_xml import Event
from opdeploy.reports.access_events import VIRTUAL

KINDS = {
    "2": "console", "3": "network", "4": "batch", "5": "service", "7": "unlocked", "8": "network", "9": "other credentials",
    "10": "RDP", "11": "console",
}  # fmt: skip
YES = "%%1842"  # how Windows writes Yes into ElevatedToken
NOT_SEEN = ("", "-", "0x0")
TASKS = {4698: "made", 4699: "deleted", 4700: "enabled", 4701: "disabled", 4702: "changed"}


@dataclass(frozen=True)
class Work:
    """One thing that was done."""

    at: str
    what: str


@dataclass
class Session:
    """`started` is empty where the logon is older than what was asked for, `ended` where no log-off was seen."""

    account: str
    kind: str
    started: str = ""
    ended: str = ""
    source: str = ""
    elevated: bool = False
    work: list[Work] = field(default_factory=list)


def sessions(events: Iterable[Event]) -> list[Session]:
    """By their beginning; events oldest first."""
    found: list[Session] = []
    by_id: dict[str, Session] = {}
    for event in events:
        if event.id == 4624:
            _open(event, by_id, found)
        else:
            _tell(event, _of(event, by_id, found))
    return found


def _open(event: Event, by_id: dict[str, Session], found: list[Session]) -> None:
    data, elevated = event.data, event.data.get("ElevatedToken") == YES
    linked = data.get("TargetLinkedLogonId", "")
    session = by_id.get(linked.lower()) if linked not in NOT_SEEN else None
    if session is None or session.ended:
        source = data.get("IpAddress", "")
        kind = KINDS.get(data.get("LogonType", ""), f"type {data.get('LogonType', '?')}")
        session = Session(_account(data, "Target"), kind, event.at, source="" if source in NOT_SEEN else source)
        found.append(session)
    session.elevated |= elevated
    by_id[data.get("TargetLogonId", "").lower()] = session


def _account(data: Mapping[str, str], who: str) -> str:
    return f"{data.get(f'{who}DomainName', '')}\\{data.get(f'{who}UserName', '')}".strip("\\")


def _of(event: Event, by_id: dict[str, Session], found: list[Session]) -> Session:
    """The session of an event that is no logon; one whose logon was not seen begins with it."""
    data = event.data
    id = next((data[name] for name in ("SubjectLogonId", "TargetLogonId", "LogonID") if data.get(name, "") not in NOT_SEEN), "")
    if id.lower() not in by_id:
        who = "Subject" if "SubjectUserName" in data else "Target"
        by_id[id.lower()] = Session(_account(data, who) or _account_named(data), "logon not seen")
        found.append(by_id[id.lower()])
    return by_id[id.lower()]


def _account_named(data: Mapping[str, str]) -> str:
    return f"{data.get('AccountDomain', '')}\\{data.get('AccountName', '')}".strip("\\")


def _tell(event: Event, session: Session) -> None:
    ends = event.id in (4634, 4647)
    session.ended = event.at if ends else ""  # of its two ids the other may be there still
    if ends:
        return
    if event.id == 4672:
        session.elevated = True
    elif event.id == 4778:
        session.work.append(Work(event.at, f"reconnected from {event.data.get('ClientAddress', '')}"))
    else:
        session.work.append(Work(event.at, _what(event)))


def _what(event: Event) -> str:
    data = event.data
    if event.id == 4779:
        return "disconnected"
    if event.id == 4697:
        return f"installed the service {data.get('ServiceName', '')}: {data.get('ServiceFileName', '')}"
    if event.id in TASKS:
        return f"{TASKS[event.id]} the task {data.get('TaskName', '')}"
    command = data.get("CommandLine", "")
    return f"started {data.get('NewProcessName', '')}" + (f": {command}" if command not in NOT_SEEN else "")


def through_endpoint(session: Session) -> bool:
    """Whether it is a JEA endpoint's."""
    return session.account.startswith(f"{VIRTUAL}\\")
