"""``opdeploy step``: what only a person can do, listed, signed off, and opened again. No host is spoken to.

A sign-off is of the text as the inventory has it now, which is shown to whoever signs. The run store keeps it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import click

from opdeploy.cli import options, run_store, terminal
from opdeploy.cli.compiled import Compiled, compiled
from opdeploy.cli.options import Asked
from opdeploy.inventory import near
from opdeploy.model import OpdeployError, UsageError
from opdeploy.rendering import printable
from opdeploy.reports.text import step_lines
from opdeploy.resources.manual_step import ManualStep
from opdeploy.store import SignOff, Store

SCHEMA = "opdeploy.steps/1"
WHERE = (options.inventory, options.roles_path, options.store, options.limit)


@dataclass(frozen=True)
class Step:
    """A manual step of one host; `signed` may be of an older text."""

    host: str
    resource: ManualStep
    roles: tuple[str, ...]
    signed: SignOff | None = None

    @property
    def id(self) -> str:
        return self.resource.id

    @property
    def name(self) -> str:
        return f"{self.host}/{self.id}"

    @property
    def state(self) -> str:
        if self.signed is None:
            return "open"
        return "signed" if self.signed.digest == self.resource.digest else "changed"

    @property
    def told(self) -> str:
        if self.signed is None:
            return "open, unless Defender is active there: a plan tells" if self.resource.unless_defender else "open"
        by = f"signed off by {self.signed.by} on {self.signed.at[:10]}"
        return f"{by}: {self.signed.note}" if self.state == "signed" else f"open: {by}, but its text has changed since"


def _ids(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """What an ID may be completed to; nothing where the inventory can't be read."""
    given = context.params
    try:
        asked = Asked(
            given.get("inventory") or options.default_inventory(),
            given.get("roles_path") or (),
            limits=given.get("limits") or (),
        )
        return [name for name in _shortest(_in_inventory(compiled(asked))) if name.startswith(incomplete)]
    except OpdeployError:
        return []


def _text(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise click.BadParameter("expected a line of text")
    return value.strip()


ids = click.argument("ids", metavar="ID...", nargs=-1, required=True, shell_complete=_ids)


@click.group("step")
def command() -> None:
    """List what only a person can do, and sign it off once it is done. No host is spoken to.

    \b
    Example:
      opdeploy step list && opdeploy step sign take-the-disk-home --by anna --note "disk B is in the safe"
    """


@command.command("list")
@options.asking(*WHERE, options.output)
def list_(asked: Asked, form: str) -> None:
    """List the manual steps of all hosts, and which are signed off.

    \b
    Examples:
      opdeploy step list -i inventories/lab
      opdeploy step list --limit backup1.example --format json
    """
    what = compiled(asked)
    unsigned = _in_inventory(what)
    with closing(run_store.opened(asked, what.inventory)) as store:
        steps = _with_sign_offs(unsigned, store)
    if form == "json":
        document = {"schema": SCHEMA, "inventory": str(asked.inventory), "steps": [_document(step) for step in steps]}
        terminal.document(document)
        return
    width = max((len(step.name) for step in steps), default=0)
    for step in steps:
        terminal.write(printable(f"{step.name:<{width}}  {step.resource.title:<46}  {step.told}") + "\n")


@command.command("sign")
@ids
@options.asking(*WHERE)
@click.option("--by", metavar="NAME", required=True, callback=_text, help="Who has done it.")
@click.option("--note", metavar="TEXT", required=True, callback=_text, help="What was done, for who reads it later.")
def sign(asked: Asked, ids: tuple[str, ...], by: str, note: str) -> None:
    """Sign steps off: done, by whom, with a note. Of the text as it stands now, which is shown.

    An ID that several hosts have is written HOST/ID, or stands for those of --limit.

    \b
    Examples:
      opdeploy step sign take-the-disk-home --by anna --note "disk B is in the safe"
      opdeploy step sign db1.example/activate-windows --by "practice IT, Mr Berg" --note "phone activation"
      opdeploy step sign activate-windows --limit 'database_servers' --by anna --note "by the practice's KMS"
    """
    what = compiled(asked)
    chosen = _chosen(_in_inventory(what), ids, asked)
    with closing(run_store.opened(asked, what.inventory)) as store:
        steps = _with_sign_offs(chosen, store)
        if done := [step for step in steps if step.state == "signed"]:
            raise UsageError(f"{done[0].name} is {done[0].told}", f"open it again first: opdeploy step withdraw {done[0].name}")
        for step in steps:
            terminal.write("\n".join([printable(f"{step.name}  {step.resource.title}"), *step_lines(step.resource)]) + "\n")
            store.sign_step(step.host, step.id, step.resource.digest, by, note, what.inventory.practice)
    terminal.say(printable(f"signed off by {by}: {note}"))


@command.command("withdraw")
@ids
@options.asking(*WHERE)
def withdraw(asked: Asked, ids: tuple[str, ...]) -> None:
    """Take sign-offs back: the steps are open again, and in every plan.

    \b
    Example:
      opdeploy step withdraw take-the-disk-home
    """
    what = compiled(asked)
    chosen = _chosen(_in_inventory(what), ids, asked)
    with closing(run_store.opened(asked, what.inventory)) as store:
        steps = _with_sign_offs(chosen, store)
        if unsigned := [step.name for step in steps if step.signed is None]:
            raise UsageError(f"{unsigned[0]} is not signed off", "opdeploy step list")
        for step in steps:
            store.withdraw_step(step.host, step.id)
            terminal.write(printable(f"{step.name}  open again; it was {step.told}") + "\n")


# ---------------------------------------------------------------- which steps


def _in_inventory(what: Compiled) -> list[Step]:
    """Every step of the hosts that were asked for."""
    return [
        Step(host.name, managed.resource, managed.roles)
        for host, desired in what.hosts
        for managed in desired.resources
        if isinstance(managed.resource, ManualStep)
    ]


def _with_sign_offs(steps: Sequence[Step], store: Store) -> list[Step]:
    return [replace(step, signed=store.steps(step.host).get(step.id)) for step in steps]


def _shortest(steps: Sequence[Step]) -> list[str]:
    """How each may be named: by its ID, where no other host has it."""
    hosts = Counter(step.id for step in steps)
    return [step.id if hosts[step.id] == 1 else step.name for step in steps]


def _chosen(steps: Sequence[Step], ids: Sequence[str], asked: Asked) -> list[Step]:
    """Raises UsageError for an ID that is none, or is several hosts' without a limit."""
    chosen: list[Step] = []
    for id in dict.fromkeys(ids):
        found = [step for step in steps if id in (step.id, step.name)]
        if not found:
            names = _shortest(steps)
            there = f"there are: {', '.join(names)}" if names else "there are none"
            raise UsageError(f"no manual step {printable(id)} of these hosts", near(id, names) or there)
        if len(found) > 1 and not asked.limits:
            raise UsageError(
                f"{id} is a step of {', '.join(step.host for step in found)}", f"say {found[0].name}, or --limit HOST"
            )
        chosen += [step for step in found if step not in chosen]
    return chosen


def _document(step: Step) -> dict[str, Any]:
    told = {name: getattr(step.resource, name) for name in ("id", "title", "who", "how", "why")}
    signed = {name: getattr(step.signed, name) for name in ("by", "at", "note")} if step.signed else None
    where = {"unless_defender": step.resource.unless_defender}
    return {"host": step.host, "roles": list(step.roles), **told, **where, "state": step.state, "signed": signed}
