"""``opdeploy drift``: what differs although we applied it, what never was applied, and when."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import datetime

import click

from opdeploy.cli import options, showing, terminal
from opdeploy.cli.compiled import compiled, new_run
from opdeploy.cli.options import Asked
from opdeploy.drifting import classified
from opdeploy.engine import Job
from opdeploy.engine import plan as planned
from opdeploy.model import ExitCode
from opdeploy.store import Store


@click.group("drift")
def command() -> None:
    """Compare the hosts with the inventory, and say of each difference when we last applied it.

    \b
    Example:
      opdeploy drift check -i inventories/lab
    """


@command.command("check")
@options.asking(options.inventory, options.roles_path, options.store, options.limit, options.role)
@options.output
@click.option("-v", "--verbose", is_flag=True, help="Show what is in sync too.")
def check(asked: Asked, form: str, verbose: bool) -> ExitCode:
    """Find drift. Writes nothing on the hosts.

    Exit codes: 0 none, 2 drift, 3 a host or something on it is unknown, 1 failed, 64 a bad inventory.

    \b
    Examples:
      opdeploy drift check -i inventories/lab
      opdeploy drift check --format json > drift.json
    """
    what = compiled(asked)
    with closing(Store.open(asked.store)) as store:
        with terminal.Progress() as progress:
            hosts = planned([Job(host, desired) for host, desired in what.hosts], store, progress=progress)
        run = replace(new_run("drift", what), hosts=hosts)
        today = datetime.fromisoformat(run.created_at).astimezone().date()
        run = classified(run, store.memory(host.name for host in hosts), what.inventory.waivers, today)
        try:
            store.record(run)
        finally:  # what was read is said, also where it can't be written down
            showing.show(run, form, verbose=verbose)
    return showing.ended(run, progress.seconds)
