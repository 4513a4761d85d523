"""What a check needs that nobody watches: it ends in time, outlives a broken run store, and leaves nothing unread unsaid."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from opdeploy.cli import terminal
from opdeploy.cli.store import LOST
from opdeploy.engine import pause
from opdeploy.model import ExitCode, OpdeployError
from opdeploy.resources.values import Duration, span
from opdeploy.results import HostResult, Run
from opdeploy.store import Store, database, history
from opdeploy.store.telling import has_spoken

LONGEST = "7d"


class Length(click.ParamType[float]):
    """A length of time, in seconds."""

    name = "length"

    def __init__(self, least: str) -> None:
        self.least = least

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        try:
            seconds = span(str(value))
        except ValueError as error:
            self.fail(str(error), parameter, context)
        if not span(self.least) <= seconds <= span(LONGEST):
            self.fail(f"{value} is not between {self.least} and {LONGEST}", parameter, context)
        return seconds


def limits(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options ``--jitter``, ``--budget`` and ``--host-budget``, as seconds."""
    for option in (
        click.option(
            "--host-budget", type=Length("1s"), metavar="LENGTH", default="10m", help="The time of a host. Default: 10m."
        ),
        click.option(
            "--budget", type=Length("1s"), metavar="LENGTH", default="2h", help="The time of the whole run. Default: 2h."
        ),
        click.option(
            "--jitter",
            type=Length("0s"),
            metavar="LENGTH",
            default="0s",
            help="Wait a random time up to this one first, where many controllers start at once. Default: not at all.",
        ),
    ):
        function = option(function)
    return function


class NotWritten(OpdeployError):
    """Hosts were read, and what was found could not be written down: in the run store, or to where the report goes."""

    def __init__(self, run: Run, why: OpdeployError) -> None:
        super().__init__(f"what was found could not be written down: {why.message}", why.hint)
        self.run = run
        self.exit_code = why.exit_code


@contextmanager
def writing_down(run: Run) -> Iterator[None]:
    """Raises NotWritten for what goes wrong once the hosts were read."""
    try:
        yield
    except OpdeployError as error:
        raise NotWritten(run, error) from error


def wait(jitter: float) -> None:
    """Waits at random, so that many controllers do not start in the same second."""
    if jitter:
        seconds = random.uniform(0, jitter)  # noqa: S311 - nothing secret hangs on it
        terminal.say(f"begins in {Duration(round(seconds))} (--jitter)")
        pause(seconds)


def opened(folder: Path, to_people: bool) -> tuple[Store, bool]:
    """The store, and whether it is a new one after a broken one, of which no check has said so yet: this one set it aside, or
    one that was killed. `to_people`: there are some to tell. As long as a broken one lies there, every check says so.
    """
    database.set_aside(folder, datetime.now(UTC))
    store = Store.open(folder)
    aside = database.aside(folder)
    anew = bool(aside) and not has_spoken(store, to_people)
    if anew:
        said = f"the run store was broken: it is set aside as {aside.pop()}, and a new one begins\n{LOST}"
        terminal.error(OpdeployError(said))
    for path in aside:
        terminal.warning(f"a broken run store lies in {path}: restore it from a backup, or delete it")
    return store, anew


def with_absences(run: Run, store: Store) -> Run:
    """The run, before it is recorded: of each host that checks before it could not read either, since when that is so."""
    before = history.unread(store, [host.name for host in run.hosts if host.error])
    return replace(run, hosts=tuple(_with_absence(host, before.get(host.name.lower())) for host in run.hosts))


def _with_absence(host: HostResult, before: tuple[str, int] | None) -> HostResult:
    if not before:
        return host
    since, checks = before
    told = f"not read since {datetime.fromisoformat(since).astimezone().date()} ({checks + 1} checks in a row)"
    return replace(host, warnings=(*host.warnings, told), absence=told)


def say_unread(run: Run, code: ExitCode) -> None:
    """What of a run nobody knows, in one line, and that the exit code says so, where it does."""
    parts = [part for host in run.hosts if (part := _unread(host))]
    told = f"could not be read: {'; '.join(parts)}" if run.hosts else "no host was read: there was none"
    if parts or not run.hosts:
        terminal.say(told + (f" (exit code {code})" if code == ExitCode.UNKNOWN else ""))


def _unread(host: HostResult) -> str:
    if host.error:
        return host.name
    unknown = sum(item.code == ExitCode.UNKNOWN for item in host.items)
    return f"{unknown} of {len(host.items)} resources of {host.name}" if unknown else ""
