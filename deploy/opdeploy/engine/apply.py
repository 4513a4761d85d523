"""Apply: each host is read once more, compared with what was approved, and changed, one pyinfra operation a change.

A change's writes are computed when its turn comes, from the newest answers, and read back in the request that makes them.
A change that failed or was refused takes with it what needs it; the rest of the host, and the other hosts, carry on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pyinfra.api import operation
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import add_op
from pyinfra.api.operations import run_host_op
from pyinfra.api.state import StateStage
from pyinfra.context import ctx_host, ctx_state

from opdeploy.engine import work_log
from opdeploy.engine.fleet import Job, Progress, Task, quiet, run
from opdeploy.engine.limits import Options
from opdeploy.engine.observe import host_result, items
from opdeploy.model import SETTLED, Change, HostError, OpdeployError
from opdeploy.planning import Managed, World, plan_one
from opdeploy.resources.base import RESTART_WINRM
from opdeploy.results import HostResult, Item
from opdeploy.store import Recorder, Store
from opdeploy.windows import restarts
from opdeploy.windows.operations import converge

STALE = "not as the plan saw it, left untouched"
AGAIN = "it was in sync until this run changed what it stands on: plan and apply again"

Review = Callable[[HostResult], Sequence[str]]
"""What differs, in words, between a host as it is now and as it was approved; nothing: go ahead."""


@dataclass
class Progressing:
    """One host on its way: what was done, and what can't be any more."""

    task: Task
    world: World
    lost: set[str] = field(default_factory=set)  # tokens of what should be there and is not
    stopped: str = ""  # why nothing more is begun on it
    items: list[Item] = field(default_factory=list)


@operation()
def change(managed: Managed, world: World, station: Any) -> Iterator[StringCommand]:
    """One change of a plan, as pyinfra sees it."""
    yield from converge(managed, world, station)


def apply(
    jobs: Sequence[Job],
    store: Store,
    recorder: Recorder,
    review: Review | None = None,
    progress: Progress = quiet,
) -> tuple[HostResult, ...]:
    """Every host's changes with their outcomes. A host that `review` finds stale is left untouched and says in what."""

    def work(task: Task) -> HostResult:
        progress(task.name, 0, 1, "reading")
        task.connect()
        planned = host_result(task.job, task.station.observation, items(task.job, task.station.around(), store))
        if stale := list(review(planned) if review else ()):
            return replace(planned, items=(), error=STALE, details=tuple(stale), error_status="failed")
        done = _afterwards(task, _changed(task, planned, recorder, progress), recorder, progress)
        return _left_word(task, done, recorder)

    return run(jobs, store, Options(), work)


def _afterwards(task: Task, result: HostResult, recorder: Recorder, progress: Progress) -> HostResult:
    """What only the end of a run may do: Windows started anew, or WinRM. What failed for want of it is tried once more."""
    station, wanted = task.station, task.station.reboots
    told = tuple(replace(item, reboot=wanted.get(item.id, "")) for item in result.items)
    result = replace(result, items=told, reboot=replace(result.reboot, wanted=dict(wanted)))
    try:
        if wanted and not station.lost and task.job.host.connection.reboot == "if_needed":
            progress(task.name, 0, 1, "starting Windows anew")
            done = restarts.reboot(station)
            result = replace(_tried_again(task, result, recorder, progress), reboot=replace(result.reboot, done=done))
        elif not station.lost and any(RESTART_WINRM in _afterwards_of(item) for item in result.items):
            progress(task.name, 0, 1, "starting WinRM anew")
            restarts.restart_winrm(station)
    except HostError as error:
        return replace(result, error=error.message, hint=error.hint, error_status=error.status)
    return result


def _left_word(task: Task, result: HostResult, recorder: Recorder) -> HostResult:
    """What was done stands in the host's own log from now on, where it keeps one. That it can't is no fault of the changes."""
    events = work_log.events(result, recorder.run) if task.job.desired.work_log else []
    if events and task.station.lost:
        task.station.close()  # one try in a new session
    for event in events:
        if failure := task.station.try_write(event):
            return replace(result, warnings=(*result.warnings, f"its work log does not tell of this run: {failure.message}"))
    return result


def _afterwards_of(item: Item) -> frozenset[str]:
    return item.change.resource.afterwards(item.change) if item.outcome == "applied" else frozenset()


def _tried_again(task: Task, before: HostResult, recorder: Recorder, progress: Progress) -> HostResult:
    """What failed, and what needs it, once more after Windows was started anew."""
    open_ids = {item.id for item in before.items if item.outcome in ("failed", "not_reached")}
    world = task.station.observe(task.job.desired, task.station.options)
    found = tuple(item for item in items(task.job, world, recorder.store) if item.id in open_ids)
    now = host_result(task.job, task.station.observation, found)
    again = {item.id: item for item in _changed(task, now, recorder, progress).items}
    return replace(before, items=tuple(_settled(item, again.get(item.id)) for item in before.items))


def _settled(before: Item, again: Item | None) -> Item:
    if again is None:
        return before
    return replace(before, outcome="applied", error="", cause="") if again.change.verdict == "in_sync" else again


def _changed(task: Task, planned: HostResult, recorder: Recorder, progress: Progress) -> HostResult:
    host = Progressing(task, task.station.around())
    open_items = [item for item in planned.items if item.change.verdict not in SETTLED]
    operations = _prepared(host, open_items)
    for number, item in enumerate(open_items):
        so_far = partial(progress, task.name, number, len(open_items))
        so_far(item.id)
        task.station.told = partial(_told, so_far, item.id)
        host.items.append(_journalled(recorder, host, item, partial(_outcome, host, item, operations.get(number))))
    progress(task.name, len(open_items), len(open_items), "applied")
    settled = {item.id: item for item in host.items}
    found = tuple(settled.get(item.id) or _still(item, host) for item in planned.items)
    return host_result(task.job, task.station.observation, found)


def _told(so_far: Callable[[str], None], id: str, text: str) -> None:
    """How far a change is that takes long: a file on its way."""
    so_far(f"{id}: {text}")


def _journalled(recorder: Recorder, host: Progressing, item: Item, change: Callable[[], Item]) -> Item:
    """Makes a change between its two entries in the journal. What can't be journalled is not begun, nor is what follows; of
    what is not changed (a manual step, an unknown, what is refused or not reached) only the second: nothing begins, and
    `found` is left to the change that will.
    """
    begun = None if host.stopped else _begun(host, item)
    try:
        if begun:
            recorder.before(host.task.name, begun)
    except OpdeployError as error:
        host.stopped = f"it can't be journalled: {error.message}"
    if host.stopped:
        return replace(item, outcome="not_reached", error=host.stopped)
    done = change()
    untouched = begun is not None and done.outcome == "failed" and _is_as_it_was(host, begun)
    try:
        recorder.after(host.task.name, done, untouched=untouched)
    except OpdeployError as error:
        host.stopped = f"what came before it can't be journalled: {error.message}"
    return done


def _begun(host: Progressing, item: Item) -> Item | None:
    """The change with what is there now that its turn came; None where nothing is begun.

    What a plan could not look at yet, since an earlier change brings what that takes, may be there all the same.
    """
    now = plan_one(Managed(item.change.resource, item.change.roles), host.world)
    if "none" in (item.change.action, now.action) or _out_of_reach(host, item.change):
        return None
    had = now.resource.had(now, host.world.answers(now.resource))
    return replace(item, change=replace(item.change, actual=had))


def _is_as_it_was(host: Progressing, begun: Item) -> bool:
    """Whether a change that failed is seen to have changed nothing: somebody else may make it before our next one."""
    now = plan_one(Managed(begun.change.resource, begun.change.roles), host.world)
    if host.task.station.lost or now.action == "none":
        return False
    answers = host.world.answers(now.resource)
    work = now.resource.work(answers)
    return not (work and (work.running or work.settling)) and bool(now.resource.had(now, answers) == begun.change.actual)


def _still(item: Item, host: Progressing) -> Item:
    """One that was in sync, by the newest answers: what a folder loses that this run closed, its own folders lose too."""
    if host.task.station.lost:
        return item
    now = plan_one(Managed(item.change.resource, item.change.roles), host.world)
    if now.verdict == "in_sync":
        return item
    return replace(item, change=replace(now, reason="; ".join(filter(None, (now.reason, AGAIN)))))


def _prepared(host: Progressing, open_items: list[Item]) -> dict[int, str]:
    """One pyinfra operation for each change that can be made: number -> operation's hash."""
    hashes, task = {}, host.task
    for number, item in enumerate(open_items):
        if item.change.action == "none":
            continue
        managed = Managed(item.change.resource, item.change.roles)
        add_op(task.pyinfra.state, change, managed, host.world, task.station, name=item.id, host=[task.pyinfra])
        hashes[number] = task.pyinfra.op_hash_order[-1]
    return hashes


def _out_of_reach(host: Progressing, planned: Change[Any]) -> str:
    """Why a change can't be begun any more; '' if it can."""
    if missing := sorted(planned.resource.needs() & host.lost):
        return f"it needs {', '.join(missing)}"
    return "the session was lost before its turn" if host.task.station.lost and planned.action != "none" else ""


def _outcome(host: Progressing, item: Item, operation_hash: str | None) -> Item:
    planned: Change[Any] = item.change
    if why := _out_of_reach(host, planned):
        host.lost |= planned.resource.provides() if not host.task.station.lost else set()
        return replace(item, outcome="not_reached", error=why)
    if operation_hash is None:
        host.lost |= planned.resource.provides() if planned.actual is None else set()
        return replace(item, outcome="refused") if planned.refused else item
    error = _run(host, operation_hash)
    if error:
        host.lost |= planned.resource.provides() if planned.actual is None else set()
        return replace(item, outcome="failed", error=error, cause=host.task.station.causes.pop(item.id, ""))
    return replace(item, outcome="applied")


def _run(host: Progressing, operation_hash: str) -> str:
    """Runs one operation; '' or why it failed."""
    target = host.task.pyinfra
    target.state.current_stage = StateStage.Execute
    with ctx_state.use(target.state), ctx_host.use(target):
        if run_host_op(target.state, target, operation_hash):
            return ""
    meta = target.state.get_op_data_for_host(target, operation_hash).operation_meta
    return "; ".join(meta.stderr_lines) or "it failed without a word"
