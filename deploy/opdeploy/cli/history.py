"""``opdeploy history``: who ran what, when, from where, with which approval, and what changed. No host is spoken to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import click
from click.shell_completion import CompletionItem

from opdeploy.cli import options, showing, terminal
from opdeploy.cli.times import since_when
from opdeploy.inventory import near
from opdeploy.model import OpdeployError, UsageError
from opdeploy.rendering import columns, printable
from opdeploy.reports import past
from opdeploy.reports.text import OUTCOMES, SIGNS, Detail, minute
from opdeploy.results import Command
from opdeploy.store import Store, history, practices
from opdeploy.store.history import CameTo, PastChange, PastRun

SCHEMA = "opdeploy.history/1"
NEVER_ENDED = "never ended"
AMONG = 100  # run ids that a shell is offered
CAME_TO = {"never_ended": "begun and never ended"}  # the others are said as they are called


@dataclass(frozen=True)
class Listed:
    """A run of an inventory, as eyes tell it from others, what it came to, and where a host was named what it changed there."""

    run: PastRun
    inventory: str
    came_to: CameTo
    changes: tuple[PastChange, ...] = ()


def _hosts(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    try:
        with closing(history.opened(context.params.get("store"))) as store:
            return [CompletionItem(name) for name in history.hosts(store) if name.startswith(begun.lower())]
    except OpdeployError:
        return []


def _run_ids(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    try:
        with closing(history.opened(context.params.get("store"))) as store:
            newest = history.runs(store, limit=AMONG)
    except OpdeployError:
        return []
    return [CompletionItem(run.run_id, help=f"{run.command} by {run.by}") for run in newest if run.run_id.startswith(begun)]


@click.group("history")
def command() -> None:
    """Say who ran what, when, from where, with which approval, and what changed. No host is spoken to.

    \b
    Example:
      opdeploy history list db1.example
    """


@command.command("list")
@click.argument("host", required=False, default="", shell_complete=_hosts)
@options.store
@click.option("--since", metavar="WHEN", help="A length of time (30d, 12h) or a date (2026-11-01).")
@click.option("--command", "of", type=click.Choice(get_args(Command)), default=None, help="Only runs of this command.")
@click.option("-n", "--number", type=click.IntRange(min=1), default=20, show_default=True, help="How many, of the newest.")
@options.output
def list_(host: str, store: Path | None, since: str | None, of: str | None, number: int, form: str) -> None:
    """List runs, the newest first. With HOST those that had it, and what each changed there.

    A run that never ended was killed, or is under way.

    \b
    Examples:
      opdeploy history list
      opdeploy history list db1.example --since 30d
      opdeploy history list --command apply -n 5 --format json
    """
    begin = since_when(since, datetime.now(UTC)) if since else ""
    with closing(history.opened(store)) as opened:
        _check_host(host, opened)
        several = len(practices.known(opened)) > 1
        found = [_listed(opened, run, host, several) for run in history.runs(opened, host, of or "", begin, number)]
    if form == "json":
        terminal.document({"schema": SCHEMA, "host": host.lower() or None, "runs": [_document(one) for one in found]})
    else:
        terminal.plain_lines(_table(found))


def _check_host(host: str, store: Store) -> None:
    if host and host.lower() not in (names := history.hosts(store)):
        raise UsageError(f"no run here had a host {printable(host)}", near(host.lower(), names) or _there_are(names))


def _there_are(names: Sequence[str]) -> str:
    return f"there are: {', '.join(names[:10])}" if names else "no run is recorded here"


def _listed(store: Store, run: PastRun, host: str, several: bool) -> Listed:
    inventory = (several and (run.practice or run.folder)) or run.inventory
    changes = [change for change in history.changes(store, run.run_id, host) if change.happened] if host else []
    return Listed(run, inventory, history.came_to(store, run.run_id, host), tuple(changes))


@command.command("show")
@click.argument("run", shell_complete=_run_ids)
@options.store
@options.report_output
@click.option("-v", "--verbose", is_flag=True, help="Every verb, cmdlet and program that the hosts were sent.")
def show(run: str, store: Path | None, form: str, verbose: bool) -> None:
    """Show one run as it was reported: who ran it, with which approval, and every change property by property.

    RUN is its id, or the beginning of one. What was in sync is counted, not listed.

    \b
    Examples:
      opdeploy history show 20261122T030000Z-1a2b3c
      opdeploy history show 20261122T03 --format html > sunday.html
    """
    with closing(history.opened(store)) as opened:
        found = history.run(opened, _named(run, opened))
        told = past.report(found, history.hosts_of(opened, found.run_id))
    if form == "text":
        terminal.plain_lines([*_head(found), ""])
    showing.shown(told, form, Detail(verbose=verbose))


def _named(begun: str, store: Store) -> str:
    """The one run of this id, or whose id begins so. Raises UsageError."""
    ids = history.run_ids(store)
    found = [begun] if begun in ids else [name for name in ids if name.startswith(begun)]
    if not found:
        raise UsageError(f"no run {printable(begun)} is recorded here", near(begun, ids) or "opdeploy history list")
    if len(found) > 1:
        raise UsageError(f"{len(found)} runs begin with {printable(begun)}", f"among them {', '.join(found[:3])}")
    return found[0]


# ---------------------------------------------------------------- for eyes


def _head(run: PastRun) -> Iterator[str]:
    """What the report of the run itself leaves to whoever ran it."""
    ended = f"ended {minute(run.finished_at)}, {_ended(run)}" if run.finished_at else NEVER_ENDED
    yield f"{run.command} {run.run_id}"
    yield f"  by {run.by} on {minute(run.created_at)}, {ended}"
    yield f"  inventory {run.inventory}, sources {run.sources}; opdeploy {run.tool}"
    if run.plan:
        yield f"  of the plan {run.plan}"
    for word in run.approvals:
        yield f"  approved by {word.by} on {minute(word.at)} until {minute(word.expires)}, key {word.key}: {word.note}"


def _table(found: Sequence[Listed]) -> Iterator[str]:
    for one, line in zip(found, columns([_row(one) for one in found]), strict=True):
        yield line
        yield from map(_change_line, one.changes)


def _row(one: Listed) -> tuple[str, ...]:
    run = one.run
    return (run.run_id, minute(run.created_at), run.command, run.by, one.inventory, _ended(run), _told(one))


def _ended(run: PastRun) -> str:
    return NEVER_ENDED if run.code is None else f"exit {run.code}"


def _told(one: Listed) -> str:
    """What it came to, and how many signed for it."""
    counts = [f"{count} {CAME_TO.get(name, name.replace('_', ' '))}" for name, count in asdict(one.came_to).items() if count]
    signed = len(one.run.approvals)
    approvals = [f"{signed} approval{'s' * (signed > 1)}"] if signed else []
    return " · ".join([*(counts or ["in sync"] * (one.run.code == 0)), *approvals])


def _change_line(change: PastChange) -> str:
    error = f": {change.error}" if change.error else ""
    named = "" if change.action in ("create", "remove") else ", ".join(change.properties) + ": "
    return f"    {SIGNS[change.action]} {change.kind:<18} {change.key:<46} {named}{_outcome(change)}{error}"


def _outcome(change: PastChange) -> str:
    if change.outcome:
        return OUTCOMES[change.outcome]
    return f"begun {minute(change.begun_at)}, {NEVER_ENDED}" if change.begun_at else "found changed on the host"


# ---------------------------------------------------------------- for programs


def _document(one: Listed) -> dict[str, Any]:
    told = {
        name: value for name, value in asdict(one.run).items() if name not in ("code", "finished_at", "approvals", "waivers")
    }
    ended = {"finished_at": one.run.finished_at, "exit_code": one.run.code}
    signed = [asdict(approval) for approval in one.run.approvals]
    return {**told, **ended, "came_to": asdict(one.came_to), "approvals": signed, "changes": [_change(c) for c in one.changes]}


def _change(change: PastChange) -> dict[str, Any]:
    values = {name: {"before": before, "after": after} for name, (before, after) in change.properties.items()}
    told = asdict(change) | {"properties": values, "id": change.id}
    return {name: value for name, value in told.items() if name != "host"}
