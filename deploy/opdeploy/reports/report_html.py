"""A report as one HTML file, for who reads it in a browser, on a phone or on paper: the same words as `text`, and all of them.

It stands alone and is whole without its script, which only searches and filters what is there (`templates/report.js`).
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from opdeploy.approvals import SignedApproval
from opdeploy.rendering import NOTHING, printable, show
from opdeploy.reports import text
from opdeploy.reports.document import Report, ReportedEvidence, ReportedHost, ReportedResource, ReportedStep
from opdeploy.reports.html import page
from opdeploy.reports.plan_file import PlanDocument

TITLES = {"plan": "Plan", "apply": "Apply", "drift": "Drift check", "remove": "Removal"}
Entry = ReportedResource | ReportedStep
STATUSES = {**text.STATUSES, "failed": "failed"}
VERIFIED = "Signatures over the digest of the plan, verified before anything was applied."
UNVERIFIED = "As they stand in the plan file, not verified here: opdeploy approve PLAN.json --list verifies them."


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
    ours = (approvals, differing, facts, filters, label, notes, others, summed, unlisted, waivers, windows, word)
    theirs = (printable, show, text.counted, text.counts, text.minute, text.restarts, text.run_summary, text.sign)
    told = {function.__name__: function for function in (*ours, *theirs)}
    script = files("opdeploy.reports").joinpath("templates/report.js").read_text("ascii")
    html = page(
        "report.html.j2",
        report=report,
        title=TITLES[report.command],
        statuses=STATUSES,
        sent=sent(report),
        script=Markup(script),  # noqa: S704 - ours; the page's policy names its digest
        digest=b64encode(sha256(script.encode()).digest()).decode(),
        **told,
    )
    return html.encode("ascii", "xmlcharrefreplace").decode("ascii")


# ---------------------------------------------------------------- the run


def facts(report: Report) -> dict[str, str]:
    known = {
        "by": report.by,
        "at": text.minute(report.created_at),
        "run": report.run_id,
        "digest of sources": report.sources,
        "digest of plan": report.digest if isinstance(report, PlanDocument) else report.plan,
        "sent": _proof(report),
    }
    return {name: value for name, value in known.items() if value}


def _proof(report: Report) -> str:
    """Nothing is claimed of a server of which nothing is recorded."""
    known = [host.evidence for host in report.hosts if host.evidence.agents]
    written = sum(bool(one.writes) for one in known)
    if not known:
        return "not recorded"
    return (
        f"reads to {len(known)} of {len(report.hosts)} servers, {f'writes to {written}' if written else 'nothing that writes'}"
    )


def approvals(report: Report) -> tuple[str, Sequence[tuple[str, ...]]]:
    """What they are, and each. A plan file's are as somebody wrote them there."""
    words = {"approve": "approved", "reject": "rejected"}
    told = [one.told if isinstance(one, SignedApproval) else one for one in report.approvals]
    rows = [(one.by, words[one.decision], text.minute(one.at), one.expires or NOTHING, one.note, one.key) for one in told]
    return UNVERIFIED if isinstance(report, PlanDocument) else VERIFIED, rows


def waivers(report: Report) -> list[tuple[str, ...]]:
    return [
        (one.resource, one.hosts, ", ".join(one.properties) or "all of it", one.state, one.until, one.by, one.reason, one.at)
        for one in report.waivers
    ]


def filters(report: Report) -> dict[str, dict[str, str]]:
    """What can be filtered by, where the run has it: each value with its word."""
    resources = [one for host in report.hosts for one in host.resources]
    entries: list[Entry] = [*resources, *(step for host in report.hosts for step in host.manual_steps)]
    kinds = {one.kind for one in resources} | {"manual_step" for host in report.hosts if host.manual_steps}
    found = {
        "verdict": _present(text.WORDS, {one.verdict for one in entries}),
        "outcome": _present(text.OUTCOMES, {one.outcome for one in resources}),
        "drift": _present(text.DRIFTS, {one.drift.kind for one in resources if one.drift}),
        "role": _themselves(sorted({role for one in entries for role in one.roles})),
        "host": _themselves(host.name for host in report.hosts),
        "kind": _themselves(sorted(kinds)),
    }
    return {name: values for name, values in found.items() if values}


def _present(words: Mapping[Any, str], found: Container[Any]) -> dict[str, str]:
    return {value: label for value, label in words.items() if value in found}


def _themselves(values: Iterable[str]) -> dict[str, str]:
    return {value: value for value in values}


def sent(report: Report) -> list[Sent]:
    """What was sent, once for all servers that were sent the same."""
    alike: dict[tuple[str, ...], list[ReportedHost]] = {}
    for host in report.hosts:
        evidence = host.evidence
        alike.setdefault((*evidence.reads, "", *evidence.writes, "", *evidence.agents), []).append(host)
    return [Sent([host.name for host in hosts], hosts[0].evidence) for hosts in alike.values()]


# ---------------------------------------------------------------- a host and its resources


def windows(host: ReportedHost) -> str:
    return text.header(host).removeprefix(printable(host.name)).strip() if host.windows else NOTHING


def differing(host: ReportedHost) -> list[ReportedResource]:
    return [one for one in host.resources if one.differs]


def others(host: ReportedHost) -> list[ReportedResource]:
    return [one for one in host.resources if not one.differs]


def unlisted(host: ReportedHost) -> int:
    """How many resources are only counted."""
    return sum(host.summary.values()) - len(host.resources)


def summed(entries: Sequence[Entry]) -> str:
    return " · ".join(f"{count} {word}" for word, count in Counter(map(word, entries)).items())


def word(told: Entry) -> str:
    """By what it is counted: what came of it, where a difference comes from, or what the plan says."""
    if isinstance(told, ReportedStep):
        return {"would_change": "open", "in_sync": "signed off"}.get(told.verdict) or text.WORDS[told.verdict]
    if told.outcome:
        return text.OUTCOMES[told.outcome]
    return told.drift.kind.replace("_", " ") if told.drift else _planned(told)


def label(told: Entry) -> str:
    """The same of one, with what apply would do."""
    if isinstance(told, ReportedResource) and told.drift and told.verdict == "would_change":
        return f"{word(told)}: {_planned(told)}"
    return word(told)


def _planned(told: ReportedResource) -> str:
    if told.verdict != "would_change":
        return text.WORDS[told.verdict]
    return "would change, is left" if told.action == "none" else f"would {told.action}"


def notes(told: ReportedResource, created_at: str) -> Iterator[str]:
    """What is to be known of a resource besides its properties."""
    if told.reason:
        yield told.reason
    if told.may_reboot:
        yield "may need a reboot"
    if told.reboot:
        yield f"Windows wants to be started anew: {told.reboot}"
    if told.drift:
        yield from text.drift_lines(told.drift, created_at)
    if told.last_applied and told.differs:
        yield f"last applied {text.minute(told.last_applied)}"
