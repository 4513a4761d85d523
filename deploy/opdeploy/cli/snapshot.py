"""``opdeploy snapshot``: hosts' raw answers on disk, and the script that an IT department can run itself."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from opdeploy.cli import options, run_store, showing, terminal
from opdeploy.cli.compiled import compiled, new_run
from opdeploy.cli.options import Asked
from opdeploy.engine import Job, Observed, observe
from opdeploy.model import ExitCode, OpdeployError, UsageError
from opdeploy.planning import first_reads
from opdeploy.rendering import timestamp
from opdeploy.store import snapshots
from opdeploy.store.script import script as script_text
from opdeploy.windows import agent

WHERE = (options.inventory, options.roles_path, options.store)


@click.group("snapshot")
def command() -> None:
    """Save a host's raw answers, to plan from later and without it.

    \b
    Example:
      opdeploy snapshot take db1.example --out snapshots/ && opdeploy plan --from snapshots/
    """


@command.command("take")
@click.argument("hosts", metavar="HOST...", nargs=-1, required=True)
@options.asking(*WHERE)
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", required=True, help="A folder; a file for each host.")
def take(asked: Asked, hosts: tuple[str, ...], out: Path) -> ExitCode:
    """Read hosts and save what they answered, one JSON file each (mode 0600). Passwords and command lines stay out.

    \b
    Example:
      opdeploy snapshot take db1.example ts1.example --out snapshots/
    """
    what = compiled(asked)
    jobs = [Job(*what.host(name)) for name in dict.fromkeys(hosts)]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out}: {error.strerror}", "name a folder of your own with --out") from error
    with closing(run_store.opened(asked, what.inventory)) as store, terminal.Progress() as progress:
        observed = observe(jobs, store, progress=progress)
        taken = [_save(one, out, store.key()) for one in observed if not one.result.error]
    for path in taken:
        terminal.write(f"{path}\n")
    failed = replace(new_run("plan", what), hosts=tuple(one.result for one in observed if one.result.error))
    for host in failed.hosts:
        terminal.error(OpdeployError(f"{host.name}: {host.error}", host.hint))
    showing.ended(replace(failed, hosts=tuple(one.result for one in observed)), progress.seconds)
    return failed.code


def _save(one: Observed, out: Path, key: bytes) -> Path:
    name = one.job.host.name
    now = timestamp(datetime.now(UTC))
    path = out / f"{name}.json"
    snapshots.save(path, snapshots.take(name, one.observation, taken_at=now, agent=agent.digest(), key=key))
    return path


@command.command("script")
@click.argument("host")
@options.asking(*WHERE)
def script(asked: Asked, host: str) -> None:
    """Print one PowerShell file that asks a host what a plan needs: to be read, run there, and its answer sent back.

    \b
    Examples:
      opdeploy snapshot script db1.example > ask-db1.ps1
      (on db1)  powershell -File ask-db1.ps1 > db1.txt
      opdeploy plan --from folder-with-db1.txt/ --limit db1.example
    """
    _, desired = compiled(asked).host(host)
    terminal.write(script_text(host, first_reads(desired), agent.source(write=False), agent.digest()))


@command.command("show")
@click.argument("file", type=click.Path(path_type=Path))
def show(file: Path) -> None:
    """Print all that is in a snapshot, before it is sent anywhere.

    \b
    Example:
      opdeploy snapshot show snapshots/db1.example.json
    """
    for line in snapshots.show(snapshots.load(file)):
        terminal.write(line + "\n")
