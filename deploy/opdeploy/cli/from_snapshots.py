"""Planning from answers on disk: the same plan by the same code, for hosts that nobody need reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from opdeploy.calls import Read
from opdeploy.cli import terminal
from opdeploy.engine import Job, Options, plan_snapshot
from opdeploy.model import UsageError
from opdeploy.planning import Observation, first_reads, second_reads
from opdeploy.results import HostResult, Item
from opdeploy.store import Store
from opdeploy.store.snapshots import Snapshot, ask, load, opened
from opdeploy.store.tokens import honest

SUFFIXES = (".json", ".txt")


def planned(jobs: Sequence[Job], directory: Path, store: Store, options: Options) -> tuple[HostResult, ...]:
    """Every host's changes against its snapshot. Raises UsageError for a file that is none, or two of one host."""
    snapshots = _read(directory)
    known = {job.host.name for job in jobs}
    if others := sorted(snapshots.keys() - known):
        terminal.warning(f"{directory} also has snapshots of hosts that were not asked for: {', '.join(others)}")
    return tuple(_planned(job, snapshots.get(job.host.name), directory, store, options) for job in jobs)


def taken_at(directory: Path) -> dict[str, str]:
    """When each host's snapshot was taken."""
    return {name: snapshot.taken_at for name, snapshot in _read(directory).items()}


def _read(directory: Path) -> dict[str, Snapshot]:
    if not directory.is_dir():
        raise UsageError(f"{directory}: no such folder of snapshots", "take some: opdeploy snapshot take HOST --out DIR")
    found: dict[str, Snapshot] = {}
    for path in sorted(directory.iterdir()):
        if path.suffix not in SUFFIXES or path.name.startswith("."):
            continue
        snapshot = load(path)
        if snapshot.host in found:
            raise UsageError(f"{path}: a second snapshot of {snapshot.host}", "keep one of them in this folder")
        found[snapshot.host] = snapshot
    return found


def _planned(job: Job, snapshot: Snapshot | None, directory: Path, store: Store, options: Options) -> HostResult:
    if snapshot is None:
        hint = f"opdeploy snapshot take {job.host.name} --out {directory}"
        return HostResult(job.host.name, error=f"no snapshot of it in {directory}", hint=hint)
    try:
        return _of(snapshot, job, store, options)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        hint = f"take it again: opdeploy snapshot take {job.host.name} --out {directory}"
        told = f"an answer in its snapshot is not in the agent's form ({type(error).__name__})"
        return HostResult(job.host.name, error=told, hint=hint, error_status="failed")


def _of(snapshot: Snapshot, job: Job, store: Store, options: Options) -> HostResult:
    resources = [managed.resource for managed in job.desired.resources]
    readable = opened(snapshot, resources, store.key())

    def asked(reads: Sequence[Read]) -> Observation:
        return ask(readable, reads, lambda read: store.answer(read, job.host.name))

    observation = asked(first_reads(job.desired, options.asked))
    observation |= asked(second_reads(job.desired, observation))
    result = plan_snapshot(job, observation, store)
    items = tuple(_honest(item) for item in result.items)
    return replace(result, items=items, warnings=(*result.warnings, f"from a snapshot taken {snapshot.taken_at}"))


def _honest(item: Item) -> Item:
    change = honest(item.change)
    return item if change is item.change else replace(item, change=change, commands=(), words=())
