"""A run as a person reads it in a review: one block a host, one line a resource that differs, one line a property.

Plain and coloured output are the same lines: each carries a style of its own, which only a terminal is shown
(`rich.console.Console` sees to that). What the session took (POSTs, bytes, seconds) is no part of it: that goes to stderr.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from rich.text import Text

from opdeploy.model import SERVERS, Change, Machine
from opdeploy.reboots import Reboot
from opdeploy.rendering import NOTHING, printable, show
from opdeploy.results import VERDICTS, HostResult, Item, Run, may_reboot, open_steps, summary

SIGNS = {"create": "+", "update": "~", "replace": "±", "remove": "-", "none": "!"}
WORDS = {"in_sync": "in sync", "would_change": "would change", "unknown": "unknown", "not_applicable": "not applicable"}
OUTCOMES = {"applied": "applied", "failed": "failed", "refused": "refused", "not_reached": "not reached"}
STATUSES = {"in_sync": "in sync", "changes": "with changes", "unknown": "with unknowns", "unreachable": "unreachable"}
STYLES = {"+": "green", "~": "yellow", "±": "magenta", "-": "red", "?": "cyan", "!": "bold yellow", "=": "dim"}
OUTCOME_STYLES = {"applied": "green", "failed": "bold red", "refused": "bold red", "not_reached": "bold yellow"}
FIRST_WINDOWS_11 = 22000

Line = tuple[str, str]  # text and style


@dataclass(frozen=True)
class Detail:
    """How much is said: in-sync resources too, the calls under each change, the difference of files in words."""

    verbose: bool = False
    commands: bool = False
    diff: bool = False


# ---------------------------------------------------------------- a run


def run_text(run: Run, *, verbose: bool = False, commands: bool = False, diff: bool = False) -> list[Text]:
    """The whole run, a `Text` a line: print with ``soft_wrap``, or take `plain`."""
    detail = Detail(verbose, commands, diff)
    blocks = [_apart([[(header(host), "bold")], *_sections(host, run.command, detail)]) for host in run.hosts]
    closing = [[(_run_summary(run), "bold")]] if len(run.hosts) > 1 else []
    return [Text(text, style) for text, style in _apart([*blocks, *closing])]


def plain(lines: Iterable[Text]) -> str:
    """The same without any style."""
    return "".join(line.plain + "\n" for line in lines)


def _apart(sections: Iterable[list[Line]]) -> list[Line]:
    """Sections with an empty line between them; an empty one is none."""
    lines: list[Line] = []
    for section in filter(None, sections):
        lines += [("", ""), *section] if lines else section
    return lines


def _sections(host: HostResult, command: str, detail: Detail) -> Iterator[list[Line]]:
    """What a host's block is made of: what befell it as a whole, its resources, its manual steps, what they come to."""
    yield list(_notes(host))
    shown = [item for item in host.resources if detail.verbose or _differs(item) or item.change.reason]
    yield [line for item in shown for line in _item(item, command, detail)]
    yield list(_manual_steps(host, detail, whole=command == "plan"))
    if host.items:
        yield [("  " + _counted(_counts(host.items)), "")]
    elif not host.error and not host.warnings:
        yield [("  nothing is asked of it", "dim")]


def _notes(host: HostResult) -> Iterator[Line]:
    if host.error:
        yield f"  {printable(host.error)}", "bold red"
    for detail in host.details:
        yield f"    {printable(detail)}", "red"
    if host.hint:
        yield f"    {printable(host.hint)}", "dim"
    for warning in host.warnings:
        yield f"  warning: {printable(warning)}", "yellow"
    for told in restarts(host.reboot):
        yield f"  {printable(told)}", "yellow"


def restarts(reboot: Reboot) -> Iterator[str]:
    """What a run says of starting Windows anew: done, wanted, or only pending."""
    wanted = ", ".join(f"{id} ({why})" for id, why in reboot.wanted.items())
    if reboot.done:
        yield f"Windows was started anew for {wanted}; up since {reboot.done[:19].replace('T', ' ')} UTC"
    elif wanted:
        yield f"Windows wants to be started anew for {wanted}: restart it, or set opdeploy_reboot: if_needed for the host"
    elif reboot.pending:
        yield f"Windows waits to be started anew: {', '.join(reboot.pending)}"


def _differs(item: Item) -> bool:
    return item.change.verdict not in ("in_sync", "not_applicable") or item.outcome is not None


def header(host: HostResult) -> str:
    """``db1.example  Windows Server 2022 (20348), PowerShell 5.1``; the name alone where the host did not answer."""
    if host.machine is None:
        return host.name
    machine = host.machine
    version = ".".join(machine.powershell.split(".")[:2])
    return printable(f"{host.name}  {product(machine)} ({machine.build}), PowerShell {version}")


def product(machine: Machine) -> str:
    """Windows' name in people's words, from product type and build: the registry calls Windows 11 ten."""
    if machine.product == "WinNT":
        return "Windows 11" if machine.build >= FIRST_WINDOWS_11 else "Windows 10"
    return f"Windows Server {SERVERS.get(machine.build, '')}".rstrip()


# ---------------------------------------------------------------- one resource


def sign(change: Change[Any]) -> str:
    if change.verdict == "in_sync":
        return "="
    return "?" if change.verdict == "unknown" else SIGNS[change.action]


def change_lines(change: Change[Any], commands: Iterable[str] = ()) -> Iterator[str]:
    """One resource: its line, a line a property, what is to be known, and with `commands` the calls that would close it."""
    return (text for text, _ in _change(change, commands))


def _change(change: Change[Any], commands: Iterable[str] = ()) -> Iterator[Line]:
    mark = sign(change)
    head = f"  {mark} {change.resource.KIND:<18} {printable(change.resource.key):<46} {', '.join(change.roles)}"
    yield head.rstrip(), STYLES[mark]
    for name, item in change.properties.items():
        before = "known after apply" if name in change.known_after_apply else show(item.before)
        yield f"      {name:<16} {before} → {show(item.after)}", ""
    if change.reason:
        yield f"      {printable(change.reason)}", "dim"
    if may_reboot(change):
        yield "      may need a reboot", "yellow"
    for command in commands:
        yield f"      {printable(command)}", "blue"


def _item(item: Item, command: str, detail: Detail) -> Iterator[Line]:
    yield from _change(item.change, item.commands if detail.commands else ())
    if detail.diff:
        yield from ((f"        {printable(words)}", "") for words in item.words)
    if item.outcome:
        error = f": {printable(item.error)}" if item.error else ""
        yield f"      {OUTCOMES[item.outcome]}{error}", OUTCOME_STYLES[item.outcome]
    if command == "drift" and _differs(item):
        yield f"      {_last(item.last_applied)}", "dim"


def _last(applied: str) -> str:
    return f"last applied {applied[:16].replace('T', ' ')} UTC" if applied else "never applied, as far as this run store knows"


# ---------------------------------------------------------------- what a person does


def _manual_steps(host: HostResult, detail: Detail, whole: bool) -> Iterator[Line]:
    """The open ones; those that are signed off only where all is shown. Not `whole`: a line each, for every night."""
    shown = [item.change for item in host.manual_steps if detail.verbose or item.change.verdict != "in_sync"]
    if shown:
        yield f"  manual steps ({open_steps(host.items)} open)", "bold"
    for change in shown:
        yield _step_head(change)
        yield from _manual_step(change) if whole or detail.verbose else ()


def _step_head(change: Change[Any]) -> Line:
    step, mark = change.resource, sign(change)
    head = f"  {mark} {printable(step.key):<18} {printable(step.title):<46} {', '.join(change.roles)}"
    return head.rstrip(), STYLES[mark]


def _manual_step(change: Change[Any]) -> Iterator[Line]:
    step = change.resource
    yield from ((line, "") for line in step_lines(step))
    if change.reason:
        yield f"      {printable(change.reason)}", "dim"
    if change.actual:
        by = change.actual.signed
        yield f"      signed off by {printable(by.by)} on {by.at[:10]}: {printable(by.note)}", "dim"


def step_lines(step: Any) -> Iterator[str]:
    """Who, how and why: the first line of each beside its name, the others below."""
    for name in ("who", "how", "why"):
        for title, line in zip_longest([name], getattr(step, name).split("\n"), fillvalue=""):
            yield f"      {title:<16} {printable(line)}".rstrip()


# ---------------------------------------------------------------- what it comes to


def summary_line(changes: Sequence[Change[Any]]) -> str:
    return "  " + _counted({WORDS[verdict]: count for verdict, count in summary(changes).items()})


def _counts(items: Sequence[Item]) -> dict[str, int]:
    """What came of each where an apply got to it, what the plan says of it where none did."""
    ours = [item for item in items if not item.by_hand]
    said = Counter(OUTCOMES[item.outcome] if item.outcome else WORDS[item.change.verdict] for item in ours)
    counts = {word: said[word] for word in [WORDS["in_sync"], *OUTCOMES.values(), *(WORDS[v] for v in VERDICTS[1:])]}
    steps = open_steps(items)
    return counts | {"manual step" if steps == 1 else "manual steps": steps}


def _counted(counts: dict[str, int]) -> str:
    return " · ".join(f"{count} {word}" for word, count in counts.items() if count or word == WORDS["in_sync"])


def _run_summary(run: Run) -> str:
    statuses = Counter(STATUSES.get(host.status, host.status) for host in run.hosts)
    hosts = " · ".join(f"{statuses[word]} {word}" for word in [*STATUSES.values(), "failed"] if statuses[word])
    return f"{len(run.hosts)} hosts: {hosts}; resources: {_counted(_counts([i for host in run.hosts for i in host.items]))}"


__all__ = ["NOTHING", "change_lines", "header", "plain", "product", "run_text", "show", "sign", "step_lines", "summary_line"]
