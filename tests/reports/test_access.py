"""Sessions out of events: what belongs together, what is left open, and that a report on a host holds them all."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from labs import Box, box

from opdeploy import engine
from opdeploy.formats.event_xml import Event
from opdeploy.lab.windows import accounts, servers
from opdeploy.lab.windows.events import logged
from opdeploy.lab.windows.state import State
from opdeploy.model import Unknown
from opdeploy.planning import Desired, Managed
from opdeploy.reports.access import NONE, NOT_ALL, NOT_THERE, Access, as_csv, as_html, as_json, as_junit, as_text
from opdeploy.reports.access_events import MOST, AccessEvents, whose
from opdeploy.reports.sessions import Session, Work, sessions
from opdeploy.resources.base import Answers
from opdeploy.store import Store

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schemas/access.schema.json").read_text(encoding="utf-8"))
SID, OTHER = "S-1-5-21-1-2-3-1005", "S-1-5-21-1-2-3-1006"
SINCE = "2026-11-01T00:00:00.000Z"


def at(minute: int) -> str:
    return f"2026-11-20T08:{minute:02}:00.1234567Z"


def logon(id: str, type: str = "10", source: str = "10.20.0.7", elevated: bool = False, linked: str = "0x0") -> dict[str, str]:
    return {
        "TargetUserSid": SID, "TargetUserName": "op-support", "TargetDomainName": "DB1", "TargetLogonId": id, "LogonType": type,
        "IpAddress": source, "ElevatedToken": "%%1842" if elevated else "%%1843", "TargetLinkedLogonId": linked,
    }  # fmt: skip


def target(id: str) -> dict[str, str]:
    return {"TargetUserSid": SID, "TargetUserName": "op-support", "TargetDomainName": "DB1", "TargetLogonId": id}


def subject(id: str, **more: str) -> dict[str, str]:
    return {"SubjectUserSid": SID, "SubjectUserName": "op-support", "SubjectDomainName": "DB1", "SubjectLogonId": id, **more}


def paired(*events: tuple[int, int, dict[str, str]]) -> list[Session]:
    return sessions(Event(id, at(minute), number, data) for number, (id, minute, data) in enumerate(events))


# ---------------------------------------------------------------- pairing


def test_a_session_is_from_the_logon_to_the_log_off_with_what_was_done() -> None:
    found = paired(
        (4624, 0, logon("0xAB")),
        (4688, 1, subject("0xab", NewProcessName=r"C:\Windows\regedit.exe", TargetLogonId="0x0")),
        (4698, 2, subject("0xab", TaskName=r"\OP\Sweep")),
        (4634, 9, target("0xab")),
    )
    work = [Work(at(1), r"started C:\Windows\regedit.exe"), Work(at(2), r"made the task \OP\Sweep")]
    assert found == [Session(r"DB1\op-support", "RDP", at(0), at(9), "10.20.0.7", False, work)]


@pytest.mark.parametrize(
    ("type", "kind"),
    [("2", "console"), ("3", "network"), ("4", "batch"), ("5", "service"), ("10", "RDP"), ("11", "console"), ("42", "type 42")],
)
def test_how_somebody_came(type: str, kind: str) -> None:
    assert paired((4624, 0, logon("0x1", type, source="-")))[0] == Session(r"DB1\op-support", kind, at(0))


@pytest.mark.parametrize(
    ("events", "elevated"),
    [
        ([(4624, 0, logon("0x1"))], False),
        ([(4624, 0, logon("0x1", elevated=True))], True),
        ([(4624, 0, logon("0x1")), (4672, 0, subject("0x1"))], True),
    ],
)
def test_elevated_is_what_the_token_or_its_privileges_say(
    events: list[tuple[int, int, dict[str, str]]], elevated: bool
) -> None:
    (session,) = paired(*events)
    assert session.elevated is elevated


def test_two_tokens_of_one_logon_are_one_session() -> None:
    (session,) = paired(
        (4624, 0, logon("0x1", elevated=True, linked="0x2")),
        (4624, 0, logon("0x2", linked="0x1")),
        (4688, 3, subject("0x2", NewProcessName="a.exe", CommandLine="a.exe /x")),
        (4634, 5, target("0x2")),
        (4634, 6, target("0x1")),
    )
    assert (session.elevated, session.ended, session.work) == (True, at(6), [Work(at(3), "started a.exe: a.exe /x")])


def test_the_log_off_of_one_token_does_not_end_what_the_other_still_does() -> None:
    begun = ((4624, 0, logon("0x1", elevated=True, linked="0x2")), (4624, 0, logon("0x2", linked="0x1")))
    after = ((4634, 5, target("0x2")), (4688, 6, subject("0x1", NewProcessName="a.exe")))
    (there,), (gone,) = paired(*begun, *after), paired(*begun, *after, (4634, 8, target("0x1")))
    assert (there.ended, gone.ended, gone.work) == ("", at(8), [Work(at(6), "started a.exe")])


def test_an_id_that_windows_gives_again_is_another_session() -> None:
    first, second = paired((4624, 0, logon("0x1")), (4634, 1, target("0x1")), (4624, 5, logon("0x1")))
    assert (first.ended, second.started, second.ended) == (at(1), at(5), "")


def test_work_whose_logon_was_not_seen_is_told_nevertheless() -> None:
    (session,) = paired((4697, 2, subject("0x9", ServiceName="x", ServiceFileName=r"C:\x.exe")), (4647, 3, target("0x9")))
    assert session == Session(
        r"DB1\op-support", "logon not seen", "", at(3), work=[Work(at(2), r"installed the service x: C:\x.exe")]
    )


def test_going_away_and_coming_back() -> None:
    told = {"AccountName": "op-support", "AccountDomain": "DB1", "LogonID": "0x1", "ClientAddress": "10.20.0.8"}
    (session,) = paired((4624, 0, logon("0x1")), (4779, 1, told), (4778, 2, told))
    assert session.work == [Work(at(1), "disconnected"), Work(at(2), "reconnected from 10.20.0.8")]


@pytest.mark.parametrize(
    ("name", "account"),
    [
        ("WinRM_VA_1_DB1_op-support", "op-support"),
        ("WinRM_VA_12_DB1_op_support", "op_support"),
        ("op-support", ""),
        ("WinRM_VA_x_DB1_op-support", ""),
    ],
)
def test_whose_a_virtual_account_is(name: str, account: str) -> None:
    assert whose(name) == account


# ---------------------------------------------------------------- on the lab


@pytest.fixture
def server() -> Iterator[Box]:
    state = servers.database_server()
    state.users[SID] = accounts.new_user("op-support")
    state.users[OTHER] = accounts.new_user("anna")
    with box(state) as made:
        yield made


def seen(server: Box, tmp_path: Path) -> Access:
    asks = AccessEvents(account="op-support", since=SINCE)
    store = Store.open(tmp_path / "store")
    (found,) = engine.observe([server.of(Desired((Managed(asks),)))], store)
    assert found.result.error == ""
    first = Answers(asks.reads(), found.observation, asks.ABSENT_WHEN)
    answers = Answers({**asks.reads(), **asks.then_reads(first)}, found.observation, asks.ABSENT_WHEN)
    return Access("db1", "op-support", SINCE, tuple(sessions(asks.events(answers))), asks.cut(answers))


def endpoint(state: State, minute: int, user: str, id: str) -> None:
    virtual = {
        "TargetUserSid": "S-1-5-94-1",
        "TargetUserName": f"WinRM_VA_1_DB1_{user}",
        "TargetDomainName": "WinRM Virtual Users",
    }
    logged(state, 4624, at(minute), **{**logon(id, "3", elevated=True), **virtual})


def test_a_host_tells_what_the_account_and_its_virtual_one_did_and_nobody_else(server: Box, tmp_path: Path) -> None:
    state = server.state
    logged(state, 4624, "2026-10-31T08:00:00.0000000Z", **logon("0x1"))  # before
    logged(state, 4624, at(0), **logon("0x2"))
    logged(state, 4624, at(1), **{**logon("0x3"), "TargetUserSid": OTHER, "TargetUserName": "anna"})
    endpoint(state, 2, "op-support", "0x4")
    endpoint(state, 3, "anna", "0x5")
    logged(state, 4702, at(4), **subject("0x2", TaskName=r"\OP\Nightly <backup>"))
    logged(state, 4634, at(5), **target("0x2"))
    told = seen(server, tmp_path)
    assert [(s.account, s.kind, s.started, s.ended, s.elevated) for s in told.sessions] == [
        (r"DB1\op-support", "RDP", at(0), at(5), False),
        (r"WinRM Virtual Users\WinRM_VA_1_DB1_op-support", "network", at(2), "", True),
    ]
    assert told.sessions[0].work == [Work(at(4), r"changed the task \OP\Nightly <backup>")]
    assert not told.cut


def test_nobody_was_there(server: Box, tmp_path: Path) -> None:
    assert seen(server, tmp_path).sessions == ()


def test_what_can_not_be_read_is_no_empty_report() -> None:
    asks = AccessEvents(account="op-support", since=SINCE)
    with pytest.raises(Unknown):
        asks.events(Answers(asks.reads(), {}, asks.ABSENT_WHEN))


def test_more_events_than_one_report_holds_are_said(server: Box, tmp_path: Path) -> None:
    for _ in range(MOST + 1):
        logged(server.state, 4634, at(0), **target("0x7"))
    told = seen(server, tmp_path)
    assert told.cut
    assert "only the newest are in it" in as_text(told)
    assert as_json(told)["whole"] is False


# ---------------------------------------------------------------- rendered

TOLD = Access(
    "db1",
    "op-support",
    SINCE,
    (
        Session(r"DB1\op-support", "RDP", at(0), at(9), "10.20.0.7", False, [Work(at(1), "started <a>\x1b[31m.exe")]),
        Session(r"WinRM Virtual Users\WinRM_VA_1_DB1_op-support", "network", at(2), elevated=True),
    ),
)


def test_as_text() -> None:
    virtual = r"WinRM Virtual Users\WinRM_VA_1_DB1_op-support"
    assert [re.split(r"\s{2,}", line) for line in as_text(TOLD).splitlines()] == [
        ["db1: op-support since 2026-11-01 00:00:00 UTC, 2 sessions"],
        [""],
        ["from", "to", "source", "kind", "elevated", "account", "done"],
        ["2026-11-20 08:00:00", "2026-11-20 08:09:00", "10.20.0.7", "RDP", "no", r"DB1\op-support", "1"],
        ["", "2026-11-20 08:01:00", r"started <a>\u001b[31m.exe"],
        ["2026-11-20 08:02:00", "no log-off seen", "–", "network, endpoint", "yes", virtual, "0"],
        [""],
        ["What runs as SYSTEM for the support (a remote-control agent) is not in it."],
    ]


def test_as_json() -> None:
    told = json.loads(json.dumps(as_json(TOLD)))
    jsonschema.validate(told, SCHEMA)
    assert told["sessions"][1] == {
        "account": r"WinRM Virtual Users\WinRM_VA_1_DB1_op-support", "kind": "network", "started": at(2), "ended": "",
        "source": "", "elevated": True, "work": [], "endpoint": True,
    }  # fmt: skip


def test_as_csv() -> None:
    rows = list(csv.reader(io.StringIO(as_csv(TOLD))))
    assert rows[0] == ["host", "from", "to", "source", "kind", "elevated", "account", "at", "done"]
    assert [(row[5], *row[7:]) for row in rows[1:]] == [
        ("no", "", ""), ("no", "2026-11-20 08:01:00", r"started <a>\u001b[31m.exe"), ("yes", "", ""),
    ]  # fmt: skip


def test_as_csv_what_is_not_in_it_is_said_in_a_line() -> None:
    rows = list(csv.reader(io.StringIO(as_csv(replace(TOLD, sessions=(), cut=True, there=False)))))
    assert rows[1:] == [["db1", *[""] * 7, note] for note in (NOT_ALL, NOT_THERE, NONE)]


def test_as_junit() -> None:
    (suite,) = ElementTree.fromstring(as_junit(TOLD))
    first, second, note = suite
    assert first.findtext("system-out") == r"started <a>\u001b[31m.exe"
    assert (len(second), [fault.tag for fault in note]) == (0, ["skipped"])


def test_as_html_it_stands_alone_and_what_a_host_says_is_text() -> None:
    page = as_html(TOLD)
    assert "started &lt;a&gt;" in page
    assert "default-src 'none'" in page
    assert "src=" not in page.replace("default-src=", "")
    assert "WinRM_VA_1_DB1_op-support" in page


def test_as_html_nothing_turns_the_direction_of_writing_or_is_not_seen() -> None:
    page = as_html(replace(TOLD, sessions=(replace(TOLD.sessions[0], work=[Work(at(1), "started \u202egpj.exe\x1b\u200b")]),)))
    assert r"started \u202egpj.exe\u001b\u200b" in page
    assert [char for char in page if not char.isprintable() and char != "\n"] == []
