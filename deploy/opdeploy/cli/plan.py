"""``opdeploy plan``: the difference between the hosts and the inventory, and nothing else."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import click

from opdeploy.cli import approving, from_snapshots, options, out_file, run_store, showing, terminal
from opdeploy.cli.compiled import compiled, new_run
from opdeploy.cli.options import Asked
from opdeploy.engine import Job, Options
from opdeploy.engine import plan as planned
from opdeploy.model import ExitCode
from opdeploy.reports.plan_file import plan_document


@click.group("plan", invoke_without_command=True)
@options.asking(options.inventory, options.roles_path, options.store, options.limit, options.role)
@click.option("--from", "snapshots", type=click.Path(path_type=Path), metavar="DIR", help="Plan from snapshots, not hosts.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write the plan here, for review and apply.")
@options.report_output
@click.option("--commands", is_flag=True, help="Show under each change the calls that apply would make.")
@click.option("--diff", is_flag=True, help="Show the difference of files in words.")
@click.option("--verify-passwords", is_flag=True, help="Prove passwords by one logon each; it stands in the hosts' logs.")
@click.option("-v", "--verbose", is_flag=True, help="Show what is in sync too.")
def command(
    asked: Asked,
    snapshots: Path | None,
    out: Path | None,
    form: str,
    commands: bool,
    diff: bool,
    verify_passwords: bool,
    verbose: bool,
) -> ExitCode:
    """Show what apply would change. Writes nothing; the hosts are sent nothing that could.

    Exit codes: 0 in sync, 2 changes pending, 3 a host or something on it is unknown, 1 failed, 64 a bad inventory.

    \b
    Examples:
      opdeploy plan -i inventories/lab
      opdeploy plan --limit db1.example --commands --diff
      opdeploy plan --out monday.json && opdeploy apply monday.json
      opdeploy plan --from snapshots/ --format json
      opdeploy plan --format html > monday.html
      opdeploy plan show monday.json
    """
    if out:
        approving.check_out(out)
    what = compiled(asked)
    jobs = [Job(host, desired) for host, desired in what.hosts]
    wanted = Options(diff, verify_passwords)
    run = new_run("plan", what)
    with closing(run_store.opened(asked, what.inventory)) as store:
        with terminal.Progress() as progress:
            if snapshots:
                hosts = from_snapshots.planned(jobs, snapshots, store, wanted)
            else:
                hosts = planned(jobs, store, wanted, progress)
        run = replace(run, hosts=hosts, from_snapshots=bool(snapshots))
        try:
            store.record(run)
            if out:
                out_file.write(out, plan_document(run, store.key(), asked.roles, what.inventory.approvals).text, "the plan")
        finally:  # what was read is said, also where it can't be written down
            showing.show(run, form, verbose=verbose, commands=commands, diff=diff)
    return showing.ended(run, progress.seconds)


@command.command("show")
@click.argument("file", metavar="PLAN.json", type=click.Path(path_type=Path))
@options.report_output
def show(file: Path, form: str) -> None:
    """Show a plan file again: the very text that plan printed when it wrote it. No host is spoken to.

    What -v, --commands and --diff add to it is not in the file.

    It is refused where one byte of it is not as it was written. Who approved it: opdeploy approve PLAN.json --list

    \b
    Examples:
      opdeploy plan show monday.json
      opdeploy plan show monday.json --format html > monday.html
    """
    showing.shown(approving.plan_file(file), form)
