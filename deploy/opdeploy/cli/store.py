"""``opdeploy store``: whether the run store is whole, what of it is old enough to go, and all of it for another program."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click

from opdeploy.cli import options, run_store, terminal
from opdeploy.cli.options import Asked
from opdeploy.cli.times import since_when
from opdeploy.inventory import load
from opdeploy.model import ExitCode, OpdeployError, UsageError
from opdeploy.rendering import printable, size, timestamp
from opdeploy.store import Store, database, history, practices, upkeep
from opdeploy.store.records import default_folder
from opdeploy.store.upkeep import Checked, Old

LOST = """\
lost with it, as far as nobody restores it:
    what was there before our first change of anything: remove can't put it back
    which passwords we set: a plan calls them unknown until the next apply has set them anew
    who signed manual steps off: they are open again
    what was applied when, and since when a difference is known: drift calls all of it never applied"""


@click.group("store")
def command() -> None:
    """Check the run store, prune it, export it; say where a practice's inventory went. No host is spoken to.

    \b
    Example:
      opdeploy store check
    """


@command.command("check")
@options.store
@click.option("--set-aside", is_flag=True, help="Move a broken database away, and start a new history.")
def check(store: Path | None, set_aside: bool) -> ExitCode:
    """Read the whole run store, and say whether it can be relied on. Nothing is written without --set-aside.

    A run that never ended was killed, or is under way: that is no fault. --set-aside is refused for a database that is whole.

    Exit codes: 0 it is whole, 1 it is not, 64 there is none, or another program's.

    \b
    Examples:
      opdeploy store check
      opdeploy store check --set-aside
    """
    folder = store or default_folder()
    if set_aside:
        _set_aside(folder)
        return ExitCode.OK
    checked = upkeep.check(folder)
    terminal.plain_lines(_told(checked))
    for fault in checked.faults:
        terminal.error(fault)
    return ExitCode.FAILED if checked.faults else ExitCode.OK


def _told(checked: Checked) -> Iterator[str]:
    yield f"{checked.path}  {size(checked.size)}" + (f", schema {checked.schema}, {checked.runs} runs" if checked.whole else "")
    for run in checked.unended:
        begun = f", changes begun of which nobody knows what came: {run.begun}" if run.begun else ""
        yield f"never ended, or under way: {run.run_id}  {run.command} by {run.by}{begun}"
    for path in checked.aside:
        yield f"set aside: {path}"


def _set_aside(folder: Path) -> None:
    aside = database.set_aside(folder, datetime.now(UTC))
    if aside is None:
        raise UsageError(f"{folder}: no broken database here, and one that is whole is not set aside", "opdeploy store check")
    terminal.say(f"set aside: {aside}\n{LOST}")
    Store.open(folder).close()
    terminal.say(f"a new history begins in {folder}")


@command.command("prune")
@options.store
@click.option("--keep", default="400d", show_default=True, metavar="WHEN", help="A length of time, or a date; a day at least.")
@click.option("--apply", "wet", is_flag=True, help="Do it. Without, it is only said what would go.")
def prune(store: Path | None, keep: str, wet: bool) -> None:
    """Delete runs that are older than this, and give the space back. Others may go on working meanwhile.

    What is needed stays, however old: what was there before us, passwords, sign-offs, since when a difference is known, and
    runs that hold the last time something was applied, an inventory's last drift check, or what people were last told of it.

    \b
    Examples:
      opdeploy store prune --keep 400d
      opdeploy store prune --keep 2026-01-01 --apply
    """
    now = datetime.now(UTC)
    before = since_when(keep, now, "--keep")
    if before > since_when("1d", now):
        raise UsageError(f"--keep {keep}: what is under way would go", "keep a day at least: 1d")
    history.opened(store).close()  # raises where there is none: pruning makes none
    with closing(Store.open(store)) as opened:
        going = upkeep.old(opened, before)
        terminal.write(_going(going, before[:10], "deleted" if wet else "would go"))
        if wet:
            upkeep.prune(opened, going)
            _shrink(opened)


def _going(going: Old, before: str, what: str) -> str:
    commands = ", ".join(f"{count} {name}" for name, count in sorted(Counter(going.commands).items()))
    runs = f"{len(going.run_ids)} runs from before {before}" + (f" ({commands})" if commands else "")
    stay = f"; {going.kept} as old stay, since they are needed" if going.kept else ""
    return f"{what}: {runs}{stay}\n"


def _shrink(store: Store) -> None:
    try:
        upkeep.shrink(store)
    except OpdeployError as error:
        terminal.say(f"the space was not given back, the next prune tries again: {error.message}")


@command.command("moved")
@click.argument("old")
@options.asking(options.inventory, options.store)
def moved(asked: Asked, old: str) -> None:
    """Say that a practice's inventory lies elsewhere now, or has another name: its records are of that one from now on.

    OLD is the folder or the name that the store knows it by. Say it only where both are the same hosts: a store takes a host
    of another practice for one of this else.

    \b
    Example:
      opdeploy store moved /srv/practices/elm -i /srv/practices/elm-street
    """
    folder = run_store.allowed(asked.store)
    new = load(asked.inventory).practice
    history.opened(folder).close()  # raises where there is none
    with closing(Store.open(folder)) as store:
        runs = practices.moved(store, old, str(Path(old).resolve()), new)
        if runs is None:
            raise UsageError(f"{printable(old)}: no practice of this run store", _there_are(practices.known(store)))
    terminal.say(f"{runs} runs of {printable(old)} are of {new} now")


def _there_are(known: Sequence[str]) -> str:
    return f"there are: {printable(', '.join(known))}" if known else "it knows none, and refuses none"


@command.command("export")
@options.store
@click.option("--since", metavar="WHEN", help="Only runs since: a length of time (30d, 12h) or a date (2026-11-01).")
def export(store: Path | None, since: str | None) -> None:
    """Print every record as a line of JSON (docs/schemas/export.schema.json). No secret is in it, and not the key.

    \b
    Examples:
      opdeploy store export > store.jsonl
      opdeploy store export --since 30d | grep '"record": "change"'
    """
    now = datetime.now(UTC)
    begin = since_when(since, now) if since else ""
    for record in upkeep.export(store or default_folder(), begin, timestamp(now)):
        terminal.write(json.dumps(record) + "\n")
