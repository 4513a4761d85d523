"""``opdeploy access``: when the support's account was on a host, and what it did there. The host is read only."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import click

from opdeploy.cli import options, run_store, terminal
from opdeploy.cli.compiled import compiled
from opdeploy.cli.options import Asked
from opdeploy.cli.times import since_when
from opdeploy.engine import Job, observe
from opdeploy.model import ExitCode, OpdeployError, Unknown, UsageError
from opdeploy.planning import Observation
from opdeploy.reports.access import Access, as_csv, as_html, as_json, as_junit, as_text
from opdeploy.reports.access_events import AccessEvents
from opdeploy.reports.sessions import sessions
from opdeploy.resources.base import Answers
from opdeploy.resources.desired import Desired, Managed
from opdeploy.resources.local_user import LocalUser


@click.group("access")
def command() -> None:
    """Say when the support's account was on a host, and what it did there.

    \b
    Example:
      opdeploy access report db1.example --since 7d
    """


@command.command("report")
@click.argument("host")
@options.asking(options.inventory, options.roles_path, options.store)
@click.option("--since", default="30d", metavar="WHEN", help="A length of time (7d, 12h) or a date (2026-11-01). Default: 30d.")
@click.option("--account", metavar="NAME", help="A local account. Default: that of the host's support_account.")
@options.report_output
def report(asked: Asked, host: str, since: str, account: str | None, form: str) -> ExitCode:
    """List an account's sessions on a host: from when to when, from where, how, elevated or not, and what was done.

    It is read from the host's Security log, which has it where the role access_audit switched it on. What was done in a JEA
    endpoint by the account's virtual identity is in it; what an agent does as SYSTEM is not.

    Exit codes: 0 it was read, 3 it could not be read, 64 a bad inventory or wrong usage.

    \b
    Examples:
      opdeploy access report db1.example -i inventories/lab
      opdeploy access report db1.example --since 2026-11-01 --format html > db1.html
    """
    begin = since_when(since, datetime.now(UTC))
    what = compiled(asked)
    job = Job(*what.host(host))
    asks = AccessEvents(account=_named(account) if account else _account(job), since=begin)
    with closing(run_store.opened(asked, what.inventory)) as store, terminal.Progress() as progress:
        (seen,) = observe([replace(job, desired=Desired((Managed(asks),)))], store, progress=progress)
    if seen.result.error:
        terminal.error(OpdeployError(f"{host}: {seen.result.error}", seen.result.hint))
        return seen.result.code
    try:
        told = _told(host, asks, seen.observation)
    except Unknown as unknown:
        terminal.error(OpdeployError(f"{host}: its Security log could not be read: {unknown.reason}"))
        return ExitCode.UNKNOWN
    terminal.write({"text": as_text, "html": as_html, "json": _json, "csv": as_csv, "junit": as_junit}[form](told))
    return ExitCode.OK


def _told(host: str, asks: AccessEvents, observation: Observation) -> Access:
    first = Answers(asks.reads(), observation, asks.ABSENT_WHEN)
    answers = Answers({**asks.reads(), **asks.then_reads(first)}, observation, asks.ABSENT_WHEN)
    found = tuple(sessions(asks.events(answers)))
    return Access(host, asks.account, asks.since, found, asks.cut(answers), asks.there(answers))


def _json(told: Access) -> str:
    return json.dumps(as_json(told), indent=2) + "\n"


def _named(account: str) -> str:
    if set(account) & set('"\\/@'):
        raise UsageError(f"--account {account}: no local account's name", "write it without a domain: op-support")
    return account


def _account(job: Job) -> str:
    """Whom the host's role makes."""
    for managed in job.desired.resources:
        if isinstance(managed.resource, LocalUser) and "support_account" in managed.roles:
            return managed.resource.name
    raise UsageError(f"{job.host.name} has no support_account", "name the account with --account")
