"""``opdeploy apply``: closes the difference that somebody has seen: in a plan file, on this terminal, or by ``--yes``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import click

from opdeploy.cli import options, showing, terminal
from opdeploy.cli.compiled import Compiled, compiled, new_run
from opdeploy.cli.options import Asked
from opdeploy.engine import Job
from opdeploy.engine import apply as applied
from opdeploy.engine import plan as planned
from opdeploy.model import ExitCode, UsageError
from opdeploy.reports.plan_file import AGAIN, PlanDocument, check_sources, host_differences, plan_document, read_plan
from opdeploy.results import HostResult, Run
from opdeploy.store import Store

Review = Callable[[HostResult], Sequence[str]]


@click.command("apply")
@click.argument("plan", required=False, metavar="[PLAN.json]", type=click.Path(path_type=Path))
@options.asking(options.inventory, options.roles_path, options.store, options.limit, options.role)
@click.option("--yes", is_flag=True, help="Do not ask. Needed where there is no terminal.")
@options.output
def command(asked: Asked, plan: Path | None, yes: bool, form: str) -> ExitCode:
    """Close the difference between the hosts and the inventory.

    Shows the plan and asks; with --yes it does not. With PLAN.json it makes the plan anew and changes only what that file
    says: a host that is no longer as the plan saw it is left untouched, and the others carry on.

    Exit codes: 0 applied, 1 a change failed or was refused, 3 a host could not be reached, 64 nothing was touched.

    \b
    Examples:
      opdeploy apply -i inventories/lab
      opdeploy apply monday.json --yes
      opdeploy apply --limit ts1.example --role firewall
    """
    if not yes and not terminal.interactive():
        raise UsageError("apply asks before it changes anything, and here is no terminal to ask on", "say --yes")
    document = _read(plan) if plan else None
    what = compiled(_as_planned(asked, document) if document else asked)
    if document:
        _check_hosts(document, what)
    jobs = [Job(host, desired) for host, desired in what.hosts if document is None or _is_planned(host.name, document, asked)]
    with closing(Store.open(asked.store)) as store:
        if document:
            check_sources(document, what.sources, store.key())
        if not yes:
            seen = _seen(jobs, what, store, asked)
            if not _worth_applying(seen):
                return seen.code
            if not terminal.agreed("Apply this?"):
                terminal.say("nothing was changed")
                return seen.code
            document = document or _document(seen, store.key(), asked.roles)
        return _apply(jobs, what, store, document, form)


def _apply(jobs: Sequence[Job], what: Compiled, store: Store, document: PlanDocument | None, form: str) -> ExitCode:
    run = new_run("apply", what)
    recorder = store.begin(run)
    with showing.so_far(recorder), terminal.Progress() as progress:
        hosts = applied(jobs, store, recorder, _review(document, store.key()), progress=progress)
    run = replace(run, hosts=hosts)
    try:
        recorder.finish(run)
    finally:  # what was done is said, also where it can't be written down
        showing.show(run, form)
    return showing.ended(run, progress.seconds)


def _review(document: PlanDocument | None, key: bytes) -> Review | None:
    return (lambda host: host_differences(document, host, key)) if document else None


# ---------------------------------------------------------------- a plan file


def _read(path: Path) -> PlanDocument:
    try:
        return read_plan(path.read_bytes())
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", error.hint) from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "make a plan first: opdeploy plan --out FILE") from error


def _as_planned(asked: Asked, document: PlanDocument) -> Asked:
    """The same roles as the plan was made with."""
    if asked.roles and set(asked.roles) != set(document.roles):
        made = f"with --role {' --role '.join(document.roles)}" if document.roles else "for all roles"
        raise UsageError(f"the plan was made {made}", "leave --role out: apply takes the plan's")
    return replace(asked, roles=tuple(document.roles))


def _check_hosts(document: PlanDocument, what: Compiled) -> None:
    """A host that nobody would be asked about must not pass for one that is done."""
    known = {host.name for host in what.inventory.hosts}
    if strangers := [host.name for host in document.hosts if host.name not in known]:
        raise UsageError(f"the plan is of {', '.join(strangers)}, not in this inventory", AGAIN)


def _is_planned(name: str, document: PlanDocument, asked: Asked) -> bool:
    """Without a limit only the plan's hosts; one that is named is refused by the review."""
    return bool(asked.limits) or any(host.name == name for host in document.hosts)


# ---------------------------------------------------------------- somebody at the terminal


def _seen(jobs: Sequence[Job], what: Compiled, store: Store, asked: Asked) -> Run:
    """The plan as somebody is shown it."""
    run = new_run("plan", what)
    with terminal.Progress() as progress:
        run = replace(run, hosts=planned(jobs, store, progress=progress))
    showing.show(run)
    return run


def _worth_applying(run: Run) -> bool:
    return any(item.change.action != "none" for host in run.hosts for item in host.items)


def _document(run: Run, key: bytes, roles: Sequence[str]) -> PlanDocument:
    return PlanDocument.model_validate(plan_document(run, key, roles))
