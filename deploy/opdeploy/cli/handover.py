"""``opdeploy handover``: one file for a practice's IT. The hosts are read, and nothing is written on them."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from opdeploy.cli import from_snapshots, options, out_file, run_store, showing, terminal
from opdeploy.cli.compiled import compiled, new_run
from opdeploy.cli.options import Asked
from opdeploy.engine import Job, Options
from opdeploy.engine import plan as planned
from opdeploy.model import Change, ExitCode
from opdeploy.reports.handover import as_html, as_json, handover
from opdeploy.resources.base import Answers
from opdeploy.resources.desired import Managed
from opdeploy.resources.manual_step import ManualStep
from opdeploy.results import HostResult, Item
from opdeploy.store import Store


@click.command("handover")
@options.practice
@options.asking(options.inventory, options.roles_path, options.store)
@click.option("--from", "snapshots", type=click.Path(path_type=Path), metavar="DIR", help="From snapshots, not hosts.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Default: handover-PRACTICE-DATE.html; JSON to stdout."
)
@click.option("--format", "form", type=click.Choice(["html", "json"]), default="html", help="For people, or for a program.")
def command(asked: Asked, snapshots: Path | None, out: Path | None, form: str) -> ExitCode:
    """Write one file for a practice's IT: what was installed where, who can do what, and how to take it all away.

    PRACTICE is its inventory's folder, as -i takes it. The hosts are read, and nothing is written on them; one that can't
    be reached is said to be, and the file then holds what it should be.

    Exit codes: 0 in sync, 2 changes pending, 3 a host or something on it is unknown, 1 failed, 64 a bad inventory.

    \b
    Examples:
      opdeploy handover inventories/lab
      opdeploy handover inventories/lab --from snapshots/ --out handover.html
      opdeploy handover -i inventories/lab --format json > handover.json
    """
    what = compiled(asked)
    jobs = [Job(host, desired) for host, desired in what.hosts]
    run = new_run("plan", what)
    name, date = asked.inventory.resolve().name, run.created_at[:10]
    out = out or (Path(f"handover-{name}-{date}.html") if form == "html" else None)
    if out:
        out_file.check(out)
    taken_at = from_snapshots.taken_at(snapshots) if snapshots else {}
    with closing(run_store.opened(asked, what.inventory)) as store:
        with terminal.Progress() as progress:
            if snapshots:
                hosts = from_snapshots.planned(jobs, snapshots, store, Options())
            else:
                hosts = planned(jobs, store, progress=progress)
        run = replace(run, hosts=hosts)
        whole = [_whole(job, host, store) for job, host in zip(jobs, hosts, strict=True)]
    told = handover(name, date, run.inventory, whole, taken_at)
    text = as_html(told) if form == "html" else json.dumps(as_json(told), indent=2) + "\n"
    if out:
        out_file.write(out, text, "the handover")
    terminal.write(f"{out}\n" if out else text)
    for host in hosts:
        if host.error:
            terminal.warning(f"{host.name} was not read: {host.reason}", host.hint)
    return showing.ended(run, progress.seconds)


def _whole(job: Job, host: HostResult, store: Store) -> HostResult:
    """A host that was not read has all that it should be, unknown; whether its manual steps are signed the store knows."""
    if not host.error:
        return host
    return replace(host, items=tuple(Item(_unread(managed, host, store)) for managed in job.desired.resources))


def _unread(managed: Managed, host: HostResult, store: Store) -> Change[Any]:
    resource = managed.resource
    if not isinstance(resource, ManualStep) or resource.unless_defender:
        return Change(resource, None, "unknown", reason=f"{host.name} was not read", roles=managed.roles)
    reads = resource.reads()
    signed = resource.actual(Answers(reads, {read.key: store.answer(read, host.name) for read in reads.values()}))
    if signed:
        return Change(resource, signed, "in_sync", roles=managed.roles)
    return Change(resource, None, "would_change", reason="not signed off as it stands now", roles=managed.roles)
