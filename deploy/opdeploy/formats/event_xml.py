"""One event of Windows' logs as XML: what `EventLogRecord.ToXml()` and `wevtutil qe /f:xml` give.

[MS-EVEN6 2.2.13: the Event schema]. Names and values stand in EventData as `<Data Name="…">`; neither is translated, unlike
the message. Only what is read here is kept.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field

_IN = "{http://schemas.microsoft.com/win/2004/08/events/event}"


@dataclass(frozen=True)
class Event:
    """`at`: ISO 8601, UTC, as Windows wrote it; `record`: its number in its log."""

    id: int
    at: str
    record: int
    data: Mapping[str, str] = field(default_factory=dict)


def parse(text: str) -> Event:
    """Raises ValueError."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("an event with a document type is none of Windows'")
    try:
        root = ET.fromstring(text)  # noqa: S314 - no document type, hence no entities
        system = root.find(f"{_IN}System")
        if system is None:
            raise ValueError("an event without System")
        id, record = (system.findtext(f"{_IN}{name}", "") for name in ("EventID", "EventRecordID"))
        made = system.find(f"{_IN}TimeCreated")
        at = made.get("SystemTime", "") if made is not None else ""
        return Event(int(id), at, int(record), _data(root.find(f"{_IN}EventData")))
    except ET.ParseError as error:
        raise ValueError(f"an event that is no XML: {error}") from error


def _data(found: ET.Element | None) -> dict[str, str]:
    items = [] if found is None else found.findall(f"{_IN}Data")
    return {item.get("Name", ""): item.text or "" for item in items}
