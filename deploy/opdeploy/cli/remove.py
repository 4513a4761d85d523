"""``opdeploy remove``: takes back what roles did to hosts, as far as it can be, and says what stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from opdeploy.cli import approving, options, out_file, run_store, showing, terminal
from opdeploy.cli.apply import carried_out
from opdeploy.cli.compiled import Compiled, compiled, new_run
from opdeploy.cli.options import Asked
from opdeploy.engine import Job
from opdeploy.engine import plan as planned
from opdeploy.inventory import Host
from opdeploy.model import ExitCode, UsageError
from opdeploy.reports.plan_file import PlanDocument, check_sources, plan_document
from opdeploy.resources.base import Resource
from opdeploy.results import HostResult, Run
from opdeploy.store import Store
from opdeploy.undoing import NO_RECORD, WHY_NO_RECORD, Left, undoing

NOT_READ = "not read: nothing is to be taken back from it"


@click.command("remove")
@click.argument("plan", required=False, metavar="[PLAN.json]", type=click.Path(path_type=Path))
@options.asking(options.inventory, options.roles_path, options.store, options.limit, options.role)
@click.option("--all-roles", is_flag=True, help="Every role that a host has.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write the plan here, for review and approval.")
@click.option("--apply", "wet", is_flag=True, help="Do it, after the plan was shown and agreed to.")
@click.option("--yes", is_flag=True, help="With --apply: do not ask. Needed where there is no terminal.")
@options.report_output
def command(asked: Asked, plan: Path | None, all_roles: bool, out: Path | None, wet: bool, yes: bool, form: str) -> ExitCode:
    """Take back what roles did: what was made goes away, what was changed gets its old values, in reverse order.

    Shows the plan; --apply makes it. With PLAN.json it changes only what that file says, as apply does. The roles stay in
    the inventory: take them out there, or the next apply makes it all anew. Data folders are never deleted; what nobody has
    a record of is left and said.

    Exit codes: 0 nothing to take back, or taken back, 2 a plan with something in it, 1 a change failed, 3 unknown.

    \b
    Examples:
      opdeploy remove --role troubleshooting_tools
      opdeploy remove --role firewall --limit db1.example --apply
      opdeploy remove --all-roles --apply --yes
      opdeploy remove --role firewall --out back.json && opdeploy remove back.json --apply
    """
    _check_usage(asked, plan, all_roles, out, wet, yes)
    document = approving.plan_file(plan) if plan else None
    what = compiled(replace(asked, roles=()))
    names = set(document.roles if document else asked.roles or what.roles.names)
    _check(names, what)
    with closing(run_store.opened(asked, what.inventory)) as store:
        hosts = [(host, desired) for host, desired in what.hosts if approving.is_planned(host, document, asked)]
        plans = [(host, *undoing(desired, names, partial(_found, store, host))) for host, desired in hosts]
        jobs = [Job(host, back) for host, back, _ in plans if back.resources or _is_in(document, host)]
        left = {host.name: stays for host, _, stays in plans}
        run = approving.checked_run("remove", what, document, [(job.host, job.desired) for job in jobs]) if wet else None
        if document:
            check_sources(document, what.sources, store.key())
        if run is None or not yes:
            seen = _planned(jobs, what, store, left, partial(showing.asking if wet else showing.show, form=form))
            if out:
                out_file.write(out, plan_document(seen, store.key(), sorted(names), what.inventory.approvals).text, "the plan")
            if run is None or seen.code != ExitCode.CHANGES or not terminal.agreed("Take this back?"):
                return seen.code
        return carried_out(jobs, run, store, document, form, lambda hosts: _told(hosts, left))


def _check_usage(asked: Asked, plan: Path | None, all_roles: bool, out: Path | None, wet: bool, yes: bool) -> None:
    if plan and (all_roles or asked.roles or not wet):
        raise UsageError("remove takes a plan file only with --apply, and no role besides", f"opdeploy remove {plan} --apply")
    if not plan and all_roles == bool(asked.roles):
        raise UsageError("which roles?", "name them with --role NAME, or say --all-roles" + (", not both" if all_roles else ""))
    if yes and not wet:
        raise UsageError("--yes without --apply: remove only shows its plan", "say --apply too, or leave --yes out")
    if wet and not yes and not terminal.interactive():
        raise UsageError("remove --apply asks before it changes anything, and here is no terminal to ask on", "say --yes")
    if out and wet:
        raise UsageError("--out is for a plan, and --apply makes one", "say one of them")
    if out:
        approving.check_out(out)


def _is_in(document: PlanDocument | None, host: Host) -> bool:
    """Whether a plan takes something back from a host, also where nothing is left to take back: it is stale then."""
    return document is not None and any(one.name == host.name and one.resources for one in document.hosts)


def _check(names: set[str], what: Compiled) -> None:
    if unknown := sorted(names - set(what.roles.names)):
        raise UsageError(f"{unknown[0]}: no such role", f"there are {', '.join(what.roles.names)}")


def _found(store: Store, host: Host, resource: Resource) -> Any:
    return store.found(host.name, resource.KIND, resource.key)


def _planned(
    jobs: list[Job], what: Compiled, store: Store, left: dict[str, tuple[Left, ...]], show: Callable[[Run], None]
) -> Run:
    with terminal.Progress() as progress:
        hosts = planned(jobs, store, progress=progress)
    run = new_run("remove", what, _told(hosts, left))
    store.record(run)
    show(run)
    showing.ended(run, progress.seconds)
    return run


def _told(hosts: tuple[HostResult, ...], left: dict[str, tuple[Left, ...]]) -> tuple[HostResult, ...]:
    """Every host with what stays on it; one that nothing is taken back from was not read."""
    asked = {host.name: host for host in hosts}
    results = [asked.get(name, HostResult(name, warnings=(NOT_READ,))) for name in left]
    return tuple(replace(one, warnings=(*one.warnings, *_stays(left[one.name]))) for one in results)


def _stays(left: tuple[Left, ...]) -> Iterator[str]:
    yield from (f"left: {stays}" for stays in left)
    if any(stays.why == NO_RECORD for stays in left):
        yield WHY_NO_RECORD
