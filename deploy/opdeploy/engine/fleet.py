"""pyinfra's state for a run of ours: one host a job, all in one pool, and never an exception that ends the others.

Not `run_ops`: it lines operations up by index, so every host would wait at its n-th change for all others.
"""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

import gevent
from pyinfra import logger as pyinfra_logger
from pyinfra.api import Config, Inventory, State
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.host import Host as PyinfraHost

from opdeploy.engine import accounts
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
LISTEN = 0.2  # seconds: a signal between gevent's last look for one and its wait is not heard before it wakes
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Progress = Callable[[str, int, int, str], None]
"""(host, done, of, what): called whenever a host got further."""


def quiet(host: str, done: int, total: int, what: str) -> None:
    """No progress shown."""


@dataclass(frozen=True)
class Job:
    host: Host
    desired: Desired


@dataclass(frozen=True)
class Options:
    """What a run asks for beyond the ordinary.

    Only for what reads, since a write that is cut off has an outcome nobody knows: `budget` and `host_budget`, the seconds that
    the run and each host may take, and `second_try`, a while later, for hosts that were out of reach.
    """

    diff: bool = False
    verify_passwords: bool = False
    budget: float | None = None
    host_budget: float | None = None
    second_try: bool = False

    @property
    def asked(self) -> frozenset[str]:
        return frozenset(name for name in ("diff", "verify_passwords") if getattr(self, name))


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


Work = Callable[[State, Task], HostResult]


@dataclass(frozen=True)
class Limits:
    """How long a run and each of its hosts may take; it begins when this is made."""

    options: Options
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        return math.inf if self.options.budget is None else self.began + self.options.budget - time.monotonic()

    @contextmanager
    def in_time(self) -> Iterator[None]:
        """One host's part of a run. Raises HostError where its time or the run's is up."""
        left, of_host = self.left, math.inf if self.options.host_budget is None else self.options.host_budget
        up = f"the run's time, {Duration(self.options.budget or 0)}, was up"
        if left <= 0:
            raise HostError(f"not begun: {up}", "give the run more time, or fewer hosts")
        limit = gevent.Timeout(min(left, of_host) if min(left, of_host) < math.inf else None)
        try:
            with limit:  # no Exception: nothing on the way takes it for an error of the host
                yield
        except gevent.Timeout:
            if left < of_host:
                raise HostError(f"not read to its end: {up}", "give the run more time, or fewer hosts") from None
            raise HostError(f"not read within {Duration(of_host)}", "is it overloaded? else give a host more time") from None


def run(jobs: Sequence[Job], store: Store, options: Options, work: Work, progress: Progress = quiet) -> tuple[HostResult, ...]:
    """Every job's result, in the order of the jobs; all sessions are closed when it returns or is interrupted."""
    if not jobs:
        return ()
    with _tasks(jobs, store, options) as (state, tasks), _interrupted_here():
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
            greenlets.append(state.pool.spawn(_guarded, state, task, work, limits))  # waits where the pool is full
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


@contextmanager
def _interrupted_here() -> Iterator[None]:
    """What a signal raises comes to this greenlet: Python runs the handler in whichever is at work, perhaps one that closes."""
    here, hub = gevent.getcurrent(), gevent.get_hub()
    in_main = threading.current_thread() is threading.main_thread()
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS} if in_main else {}
    pending: list[BaseException] = []

    def heard(number: int, frame: FrameType | None) -> None:
        try:
            handlers[number](number, frame)
        except BaseException as raised:
            if gevent.getcurrent() is here:
                raise
            pending.append(raised)
            hub.loop.run_callback(throw)

    def throw() -> None:
        if pending:
            here.throw(pending.pop())

    taken = [number for number, handler in handlers.items() if callable(handler)]
    for number in taken:
        signal.signal(number, heard)
    try:
        with closing(hub.loop.timer(LISTEN, LISTEN)) as awake:
            awake.start(lambda: None)
            yield
    finally:
        for number in taken:
            signal.signal(number, handlers[number])
    if pending:  # heard as the wait ended: nobody goes back to the hub
        raise pending.pop()


def pause(seconds: float) -> None:
    """Waits; what ends a run ends this too."""
    with _interrupted_here():
        gevent.sleep(seconds)


def _let_open(tasks: Sequence[Task]) -> None:
    """Waits a moment for sessions that are just being opened: only then can they be closed."""
    until = time.monotonic() + OPENING
    while any(task.station.opening for task in tasks) and time.monotonic() < until:
        gevent.sleep(LOOK)


def _guarded(state: State, task: Task, work: Work, limits: Limits) -> HostResult:
    try:
        with limits.in_time():
            result = work(state, task)
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
