"""A run as a person reads it in a review: one block a host, one line a resource that differs, one line a property.

Plain and coloured output are the same lines: each carries a style of its own, which only a terminal is shown
(`rich.console.Console` sees to that). What the session took (POSTs, bytes, seconds) is no part of it: that goes to stderr.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any

from rich.text import Text

from opdeploy.model import SETTLED, Change, Outcome, Verdict
from opdeploy.rendering import printable, show
from opdeploy.reports import document
from opdeploy.reports.document import (
    Report,
    ReportedHost,
    ReportedProperty,
    ReportedResource,
    ReportedStep,
)
from opdeploy.results import VERDICTS, Drift, DriftKind

SIGNS = {"create": "+", "update": "~", "replace": "±", "remove": "-", "none": "!"}
ABIDE: dict[Verdict, str] = {"in_sync": "=", "unknown": "?", "not_applicable": "·"}  # where there is nothing to do
WORDS = {"in_sync": "in sync", "would_change": "would change", "unknown": "unknown", "not_applicable": "not applicable"}
SHORT = len("sha256:") + 16  # of a digest, where it is only to be told from others
OUTCOMES: dict[Outcome, str] = {"applied": "applied", "failed": "failed", "refused": "refused", "not_reached": "not reached"}
STATUSES = {"in_sync": "in sync", "changes": "with changes", "unknown": "with unknowns", "unreachable": "unreachable"}
STYLES = {"+": "green", "~": "yellow", "±": "magenta", "-": "red", "?": "cyan", "!": "bold yellow", "=": "dim", "·": "dim"}
OUTCOME_STYLES = {"applied": "green", "failed": "bold red", "refused": "bold red", "not_reached": "bold yellow"}

DRIFTS: dict[DriftKind, str] = {
    "corrective": "corrective: it changed on the host",
    "intentional": "intentional: the inventory changed, and was not applied yet",
    "never_applied": "never applied",
    "waived": "waived",
    "unknown": "unknown",
}

CLASSES: dict[DriftKind, str] = {
    "corrective": "corrective", "intentional": "intentional", "never_applied": "never applied", "waived": "waived",
}  # fmt: skip

Line = tuple[str, str]  # text and style


@dataclass(frozen=True)
class Detail:
    """How much is said: in-sync resources too, the calls under each change, the difference of files in words."""

    verbose: bool = False
    commands: bool = False
    diff: bool = False


# ---------------------------------------------------------------- a run


def report_text(report: Report, detail: Detail = Detail()) -> list[Text]:
    """Its lines, a `Text` each: print with ``soft_wrap``, or take `plain`. A plan file's are those that `plan` printed."""
    blocks = [_apart([[(header(host), "bold")], *_sections(host, report, detail)]) for host in report.hosts]
    closing = [[(run_summary(report), "bold")]] if len(report.hosts) > 1 else []
    below = [list(_approvals(report)), list(_evidence(report, detail))]
    sections = [*blocks, list(_waivers(report, detail)), *closing, *below]
    return [
        Text(printable(text), style) for text, style in _apart(sections)
    ]  # whatever stands in it: hosts, and who made a plan file by hand


def plain(lines: Iterable[Text]) -> str:
    """The same without any style."""
    return "".join(line.plain + "\n" for line in lines)


def _apart(sections: Iterable[list[Line]]) -> list[Line]:
    """Sections with an empty line between them; an empty one is none."""
    lines: list[Line] = []
    for section in filter(None, sections):
        lines += [("", ""), *section] if lines else section
    return lines


def _sections(host: ReportedHost, report: Report, detail: Detail) -> Iterator[list[Line]]:
    """What a host's block is made of: what befell it as a whole, its resources, its manual steps, what they come to."""
    yield list(_notes(host))
    shown = [resource for resource in host.resources if detail.verbose or resource.is_told]
    yield [line for resource in shown for line in _resource(resource, report, detail)]
    yield list(_manual_steps(host, detail, whole=report.command == "plan"))
    if sum(host.summary.values()) or host.manual_steps:
        yield [("  " + counted(counts([host])), "")]
    elif not host.error and not host.warnings:
        yield [("  nothing is asked of it", "dim")]


def _notes(host: ReportedHost) -> Iterator[Line]:
    if host.error:
        yield f"  {host.error}", "bold red"
    for detail in host.details:
        yield f"    {detail}", "red"
    if host.hint:
        yield f"    {host.hint}", "dim"
    for warning in host.warnings:
        yield f"  warning: {warning}", "yellow"
    for told in restarts(host):
        yield f"  {told}", "yellow"


def restarts(host: ReportedHost) -> Iterator[str]:
    """What a run says of starting Windows anew: done, wanted, only pending, and whether an apply would do it by itself."""
    reboot = host.reboot
    wanted = ", ".join(f"{id} ({why})" for id, why in reboot.wanted.items())
    if reboot.done:
        yield f"Windows was started anew for {wanted}; up since {reboot.done[:19].replace('T', ' ')} UTC"
    elif wanted:
        yield f"Windows wants to be started anew for {wanted}: restart it, or set opdeploy_reboot: if_needed for the host"
    elif reboot.pending:
        yield f"Windows waits to be started anew: {', '.join(reboot.pending)}"
    if reboot.policy == "if_needed" and any(one.may_reboot and not one.outcome for one in host.resources):
        yield "apply starts Windows anew by itself where a change wants it (opdeploy_reboot: if_needed)"


def header(host: ReportedHost) -> str:
    """``db1.example  Windows Server 2022 (20348), PowerShell 5.1``; the name alone where the host did not answer."""
    if host.windows is None:
        return printable(host.name)
    version = ".".join(host.windows.powershell.split(".")[:2])
    return printable(f"{host.name}  {host.windows.product} ({host.windows.build}), PowerShell {version}")


# ---------------------------------------------------------------- one resource


def sign(told: ReportedResource | ReportedStep) -> str:
    return ABIDE.get(told.verdict) or SIGNS[getattr(told, "action", "none")]


def change_lines(change: Change[Any], commands: Iterable[str] = ()) -> Iterator[str]:
    """One resource: its line, a line a property, what is to be known, and with `commands` the calls that would close it."""
    return (text for text, _ in _change(document.change(change), commands))


def _change(told: ReportedResource, commands: Iterable[str] = ()) -> Iterator[Line]:
    mark = sign(told)
    head = f"  {mark} {told.kind:<18} {printable(told.key):<46} {', '.join(told.roles)}"
    yield head.rstrip(), STYLES[mark]
    for one in told.properties:
        yield f"      {property_line(told, one)}", ""
    if told.reason:
        yield f"      {printable(told.reason)}", "dim"
    if told.may_reboot:
        yield "      may need a reboot", "yellow"
    for command in commands:
        yield f"      {printable(command)}", "blue"


def property_line(told: ReportedResource, one: ReportedProperty) -> str:
    return f"{one.name:<16} {told.before(one)} → {show(one.after)}"


def _resource(told: ReportedResource, report: Report, detail: Detail) -> Iterator[Line]:
    yield from _change(told, told.commands if detail.commands else ())
    if detail.diff:
        yield from ((f"        {words}", "") for words in told.diff)
    if told.outcome:
        error = f": {told.error}" if told.error else ""
        yield f"      {OUTCOMES[told.outcome]}{error}", OUTCOME_STYLES[told.outcome]
    if told.drift:
        yield from ((f"      {line}", "dim") for line in drift_lines(told.drift, report.created_at))
    if report.command == "drift" and told.differs and told.last_applied:
        yield f"      last applied {minute(told.last_applied)}", "dim"


def drift_lines(drift: Drift, now: str) -> Iterator[str]:
    """Where a difference comes from, since when it is known and how long that is, and what of it is waived."""
    lasting = _lasting(drift.first_seen, now)
    since = f"first seen {minute(drift.first_seen)}" + (f", for {lasting}" if lasting else "")
    yield f"{DRIFTS[drift.kind]}; {since}" + (f"; last {minute(drift.last_seen)}" if drift.last_seen else "")
    for waived in drift.waived:
        properties = ", ".join(waived.properties) or "all of it"
        yield f"waived until {waived.until} by {waived.by}: {properties}: {waived.reason}"


def _lasting(since: str, until: str) -> str:
    """``3 days``; '' for less than an hour."""
    known = datetime.fromisoformat(until) - datetime.fromisoformat(since)
    units = ((known // timedelta(days=1), "day"), (known // timedelta(hours=1), "hour"))
    return next((f"{count} {unit}{'s' * (count > 1)}" for count, unit in units if count > 0), "")


def minute(time: str) -> str:
    return f"{time[:16].replace('T', ' ')} UTC"


# ---------------------------------------------------------------- what a person does


def _manual_steps(host: ReportedHost, detail: Detail, whole: bool) -> Iterator[Line]:
    """The open ones; those that are signed off only where all is shown. Not `whole`: a line each, for every night."""
    shown = [step for step in host.manual_steps if detail.verbose or step.verdict not in SETTLED]
    if shown:
        yield f"  manual steps ({host.open_steps} open)", "bold"
    for step in shown:
        mark = sign(step)
        head = f"  {mark} {printable(step.id):<18} {printable(step.title):<46} {', '.join(step.roles)}"
        yield head.rstrip(), STYLES[mark]
        yield from _manual_step(step) if whole or detail.verbose else ()


def _manual_step(step: ReportedStep) -> Iterator[Line]:
    yield from ((line, "") for line in step_lines(step))
    if step.reason:
        yield f"      {step.reason}", "dim"
    if by := step.signed:
        yield f"      signed off by {by.by} on {by.at[:10]}: {by.note}", "dim"


def step_lines(step: Any) -> Iterator[str]:
    """Who, how and why: the first line of each beside its name, the others below."""
    for name in ("who", "how", "why"):
        for title, line in zip_longest([name], getattr(step, name).split("\n"), fillvalue=""):
            yield f"      {title:<16} {printable(line)}".rstrip()


# ---------------------------------------------------------------- what it comes to


def counts(hosts: Sequence[ReportedHost]) -> dict[str, int]:
    """What came of each resource: in an apply what was done, in a drift check where it comes from, else what the plan says."""
    left = {verdict: sum(host.summary.get(verdict, 0) for host in hosts) for verdict in VERDICTS}  # a plan lists what differs
    came = dict.fromkeys([*OUTCOMES.values(), *CLASSES.values()], 0)
    for resource in (resource for host in hosts for resource in host.resources):
        if word := _came(resource):
            came[word] += 1
            left[resource.verdict] -= 1
    steps = sum(host.open_steps for host in hosts)
    return (
        {WORDS["in_sync"]: left.pop("in_sync")}
        | came
        | {WORDS[verdict]: count for verdict, count in left.items()}
        | {"manual step" if steps == 1 else "manual steps": steps}
    )


def _came(resource: ReportedResource) -> str | None:
    if resource.outcome:
        return OUTCOMES[resource.outcome]
    return CLASSES.get(resource.drift.kind) if resource.drift else None


def counted(counts: dict[str, int]) -> str:
    return " · ".join(f"{count} {word}" for word, count in counts.items() if count or word == WORDS["in_sync"])


def run_summary(report: Report) -> str:
    statuses = Counter(STATUSES.get(host.status, host.status) for host in report.hosts)
    hosts = " · ".join(f"{statuses[word]} {word}" for word in [*STATUSES.values(), "failed"] if statuses[word])
    return f"{len(report.hosts)} hosts: {hosts}; resources: {counted(counts(report.hosts))}"


def _waivers(report: Report, detail: Detail) -> Iterator[Line]:
    """Those of the inventory that accept nothing any more; with `verbose` all."""
    shown = [waiver for waiver in report.waivers if detail.verbose or waiver.state != "used"]
    if shown:
        yield "waivers", "bold"
    for waiver in shown:
        what = f"{waiver.resource} on {waiver.hosts}" + (f" ({', '.join(waiver.properties)})" if waiver.properties else "")
        yield f"  {waiver.state:<8} {what}, until {waiver.until} by {waiver.by}", "yellow"
        yield f"      {waiver.reason} ({waiver.at})", "dim"


def _approvals(report: Report) -> Iterator[Line]:
    """By whose word a plan file was applied; a plan file itself says nothing that is not verified."""
    if report.plan:
        yield f"applied from the plan {report.plan}", "dim"
    for one in report.approvals if report.plan else ():
        yield f"  {one.by} approved it at {minute(one.at)}: {one.note} ({one.key})", "dim"


def _evidence(report: Report, detail: Detail) -> Iterator[Line]:
    """What the hosts were sent: who reads a plan need not believe that nothing was written."""
    reads, writes, agents = (
        sorted({one for host in report.hosts for one in getattr(host.evidence, name)}) for name in ("reads", "writes", "agents")
    )
    if not agents:
        return
    wrote = _kinds("write", writes) if writes else "no write"
    texts = ", ".join(digest if detail.verbose else f"{digest[:SHORT]}…" for digest in agents)
    yield f"sent to the hosts: {_kinds('read', reads)}, {wrote}; the agent's text: {texts}", "dim"
    if detail.verbose:
        yield from ((f"  read   {one}", "dim") for one in reads)
        yield from ((f"  write  {one}", "dim") for one in writes)


def _kinds(what: str, sent: Sequence[str]) -> str:
    return f"{len(sent)} kind{'' if len(sent) == 1 else 's'} of {what}"
