"""pyinfra's state for a run of ours: one host a job, all in one pool, and never an exception that ends the others.

Not `run_ops`: it lines operations up by index, so every host would wait at its n-th change for all others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import gevent
from pyinfra import logger as pyinfra_logger
from pyinfra.api import Config, Inventory, State
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.host import Host as PyinfraHost

from opdeploy.engine import accounts
from opdeploy.engine.interruption import interrupted_here, pause
from opdeploy.engine.limits import Limits, Options
from opdeploy.inventory import Host
from opdeploy.model import HostError, HostFailed, LogonRefused, OpdeployError
from opdeploy.planning import Desired
from opdeploy.rendering import without_secrets
from opdeploy.resources.values import Duration
from opdeploy.results import HostResult
from opdeploy.store import Store
from opdeploy.windows import targets
from opdeploy.windows.station import Records, Station

PARALLEL = 40  # hosts at once
SECOND_TRY = 60.0  # seconds before it: Windows that is just starting, or a line that is being renewed, is not there at once
OPENING = 5.0  # seconds that an interrupted run waits for sessions that are being opened
LOOK = 0.02

Progress = Callable[[str, int, int, str], None]
"""(host, done, of, what): called whenever a host got further."""


def quiet(host: str, done: int, total: int, what: str) -> None:
    """No progress shown."""


@dataclass(frozen=True)
class Job:
    host: Host
    desired: Desired


@dataclass
class Task:
    """One host's part of a run."""

    job: Job
    station: Station
    pyinfra: PyinfraHost = field(init=False)
    refused: bool = False  # the logon was

    @property
    def name(self) -> str:
        return self.job.host.name

    @property
    def warnings(self) -> tuple[str, ...]:
        found = list(self.station.target.warnings)
        if self.station.cost.loader == "raw":
            found.append("the agent had to read raw stdin: its first answer stayed away with the usual loader")
        return tuple(found)

    def connect(self) -> None:
        """Logs in and observes, as the connector's own `connect` does. Raises HostError."""
        try:
            self.pyinfra.connect(show_errors=False, raise_exceptions=True)
        except ConnectError as error:
            raise error.__cause__ or HostFailed(str(error)) from error

    def failed(self, error: BaseException) -> HostResult:
        """What a host leaves that could not be read or applied as a whole, in one line."""
        bug = f"a bug: {type(error).__name__}: {error}"
        known = error if isinstance(error, OpdeployError) else HostFailed(without_secrets(bug))
        self.refused = isinstance(error, LogonRefused)
        status = known.status if isinstance(known, HostError) else "failed"
        return HostResult(self.name, error=known.message, hint=known.hint, error_status=status)


Work = Callable[[Task], HostResult]


def run(jobs: Sequence[Job], store: Store, options: Options, work: Work, progress: Progress = quiet) -> tuple[HostResult, ...]:
    """Every job's result, in the order of the jobs; all sessions are closed when it returns or is interrupted."""
    if not jobs:
        return ()
    with _tasks(jobs, store, options) as (state, tasks), interrupted_here():
        limits = Limits(options)
        results = _each(state, tasks, work, limits)
        again = [task for task in tasks if options.second_try and limits.left > 0 and _out_of_reach(task, results)]
        _wait_for(again, limits, progress)
        return tuple((results | _tried_again(results, _each(state, again, work, limits))).values())


def _each(state: State, tasks: Sequence[Task], work: Work, limits: Limits) -> dict[str, HostResult]:
    """Results by the host's name."""
    greenlets: list[Any] = []
    try:
        for task in tasks:
            greenlets.append(state.pool.spawn(_guarded, task, work, limits))  # waits where the pool is full
        gevent.joinall(greenlets)
    finally:
        _let_open(tasks)
        state.pool.kill()
    return {task.name: greenlet.value for task, greenlet in zip(tasks, greenlets, strict=True)}


def _out_of_reach(task: Task, results: Mapping[str, HostResult]) -> bool:
    """Whether another try may help: not after a refused logon, which could lock the account."""
    return results[task.name].status == "unreachable" and not task.refused and not task.pyinfra.connected


def _wait_for(tasks: Sequence[Task], limits: Limits, progress: Progress) -> None:
    """Gives them time to come back, where the run has as much left; else they are tried again at once."""
    if not tasks or limits.left <= SECOND_TRY:
        return
    for task in tasks:
        progress(task.name, 0, 1, f"out of reach; tried once more in {Duration(SECOND_TRY)}")
    pause(SECOND_TRY)


def _tried_again(first: Mapping[str, HostResult], second: Mapping[str, HostResult]) -> dict[str, HostResult]:
    return {name: _second_try(result, first[name].error) for name, result in second.items()}


def _second_try(result: HostResult, first: str) -> HostResult:
    if result.error:
        return replace(result, details=(*result.details, f"and at the first try: {first}"))
    return replace(result, warnings=(*result.warnings, f"it was read at the second try only; the first: {first}"))


def _let_open(tasks: Sequence[Task]) -> None:
    """Waits a moment for sessions that are just being opened: only then can they be closed."""
    until = time.monotonic() + OPENING
    while any(task.station.opening for task in tasks) and time.monotonic() < until:
        gevent.sleep(LOOK)


def _guarded(task: Task, work: Work, limits: Limits) -> HostResult:
    try:
        with limits.in_time():
            result = work(task)
    except Exception as error:
        result = task.failed(error)
    finally:
        task.station.close()
    evidence = replace(task.station.evidence, answers=result.evidence.answers)
    warnings = (*task.warnings, *result.warnings)
    return replace(result, cost=task.station.cost, warnings=warnings, evidence=evidence)  # what closing took is part of it


@contextmanager
def _tasks(jobs: Sequence[Job], store: Store, options: Options) -> Iterator[tuple[State, list[Task]]]:
    _quieten()
    tasks = [_task(job, store, options) for job in jobs]
    accounts.share({task.name: task.station for task in tasks})
    names = [(f"@winrm/{task.name}", {"opdeploy_station": task.station}) for task in tasks]
    state = State(Inventory((names, {})), Config(PARALLEL=min(PARALLEL, len(tasks))), check_for_changes=False)
    for task in tasks:
        task.pyinfra = state.inventory.get_host(f"@winrm/{task.name}")
        state.activate_host(task.pyinfra)
    try:
        yield state, tasks
    finally:
        for task in tasks:
            task.station.close()


def _task(job: Job, store: Store, options: Options) -> Task:
    target = targets.of_connection(job.host.connection)
    return Task(job, Station(target, Records(store, job.host.name), desired=job.desired, options=options.asked))


def _quieten() -> None:
    """What pyinfra says is ours to say: without a handler, its warnings would reach stderr by logging's last resort."""
    if not pyinfra_logger.handlers:
        pyinfra_logger.addHandler(logging.NullHandler())
    pyinfra_logger.propagate = False
