"""One account's sessions on a host, rendered: a table, JSON, one HTML file, CSV, JUnit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from opdeploy import __version__
from opdeploy.rendering import columns, printable
from opdeploy.reports.csv import table
from opdeploy.reports.html import page
from opdeploy.reports.junit import Case, suites
from opdeploy.reports.sessions import Session, through_endpoint

SCHEMA = "opdeploy.access/1"
COLUMNS = ("from", "to", "source", "kind", "elevated", "account", "done")
NOT_ALL = "There are more events than one report holds: only the newest are in it. Name a later --since."
NOT_THERE = "The host has no local account of that name: what one had logged before it was deleted is not in it."
NONE = "No session proves little where the role access_audit was not applied all that time, or the log has begun anew since."
NOT_SEEN = "What runs as SYSTEM for the support (a remote-control agent) is not in it."


@dataclass(frozen=True)
class Access:
    """`cut`: the log had more events than were asked for. `there`: the host has the account, whose SID was asked for."""

    host: str
    account: str
    since: str
    sessions: tuple[Session, ...]
    cut: bool = False
    there: bool = True

    @property
    def rows(self) -> list[tuple[str, ...]]:
        return [_row(session) for session in self.sessions]

    @property
    def notes(self) -> list[str]:
        told = {NOT_ALL: self.cut, NOT_THERE: not self.there, NONE: not self.sessions, NOT_SEEN: True}
        return [note for note, holds in told.items() if holds]


def _row(session: Session) -> tuple[str, ...]:
    kind = f"{session.kind}, endpoint" if through_endpoint(session) else session.kind
    times = (_time(session.started) or "before", _time(session.ended) or "no log-off seen")
    return (*times, session.source or "–", kind, "yes" if session.elevated else "no", session.account, f"{len(session.work)}")


def _time(at: str) -> str:
    return at[:19].replace("T", " ")


def as_text(told: Access) -> str:
    return "".join(f"{line}\n" for line in _lines(told))


def _lines(told: Access) -> Iterator[str]:
    yield f"{printable(told.host)}: {printable(told.account)} since {_time(told.since)} UTC, {_counted(told)}"
    yield ""
    below = [[], *(session.work for session in told.sessions)]
    for line, work in zip(columns([COLUMNS, *told.rows]), below, strict=True):
        yield line
        yield from (f"    {_time(one.at)}  {printable(one.what)}" for one in work)
    yield ""
    yield from told.notes


def _counted(told: Access) -> str:
    return "1 session" if len(told.sessions) == 1 else f"{len(told.sessions)} sessions"


def as_json(told: Access) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "tool": __version__,
        "host": told.host,
        "account": told.account,
        "since": told.since,
        "whole": told.there and not told.cut,
        "sessions": [{**asdict(session), "endpoint": through_endpoint(session)} for session in told.sessions],
    }


def as_csv(told: Access) -> str:
    """A line a session, one for each thing done in it, and one for each reason why more may have been done."""
    rows = [
        (told.host, *row[:-1], *done)
        for row, session in zip(told.rows, told.sessions, strict=True)
        for done in [("", ""), *((_time(one.at), one.what) for one in session.work)]
    ]
    lacking = [(told.host, *[""] * len(COLUMNS), note) for note in told.notes if note != NOT_SEEN]
    return table(("host", *COLUMNS[:-1], "at", "done"), [*rows, *lacking])


def as_junit(told: Access) -> str:
    """A case a session: none is a failure. What is not in it is skipped, with the reason."""
    seen = [
        Case("session", f"{' '.join(row[:3])} {row[5]}", details=[one.what for one in session.work])
        for row, session in zip(told.rows, told.sessions, strict=True)
    ]
    notes = [Case("note", note, "skipped", note) for note in told.notes]
    return suites(f"opdeploy access {told.account}", [(told.host, told.since, [*seen, *notes])])


def as_html(told: Access) -> str:
    return page("access.html.j2", told=told, columns=COLUMNS, time=_time, printable=printable)
