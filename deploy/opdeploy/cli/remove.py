"""``opdeploy remove``: takes back what roles did to hosts, as far as it can be, and says what stays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import click

from opdeploy.cli import options, showing, terminal
from opdeploy.cli.compiled import Compiled, compiled, new_run
from opdeploy.cli.options import Asked
from opdeploy.engine import Job
from opdeploy.engine import apply as applied
from opdeploy.engine import plan as planned
from opdeploy.inventory import Host
from opdeploy.model import ExitCode, UsageError
from opdeploy.resources.base import Resource
from opdeploy.results import HostResult
from opdeploy.store import Store
from opdeploy.undoing import NO_RECORD, WHY_NO_RECORD, Left, undoing


@click.command("remove")
@options.asking(options.inventory, options.roles_path, options.store, options.limit, options.role)
@click.option("--all-roles", is_flag=True, help="Every role that a host has.")
@click.option("--apply", "wet", is_flag=True, help="Do it, after the plan was shown and agreed to.")
@click.option("--yes", is_flag=True, help="With --apply: do not ask. Needed where there is no terminal.")
@options.output
def command(asked: Asked, all_roles: bool, wet: bool, yes: bool, form: str) -> ExitCode:
    """Take back what roles did: what was made goes away, what was changed gets its old values, in reverse order.

    Shows the plan; --apply makes it. The roles stay in the inventory: take them out there, or the next apply makes it all
    anew. Data folders are never deleted; what nobody has a record of is left and said.

    Exit codes: 0 nothing to take back, or taken back, 2 a plan with something in it, 1 a change failed, 3 unknown.

    \b
    Examples:
      opdeploy remove --role troubleshooting_tools
      opdeploy remove --role firewall --limit db1.example --apply
      opdeploy remove --all-roles --apply --yes
    """
    if all_roles == bool(asked.roles):
        raise UsageError("which roles?", "name them with --role NAME, or say --all-roles" + (", not both" if all_roles else ""))
    if yes and not wet:
        raise UsageError("--yes without --apply: remove only shows its plan", "say --apply too, or leave --yes out")
    if wet and not yes and not terminal.interactive():
        raise UsageError("remove --apply asks before it changes anything, and here is no terminal to ask on", "say --yes")
    what = compiled(replace(asked, roles=()))
    names = set(asked.roles or what.roles.names)
    _check(names, what)
    with closing(Store.open(asked.store)) as store:
        plans = [(host, *undoing(desired, names, partial(_found, store, host))) for host, desired in what.hosts]
        jobs = [Job(host, back) for host, back, _ in plans if back.resources]
        left = {host.name: stays for host, _, stays in plans}
        if not wet or not yes:
            code = _planned(jobs, what, store, left, form)
            if not wet or code != ExitCode.CHANGES or not terminal.agreed("Take this back?"):
                return code
        return _apply(jobs, what, store, left, form)


def _check(names: set[str], what: Compiled) -> None:
    if unknown := sorted(names - set(what.roles.names)):
        raise UsageError(f"{unknown[0]}: no such role", f"there are {', '.join(what.roles.names)}")


def _found(store: Store, host: Host, resource: Resource) -> Any:
    return store.found(host.name, resource.KIND, resource.key)


def _planned(jobs: list[Job], what: Compiled, store: Store, left: dict[str, tuple[Left, ...]], form: str) -> ExitCode:
    with terminal.Progress() as progress:
        hosts = planned(jobs, store, progress=progress)
    run = new_run("remove", what, _told(hosts, what, left))
    store.record(run)
    showing.show(run, form)
    return showing.ended(run, progress.seconds)


def _apply(jobs: list[Job], what: Compiled, store: Store, left: dict[str, tuple[Left, ...]], form: str) -> ExitCode:
    run = new_run("remove", what)
    recorder = store.begin(run)
    with showing.so_far(recorder), terminal.Progress() as progress:
        hosts = applied(jobs, store, recorder, progress=progress)
    run = replace(run, hosts=_told(hosts, what, left))
    try:
        recorder.finish(run)
        _forget(store, hosts)
    finally:  # what was done is said, also where it can't be written down
        showing.show(run, form)
    return showing.ended(run, progress.seconds)


def _told(hosts: tuple[HostResult, ...], what: Compiled, left: dict[str, tuple[Left, ...]]) -> tuple[HostResult, ...]:
    """Every host with what stays on it; one that nothing is taken back from was not asked."""
    asked = {host.name: host for host in hosts}
    results = [asked.get(host.name, HostResult(host.name)) for host, _ in what.hosts]
    return tuple(replace(one, warnings=(*one.warnings, *_stays(left[one.name]))) for one in results)


def _stays(left: tuple[Left, ...]) -> Iterator[str]:
    yield from (f"left: {stays}" for stays in left)
    if any(stays.why == NO_RECORD for stays in left):
        yield WHY_NO_RECORD


def _forget(store: Store, hosts: tuple[HostResult, ...]) -> None:
    """What was taken back, or is as it was without us: its next first change begins anew."""
    for host in hosts:
        for item in host.items:
            if item.outcome == "applied" or (item.outcome is None and item.change.verdict == "in_sync"):
                store.forget(host.name, item.change.resource.KIND, item.change.resource.key)
