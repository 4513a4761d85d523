"""A report as one HTML file, for who reads it in a browser, on a phone or on paper: the same words as `text`, and all of them.

It stands alone and is whole without its script, which only searches and filters what is there (`templates/report.js`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from opdeploy.rendering import NOTHING, printable, show
from opdeploy.reports import text
from opdeploy.reports.document import Report, ReportedEvidence, ReportedHost, ReportedResource, ReportedStep
from opdeploy.reports.html import page

TITLES = {"plan": "Plan", "apply": "Apply", "drift": "Drift check", "remove": "Removal"}
STATUSES = {**text.STATUSES, "failed": "failed"}


@dataclass(frozen=True)
class Sent:
    """What was sent to servers that were all sent the same."""

    hosts: Sequence[str]
    evidence: ReportedEvidence

    @property
    def told(self) -> str:
        if not self.evidence.agents:
            return "nothing is known to have been sent"
        writes = f"{len(self.evidence.writes)} kinds of write" if self.evidence.writes else "nothing that writes"
        return f"{len(self.evidence.reads)} kinds of read, {writes}"

    @property
    def lines(self) -> list[str]:
        named = (("agent", self.evidence.agents), ("write", self.evidence.writes), ("read", self.evidence.reads))
        return [f"{name} {one}" for name, sent in named for one in sent]


def as_html(report: Report) -> str:
    """The whole run, in ASCII: no terminal's encoding can break it, nor half a surrogate pair of a host's."""
    ours = (approvals, differing, facts, notes, others, sent, waivers, windows, word, printable, show)
    words = (text.counted, text.counts, text.minute, text.restarts, text.run_summary, text.sign)
    told = {function.__name__: function for function in (*ours, *words)} | {"sent": sent(report), "statuses": STATUSES}
    html = page("report.html.j2", report=report, title=TITLES[report.command], **told)
    return html.encode("ascii", "xmlcharrefreplace").decode("ascii")


# ---------------------------------------------------------------- the run


def facts(report: Report) -> dict[str, str]:
    known = {
        "by": report.by,
        "at": text.minute(report.created_at),
        "run": report.run_id,
        "sources": report.sources,
        "plan applied": report.plan,
        "sent": _proof(report),
    }
    return {name: value for name, value in known.items() if value}


def _proof(report: Report) -> str:
    """Nothing is claimed of a host that nothing is known of."""
    known = [host.evidence for host in report.hosts if host.evidence.agents]
    if not known:
        return "what was sent is not recorded here"
    return "reads and writes" if any(one.writes for one in known) else "nothing that writes"


def approvals(report: Report) -> list[tuple[str, ...]]:
    words = {"approve": "approved", "reject": "rejected"}
    return [(one.by, words[one.decision], one.at, one.expires, one.note, one.key) for one in report.approvals]


def waivers(report: Report) -> list[tuple[str, ...]]:
    return [
        (one.resource, one.hosts, ", ".join(one.properties) or "all of it", one.state, one.until, one.by, one.reason, one.at)
        for one in report.waivers
    ]


def sent(report: Report) -> list[Sent]:
    """What was sent, once for all servers that were sent the same."""
    alike: dict[tuple[str, ...], list[ReportedHost]] = {}
    for host in report.hosts:
        evidence = host.evidence
        alike.setdefault((*evidence.reads, "", *evidence.writes, "", *evidence.agents), []).append(host)
    return [Sent([host.name for host in hosts], hosts[0].evidence) for hosts in alike.values()]


# ---------------------------------------------------------------- a host and its resources


def windows(host: ReportedHost) -> str:
    return text.header(host).removeprefix(printable(host.name)).strip() or NOTHING


def differing(host: ReportedHost) -> list[ReportedResource]:
    return [one for one in host.resources if text.differs(one)]


def others(host: ReportedHost) -> list[ReportedResource]:
    return [one for one in host.resources if not text.differs(one)]


def word(told: ReportedResource | ReportedStep) -> str:
    """What came of it, or what the plan says of it."""
    if isinstance(told, ReportedStep):
        return {"would_change": "open", "in_sync": "signed off"}.get(told.verdict) or text.WORDS[told.verdict]
    if told.outcome:
        return text.OUTCOMES[told.outcome]
    if told.verdict == "would_change":
        return "would change, is left" if told.action == "none" else f"would {told.action}"
    return text.WORDS[told.verdict]


def notes(told: ReportedResource) -> Iterator[str]:
    """What is to be known of a resource besides its properties."""
    if told.reason:
        yield told.reason
    if told.may_reboot:
        yield "may need a reboot"
    if told.reboot:
        yield f"Windows wants to be started anew: {told.reboot}"
    yield from text.drift_lines(told.drift) if told.drift else ()
    if told.last_applied:
        yield f"last applied {text.minute(told.last_applied)}"
