"""``opdeploy apply``: closes the difference that somebody has seen: in a plan file, on this terminal, or by ``--yes``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import click

from opdeploy.cli import approving, options, run_store, showing, terminal
from opdeploy.cli.compiled import Compiled, compiled, new_run
from opdeploy.cli.options import Asked
from opdeploy.engine import Job
from opdeploy.engine import apply as applied
from opdeploy.engine import plan as planned
from opdeploy.model import ExitCode, UsageError
from opdeploy.reports.plan_file import PlanDocument, check_sources, plan_document
from opdeploy.results import HostResult, Run
from opdeploy.store import Store

Hosts = tuple[HostResult, ...]


@click.command("apply")
@click.argument("plan", required=False, metavar="[PLAN.json]", type=click.Path(path_type=Path))
@options.asking(options.inventory, options.roles_path, options.store, options.limit, options.role)
@click.option("--yes", is_flag=True, help="Do not ask. Needed where there is no terminal.")
@options.report_output
def command(asked: Asked, plan: Path | None, yes: bool, form: str) -> ExitCode:
    """Close the difference between the hosts and the inventory.

    Shows the plan and asks; with --yes it does not. With PLAN.json it makes the plan anew and changes only what that file
    says: a host that is no longer as the plan saw it is left untouched, and the others carry on. What this machine's policy
    wants approved is only applied from a file that holds the approvals.

    Exit codes: 0 applied, 2 what is only reported still differs, 1 a change failed or was refused, 3 a host
    could not be reached, 64 nothing was touched.

    \b
    Examples:
      opdeploy apply -i inventories/lab
      opdeploy apply monday.json --yes
      opdeploy apply --limit ts1.example --role firewall
    """
    if not yes and not terminal.interactive():
        raise UsageError("apply asks before it changes anything, and here is no terminal to ask on", "say --yes")
    document = approving.plan_file(plan) if plan else None
    what = compiled(_as_planned(asked, document) if document else asked)
    run = approving.checked_run("apply", what, document, what.hosts)
    jobs = [Job(host, desired) for host, desired in what.hosts if approving.is_planned(host, document, asked)]
    with closing(run_store.opened(asked, what.inventory)) as store:
        if document:
            check_sources(document, what.sources, store.key())
        if not yes:
            seen = _seen(jobs, what, store, form)
            if not _worth_applying(seen):
                return seen.code
            if not terminal.agreed("Apply this?"):
                terminal.say("nothing was changed")
                return seen.code
            document = document or plan_document(seen, store.key(), asked.roles)
        return carried_out(jobs, run, store, document, form)


def carried_out(
    jobs: Sequence[Job],
    run: Run,
    store: Store,
    document: PlanDocument | None,
    form: str,
    told: Callable[[Hosts], Hosts] = lambda hosts: hosts,
) -> ExitCode:
    """What a person or a plan file agreed to, done, recorded and shown; `told` is what else is to be said of the hosts."""
    recorder = store.begin(run)
    with showing.so_far(recorder), terminal.Progress() as progress:
        hosts = applied(jobs, store, recorder, approving.review(document, run, store.key()), progress=progress)
    run = replace(run, hosts=told(hosts))
    try:
        recorder.finish(run)
    finally:  # what was done is said, also where it can't be written down
        showing.show(run, form)
    return showing.ended(run, progress.seconds)


# ---------------------------------------------------------------- a plan file


def _as_planned(asked: Asked, document: PlanDocument) -> Asked:
    """The same roles as the plan was made with."""
    if asked.roles and set(asked.roles) != set(document.roles):
        made = f"with --role {' --role '.join(document.roles)}" if document.roles else "for all roles"
        raise UsageError(f"the plan was made {made}", "leave --role out: apply takes the plan's")
    return replace(asked, roles=tuple(document.roles))


# ---------------------------------------------------------------- somebody at the terminal


def _seen(jobs: Sequence[Job], what: Compiled, store: Store, form: str) -> Run:
    """The plan as somebody is shown it."""
    run = new_run("plan", what)
    with terminal.Progress() as progress:
        run = replace(run, hosts=planned(jobs, store, progress=progress))
    showing.asking(run, form)
    return run


def _worth_applying(run: Run) -> bool:
    return any(item.change.action != "none" for host in run.hosts for item in host.items)
