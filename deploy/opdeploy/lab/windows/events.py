"""The Security log's events: written down by the lab, found by `Get-WinEvent -FilterXml`, printed as `ToXml()` does.

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
LONGEST = 22  # expressions that the service takes in one XPath: common knowledge, in no specification


def logged(state: State, id: int, at: str, **data: str) -> None:
    """One event more. Its names are those of Windows' own template of that id."""
    state.events.append({"id": id, "at": at, "data": data})


def found(state: State, token: Token, query: str, most: int, name: str) -> list[Any]:
    """As XML, newest first. Raises Refused where there is none, and for who may not read."""
    wanted = _filter(query)
    if not token.elevated:
        text = "Attempted to perform an unauthorized operation."
        raise errors.item(text, "System.UnauthorizedAccessException", "LogInfoUnavailable", name, "NotSpecified", errors.DENIED)
    rows = [_xml(number, event, state) for number, event in enumerate(state.events, 1) if wanted(event)]
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
