"""``opdeploy drift``: what differs although we applied it, what never was applied, and when."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import datetime

import click

from opdeploy import controller, notify
from opdeploy.cli import options, run_store, schedule, showing, terminal, unattended
from opdeploy.cli.compiled import compiled, new_run
from opdeploy.cli.options import Asked
from opdeploy.cli.telling import narrowed, telling
from opdeploy.drifting import classified
from opdeploy.engine import Job, Options
from opdeploy.engine import plan as planned
from opdeploy.model import ExitCode, Secret, UsageError
from opdeploy.store.lock import alone
from opdeploy.store.records import default_folder


@click.group("drift")
def command() -> None:
    """Compare the hosts with the inventory, and say of each difference when we last applied it.

    \b
    Example:
      opdeploy drift check -i inventories/lab
    """


command.add_command(schedule.command)


@command.command("check")
@telling
@options.asking(options.inventory, options.roles_path, options.store, options.limit, options.role)
@unattended.limits
@options.report_output
@click.option("-v", "--verbose", is_flag=True, help="Show what is in sync too.")
def check(
    asked: Asked, jitter: float, budget: float, host_budget: float, form: str, verbose: bool, urls: tuple[Secret, ...]
) -> ExitCode:
    """Find drift. Writes nothing on the hosts, and asks nobody anything.

    A host that takes longer than its time, or that the run's time did not reach, is unknown. One that was out of reach is tried
    once more at the end. A second check of the same inventory ends at once (3); a broken run store is set aside (1).

    Exit codes: 0 none, 2 drift, 3 a host or something on it is unknown, 1 failed or somebody could not be told,
    64 a bad inventory.

    \b
    Examples:
      opdeploy drift check -i inventories/lab
      opdeploy drift check --format json > drift.json
    """
    unattended.wait(jitter)
    what = compiled(asked)
    run = new_run("drift", what)
    wanted = Options(budget=budget, host_budget=host_budget, second_try=True)
    store, anew = unattended.opened(run_store.allowed(asked.store) or default_folder(), to_people=bool(urls))
    with closing(store), alone(store.folder, run) as killed:
        if killed:
            terminal.warning(killed)
        run_store.check(store, what.inventory)
        with terminal.Progress() as progress:
            hosts = planned([Job(host, desired) for host, desired in what.hosts], store, wanted, progress)
        run = unattended.with_absences(replace(run, hosts=hosts), store)
        today = datetime.fromisoformat(run.created_at).astimezone().date()
        run = classified(run, store.memory(host.name for host in hosts), what.inventory.waivers, today)
        with unattended.writing_down(run):
            try:
                store.record(run)
            finally:  # what was read is said, also where it can't be recorded
                showing.show(run, form, verbose=verbose)
            wrong = [*filter(None, (killed, "the run store was broken, and a new one begins" if anew else ""))]
            code = ExitCode.FAILED if anew else run.code
            told = notify.told(run, store, urls, terminal.say, narrowed(asked), wrong, code)
    showing.ended(run, progress.seconds)
    code = code if told else ExitCode.FAILED
    unattended.say_unread(run, code)
    return code


@command.command("notify-test")
def notify_test() -> ExitCode:
    """Send everybody who is told of drift checks a test message.

    Exit codes: 0 every address took it, 1 one did not, 64 nobody is named.

    \b
    Example:
      opdeploy drift notify-test
    """
    urls = controller.addresses()
    if not urls:
        where = controller.load().path or controller.MACHINE
        raise UsageError(f"nobody is named to be told: {where} has no notify", "docs/notifications.md has examples")
    reached = notify.send(notify.TEST, urls, terminal.say)
    terminal.say(f"{reached} of {len(urls)} addresses took the test message")
    return ExitCode.OK if reached == len(urls) else ExitCode.FAILED
