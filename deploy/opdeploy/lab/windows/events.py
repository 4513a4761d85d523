"""The events of the Security and the Application log: written down by the lab, found by `Get-WinEvent -FilterXml`, printed as
`ToXml()` does.

[MS-EVEN6 2.2.13: the Event schema; 2.2.15: the XPath of filters, of which only the form that is asked here is understood].
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape, quoteattr, unescape

from opdeploy.lab.windows import errors
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.state import Json, State

NAMESPACE = "http://schemas.microsoft.com/win/2004/08/events/event"
_QUERY = re.compile(r'<QueryList><Query Id="0" Path="Security"><Select Path="Security">(.*)</Select></Query></QueryList>')
_PATH = re.compile(
    r'\*\[System\[\(([^()]*)\) and TimeCreated\[@SystemTime>="([^"]+)"\]\] '
    r'and EventData\[Data(?:\[@Name="(\w+)"\])?="([^"]*)"\]\]'
)
_OF_SOURCE = re.compile(
    r'<QueryList><Query Id="0" Path="Application"><Select Path="Application">'
    r'\*\[System\[Provider\[@Name="(\w+)"\]\]\]</Select></Query></QueryList>'
)
LEVELS = {"Error": 2, "Warning": 3, "Information": 4}
LONGEST = 22  # expressions that the service takes in one XPath: common knowledge, in no specification


def logged(state: State, id: int, at: str, **data: str) -> None:
    """One event more. Its names are those of Windows' own template of that id."""
    state.events.append({"id": id, "at": at, "data": data})


def written(state: State, source: str, id: int, type: str, text: str) -> None:
    """One event more of the Application log."""
    state.application_events.append({"source": source, "id": id, "level": LEVELS[type], "at": state.time, "text": text})


def found(state: State, token: Token, query: str, most: int, name: str) -> list[Any]:
    """As XML, newest first. Raises Refused where there is none, and for who may not read."""
    if of_source := _OF_SOURCE.fullmatch(unescape(query)):
        return _newest(_of_source(state, of_source[1]), most, name)
    wanted = _filter(query)
    if not token.elevated:
        text = "Attempted to perform an unauthorized operation."
        raise errors.item(text, "System.UnauthorizedAccessException", "LogInfoUnavailable", name, "NotSpecified", errors.DENIED)
    return _newest([_xml(number, event, state) for number, event in enumerate(state.events, 1) if wanted(event)], most, name)


def _newest(rows: list[str], most: int, name: str) -> list[Any]:
    if not rows:
        text = "No events were found that match the specified selection criteria."
        raise errors.item(text, "System.Exception", "NoMatchingEventsFound", name, "ObjectNotFound")
    return rows[::-1][:most]


def _filter(query: str) -> Callable[[Json], bool]:
    whole = _QUERY.fullmatch(query)
    path = _PATH.fullmatch(unescape(whole[1])) if whole else None
    if path is None or path[1].count("EventID") + 2 > LONGEST:
        raise errors.not_modelled("Get-WinEvent -FilterXml of another form")
    ids = {int(part.removeprefix("EventID=")) for part in path[1].split(" or ")}
    since, field, text = path[2], path[3], path[4]

    def wanted(event: Json) -> bool:
        data = event["data"]
        said = text in ([data.get(field)] if field else data.values())
        return event["id"] in ids and event["at"] >= since and said

    return wanted


def _xml(number: int, event: Json, state: State) -> str:
    data = "".join(f"<Data Name={quoteattr(name)}>{escape(text)}</Data>" for name, text in event["data"].items())
    system = (
        '<Provider Name="Microsoft-Windows-Security-Auditing" Guid="{54849625-5478-4994-A5BA-3E3B0328C30D}"/>'
        f"<EventID>{event['id']}</EventID><TimeCreated SystemTime={quoteattr(event['at'])}/>"
        f"<EventRecordID>{number}</EventRecordID><Channel>Security</Channel><Computer>{escape(state.facts.name)}</Computer>"
    )
    return f'<Event xmlns="{NAMESPACE}"><System>{system}</System><EventData>{data}</EventData></Event>'


def _of_source(state: State, source: str) -> list[str]:
    events = enumerate(state.application_events, 1)
    return [_classic_xml(number, event, state) for number, event in events if event["source"].lower() == source.lower()]


def _classic_xml(number: int, event: Json, state: State) -> str:
    """As one of an older program: its text is its only datum."""
    system = (
        f'<Provider Name={quoteattr(event["source"])}/><EventID Qualifiers="0">{event["id"]}</EventID>'
        f"<Level>{event['level']}</Level><TimeCreated SystemTime={quoteattr(event['at'])}/>"
        f"<EventRecordID>{number}</EventRecordID><Channel>Application</Channel><Computer>{escape(state.facts.name)}</Computer>"
    )
    data = f"<Data>{escape(event['text'])}</Data>"
    return f'<Event xmlns="{NAMESPACE}"><System>{system}</System><EventData>{data}</EventData></Event>'
