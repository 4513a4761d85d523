"""``opdeploy lab``: simulated practice servers on this machine, started, shown, tampered with and ended."""

from __future__ import annotations

import contextlib
import os
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import click

from opdeploy.cli import options, terminal
from opdeploy.cli.lab_setup import FOLDER, prepared
from opdeploy.cli.options import Asked, default_inventory
from opdeploy.lab import control, folder, process
from opdeploy.lab.__main__ import serve
from opdeploy.lab.running import LabError
from opdeploy.lab.setup import Setup
from opdeploy.lab.tampering import TAMPERINGS
from opdeploy.model import ExitCode, OpdeployError, UsageError

SCHEMA = "opdeploy.lab/1"
USUAL = Path("inventories/lab")
LONGEST = 60_000  # milliseconds


def _usual_inventory() -> Path:
    return USUAL if USUAL.is_dir() else default_inventory()


_inventory = click.option(
    "-i",
    "--inventory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    envvar=options.VARIABLE,
    help=f"The lab's inventory. Default: ${options.VARIABLE}, else {USUAL}.",
)
_where = partial(options.asking, _inventory, default=_usual_inventory)
_MILLISECONDS = click.FloatRange(0, LONGEST)


@click.group("lab")
def command() -> None:
    """Run simulated practice servers on this machine: real WS-Man on loopback, a model of Windows behind.

    \b
    Example:
      opdeploy lab up && opdeploy plan -i inventories/lab; opdeploy lab down
    """


@command.command("up")
@_where()
@click.option("--state", type=click.Path(path_type=Path), metavar="DIR", help="Keep the hosts' state here, from lab to lab.")
@click.option("--latency", type=_MILLISECONDS, default=0, metavar="MS", help="Added to each POST, as distance does.")
@click.option("--powershell-start", type=_MILLISECONDS, default=0, metavar="MS", help="What a powershell.exe takes to start.")
@click.option("--foreground", is_flag=True, help="Stay here until Ctrl-C.")
@click.option("--with-parent", is_flag=True, help="End the lab when standard input is closed.")
def up(asked: Asked, state: Path | None, latency: float, powershell_start: float, foreground: bool, with_parent: bool) -> None:
    """Start the inventory's hosts as simulated servers on the ports that it names.

    \b
    Examples:
      opdeploy lab up
      opdeploy lab up --latency 40 --powershell-start 800 --state ~/lab-state
    """
    made = asked.inventory / FOLDER
    lock = _claimed(asked.inventory, made)
    watched = (0 if foreground else os.dup(0)) if with_parent else -1
    try:
        if state:
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
        setup = prepared(asked.inventory, state, latency / 1000, powershell_start / 1000, watched)
        _start(setup, lock, foreground, asked.inventory)
        if not with_parent:
            terminal.say(f"next: {_suggested('plan', asked.inventory)}; {_suggested('lab down', asked.inventory)}")
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            folder.clear(made)
        if isinstance(error, LabError):
            raise OpdeployError(error.message, error.hint) from error
        if isinstance(error, OSError):
            raise OpdeployError(f"the lab can't be started: {error.strerror}: {error.filename}") from error
        raise


def _claimed(directory: Path, made: Path) -> int:
    try:
        return folder.claim(made)
    except folder.Taken:
        hint = f"see {_suggested('lab status', directory)}, or end it: {_suggested('lab down', directory)}"
        raise UsageError(f"a lab runs for {directory} already", hint) from None
    except OSError as error:
        raise UsageError(f"{made}: {error.strerror}", "the lab keeps passwords and certificates in its inventory") from error


def _start(setup: Setup, lock: int, foreground: bool, directory: Path) -> None:
    if foreground:
        serve(setup, lambda lab: _print(lab.status()))
        return
    process.start(setup, lock)
    _print(_ask(_running(directory), "GET", "/status"))


@command.command("status")
@_where(options.output)
def status(asked: Asked, form: str) -> int:
    """Show the running lab: hosts, addresses, and what they have answered. 3 where none runs.

    \b
    Example:
      opdeploy lab status --format json
    """
    run = folder.read_run(asked.inventory / FOLDER)
    told = _ask(run, "GET", "/status") if run else None
    if form == "json":
        told_or_not = told or {"hosts": []}
        terminal.document({"schema": SCHEMA, "inventory": str(asked.inventory), "running": bool(told), **told_or_not})
    elif told:
        _print(told)
    else:
        terminal.say(f"no lab runs for {asked.inventory}; start it: {_suggested('lab up', asked.inventory)}")
    return ExitCode.OK if told else ExitCode.UNKNOWN


def _print(status: dict[str, Any]) -> None:
    for host in status["hosts"]:
        sizes = f"{host['posts']} POSTs, {host['bytes_in']} bytes in, {host['bytes_out']} out"
        terminal.write(f"{host['name']}  {host['url']}  {host['kind'].replace('_', ' ')}  {sizes}\n")


@command.command("down")
@_where()
def down(asked: Asked) -> None:
    """End the lab, and remove the passwords and certificates that it was given.

    \b
    Example:
      opdeploy lab down
    """
    made = asked.inventory / FOLDER
    run = folder.read_run(made)
    if run is None:
        folder.clear_abandoned(made)
        terminal.say(f"no lab runs for {asked.inventory}")
    elif not process.stop(made, run):
        raise OpdeployError(f"the lab does not end (process {run['pid']})", f"end it with: kill {run['pid']}")
    else:
        terminal.say(f"the lab of {asked.inventory} has ended")


@command.command("tamper")
@click.argument("hosts", metavar="[HOST]...", nargs=-1)
@_where()
@click.option("--only", type=click.Choice(list(TAMPERINGS)), multiple=True, help="Only this; may be given several times.")
def tamper(asked: Asked, hosts: tuple[str, ...], only: tuple[str, ...]) -> None:
    """Change the hosts (all, or those named) behind everybody's back, so that there is drift to find.

    A fixed list, as far as a host has such a thing: stop a service and set it to manual; open a firewall rule to
    everybody; add a rule to the group OP; make an account an administrator; take an account's access to a folder; add
    a line to a file; have a scheduled task run another program.

    \b
    Example:
      opdeploy lab tamper db1.example --only service
    """
    run = _running(asked.inventory)
    there = [host["name"] for host in _ask(run, "GET", "/status")["hosts"]]
    if unknown := [host for host in hosts if host not in there]:
        raise UsageError(f"the lab has no host {unknown[0]}", f"there are: {', '.join(there)}")
    for host in hosts or there:
        for done in _ask(run, "POST", "/tamper", {"host": host, "only": list(only)}):
            terminal.write(f"{host}: {done['done']}\n")


def _ask(run: dict[str, Any], method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    try:
        return control.ask(run, method, path, body)
    except OSError as error:
        raise OpdeployError(f"the lab (process {run['pid']}) does not answer: {error}", "opdeploy lab down") from error


def _running(directory: Path) -> dict[str, Any]:
    run = folder.read_run(directory / FOLDER)
    if run is None:
        raise UsageError(f"no lab runs for {directory}", f"start it: {_suggested('lab up', directory)}")
    return run


def _suggested(command: str, directory: Path) -> str:
    """A command as a shell takes it."""
    return f"opdeploy {command} -i {shlex.quote(str(directory))}"
