"""Events as XML: what is read of them, and what is none."""

from __future__ import annotations

import pytest

from opdeploy.formats.event_xml import Event, parse

EVENT = (
    "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
    "<Provider Name='Microsoft-Windows-Security-Auditing' Guid='{54849625-5478-4994-A5BA-3E3B0328C30D}'/>"
    "<EventID>4624</EventID><Version>2</Version><Level>0</Level><TimeCreated SystemTime='2026-11-20T08:00:00.1234567Z'/>"
    "<EventRecordID>211</EventRecordID><Channel>Security</Channel><Computer>DB1</Computer></System>"
    "<EventData><Data Name='TargetUserName'>o&amp;p</Data><Data Name='IpAddress'>-</Data><Data Name='CommandLine'/></EventData>"
    "</Event>"
)


def test_an_event() -> None:
    data = {"TargetUserName": "o&p", "IpAddress": "-", "CommandLine": ""}
    assert parse(EVENT) == Event(4624, "2026-11-20T08:00:00.1234567Z", 211, data)


def test_one_without_data_says_nothing() -> None:
    head, _, rest = EVENT.partition("<EventData>")
    assert parse(head + rest.partition("</EventData>")[2]).data == {}


@pytest.mark.parametrize("text", ["", "<Event", "<Event/>", "<!DOCTYPE x><Event/>", EVENT.replace("4624", "x")])
def test_what_is_no_event(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)
