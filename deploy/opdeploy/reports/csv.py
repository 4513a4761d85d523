"""A report as CSV for spreadsheets: one line a property, or a resource that has none to tell. [RFC 4180]

A spreadsheet takes what begins with ``=``, ``+``, ``-`` or ``@`` for a formula, and a host may say anything: an apostrophe
stands before it. [OWASP, 'CSV Injection']
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from opdeploy.rendering import printable, show
from opdeploy.reports.document import Report, ReportedHost, ReportedResource

COLUMNS = (
    "host", "status", "roles", "kind", "key", "verdict", "action", "property", "before", "after", "reason", "outcome", "error",
    "drift", "first_seen", "waived_until",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@")


def as_csv(report: Report) -> str:
    """The whole run. A host that was not read has one line with its error; an open manual step has one of the kind."""
    return table(COLUMNS, (row for host in report.hosts for row in _rows(host)))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def _harmless(text: str) -> str:
    cell = printable(text)
    return "'" + cell if cell.startswith(FORMULA) else cell


def _rows(host: ReportedHost) -> Iterator[list[str]]:
    head = [host.name, host.status]
    if host.error:
        yield _row(*head, error="; ".join(filter(None, (host.error, *host.details, host.hint))))
    for one in host.resources:
        yield from _resource(host, one)
    for step in host.manual_steps:
        signed = f"signed off by {step.signed.by}: {step.signed.note}" if step.signed else step.reason
        yield _row(*head, ", ".join(step.roles), "manual_step", step.id, step.verdict, reason=signed)


def _resource(host: ReportedHost, one: ReportedResource) -> Iterator[list[str]]:
    drift = {"drift": one.drift.kind, "first_seen": one.drift.first_seen} if one.drift else {}
    told = {"reason": one.reason, "outcome": one.outcome or "", "error": one.error, **drift}
    head = (host.name, host.status, ", ".join(one.roles), one.kind, one.key, one.verdict, one.action)
    for values in one.properties:
        yield _row(*head, values.name, one.before(values), show(values.after), **told, waived_until=_waived(one, values.name))
    if not one.properties:
        yield _row(*head, **told, waived_until=_waived(one, ""))


def _waived(one: ReportedResource, name: str) -> str:
    waivers = one.drift.waived if one.drift else []
    return next((waived.until for waived in waivers if name in waived.properties or not waived.properties), "")


def _row(*cells: str, **named: str) -> list[str]:
    given = dict(zip(COLUMNS, cells, strict=False)) | named
    return [given.get(column, "") for column in COLUMNS]
