"""Plan a host: read it in two rounds, compare, and say what apply would do. Nothing is written, nothing could be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from opdeploy import guard, reboots
from opdeploy.calls import Failure, Write
from opdeploy.commands import line
from opdeploy.engine.fleet import Job, Progress, Task, quiet, run
from opdeploy.engine.limits import Options
from opdeploy.model import Change, HostError
from opdeploy.planning import Observation, World, foreseen, machine
from opdeploy.reboots import Reboot
from opdeploy.results import Evidence, HostResult, Item
from opdeploy.store import Store, keys
from opdeploy.windows.station import Records

NOT_YET = "<known after apply>"


@dataclass(frozen=True)
class Observed:
    """A host's raw answers, for a snapshot; `result` says what it is, or why it could not be read."""

    job: Job
    observation: Observation
    result: HostResult


def plan(jobs: Sequence[Job], store: Store, options: Options = Options(), progress: Progress = quiet) -> tuple[HostResult, ...]:
    """Every host's changes. A host that fails is a result as well."""

    def work(task: Task) -> HostResult:
        progress(task.name, 0, 1, "reading")
        task.connect()
        result = host_result(task.job, task.station.observation, items(task.job, task.station.around(), store))
        progress(task.name, 1, 1, "planned")
        return replace(result, evidence=Evidence(answers=digest(task.station.observation, store)))

    return run(jobs, store, options, work, progress)


def digest(observation: Observation, store: Store) -> str:
    """Of all raw answers, under the store's key, since one of them may hold a password."""
    told = {read: asdict(answer) if isinstance(answer, Failure) else answer for read, answer in observation.items()}
    return keys.digest(store.key(), json.dumps(told, sort_keys=True, ensure_ascii=True))


def plan_snapshot(job: Job, observation: Observation, store: Store) -> HostResult:
    """The same plan from answers on disk and the store's. What they do not hold is unknown, for that reason."""
    records = Records(store, job.host.name)
    for managed in job.desired.resources:
        observation |= records.answers(managed.resource.reads().values())
    try:
        world = World(machine(observation), observation, guard.Session(job.host.connection.port))
    except HostError as error:
        return HostResult(job.host.name, error=error.message, hint=error.hint, error_status=error.status)
    result = host_result(job, observation, items(job, world, store))
    return replace(result, evidence=Evidence(answers=digest(observation, store)))


def observe(jobs: Sequence[Job], store: Store, progress: Progress = quiet) -> tuple[Observed, ...]:
    """Every host's raw answers to all that its desired state asks."""
    found: dict[str, Observation] = {}

    def work(task: Task) -> HostResult:
        progress(task.name, 0, 1, "reading")
        task.connect()
        found[task.name] = dict(task.station.observation)
        progress(task.name, 1, 1, "read")
        return host_result(task.job, task.station.observation, ())

    results = run(jobs, store, Options(), work, progress)
    return tuple(Observed(job, found.get(job.host.name, {}), result) for job, result in zip(jobs, results, strict=True))


def host_result(job: Job, observation: Observation, found: tuple[Item, ...]) -> HostResult:
    told = Reboot(reboots.pending(observation), policy=job.host.connection.reboot)
    return HostResult(job.host.name, found, machine(observation), reboot=told)


def items(job: Job, world: World, store: Store) -> tuple[Item, ...]:
    return tuple(_item(job.host.name, change, writes, world, store) for change, writes in foreseen(job.desired, world))


def _item(host: str, change: Change[Any], writes: Sequence[Write] | None, world: World, store: Store) -> Item:
    last = store.last_applied(host, change.resource.KIND, change.resource.key)
    words = tuple(change.resource.words(change, world.answers(change.resource))) if change.action != "none" else ()
    return Item(change, _commands(change, writes), words, last_applied=last)


def _commands(change: Change[Any], writes: Sequence[Write] | None) -> tuple[str, ...]:
    """The calls that apply would make, as lines. What hangs on something that this plan makes is not known yet."""
    if writes is None:
        return (NOT_YET,)
    more = (NOT_YET,) if change.resource.follows(change) else ()
    return (*map(line, writes), *more)
