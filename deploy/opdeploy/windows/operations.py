"""pyinfra operations, one a resource kind: `from opdeploy.windows import operations as windows`.

    windows.service("Spooler", start_mode="disabled", name="No printing here")
    windows.registry_value("local_machine", r"SOFTWARE\\OP", "Port", type="dword", data=3050)

What names a resource comes first, by position: pyinfra takes `name=` for the operation's. The rest are the kind's properties,
`absent=True` among them. State is read over the connector in one request a resource, or in two for a whole script that
begins with `expect(...)`. A secret is an `opdeploy.model.Secret`: a plain `str` is refused, since pyinfra logs arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import OperationValueError

from opdeploy.model import SETTLED, Change
from opdeploy.planning import Desired, Managed, World, plan, plan_one, reads_after, reads_of, stirred_reads
from opdeploy.resources import KINDS
from opdeploy.resources.base import KEY, Resource, Work, parts
from opdeploy.resources.values import Duration
from opdeploy.windows.carrier import AgentCommand, Look, Refusal
from opdeploy.windows.station import Station, pauses

PASSES = 2  # a resource may need what its own first write made
SETTLES = 120.0  # seconds that ended work may take to show


def expect(*resources: Resource) -> None:
    """Reads all of them in two rounds now, so that their operations need not ask one by one."""
    _observed(Desired(tuple(map(Managed, resources))))


def whole(desired: Desired) -> None:
    """Everything that a host should be, one operation a resource, in the order in which one stands on the other."""
    for change in plan(desired, _observed(desired)):
        ensure(change.resource, name=change.resource.label)


def _observed(desired: Desired) -> World:
    """Read now, and again in part whenever an operation changes what it stands on."""
    station: Station = host.connector.station
    station.desired = desired
    return station.observe(desired)


def made(kind: type[Resource], key: tuple[Any, ...], properties: dict[str, Any]) -> Resource:
    """The resource that an operation's arguments describe. Raises OperationValueError with every fault."""
    names = parts(kind, KEY)
    if len(key) > len(names):
        raise OperationValueError(f"{kind.KIND} is named by {', '.join(names)}; the rest are given by name")
    try:
        return kind.model_validate({**dict(zip(names, key, strict=False)), **properties})
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_input=False)]
        raise OperationValueError(f"{kind.KIND}: {'; '.join(faults)}") from None


def converge(managed: Managed, world: World, station: Station) -> Iterator[StringCommand]:
    """The commands that close one resource's difference, computed from the newest answers; nothing where there is none.

    pyinfra takes the next command only when the last one succeeded, so what follows a `yield` follows its success.
    """
    for _ in range(PASSES):
        change = plan_one(managed, world)
        if change.verdict in SETTLED or change.resource.BY_HAND:
            return
        if change.action == "none":
            yield Refusal(f"{change.resource.label}: {change.reason}")
            return
        answers = world.answers(change.resource)
        untold = change.resource.reboot(answers)  # an earlier run did not live to say so
        yield AgentCommand(list(change.resource.writes(change, answers)), read_back(change, world, station.desired))
        if further := [read for read in reads_after(change.resource, world.observation) if read.key not in world.observation]:
            yield AgentCommand(reads=further)
        work = yield from _to_the_end(change, world, station)
        if why := change.resource.reboot(world.answers(change.resource)) or untold:
            station.reboots[change.resource.address] = why
        yield from _failed(change.resource, work, station)
        station.remember(change.resource)
    left = plan_one(managed, world)
    if left.verdict != "in_sync":
        yield Refusal(f"{left.resource.label}: read back, {remaining(left)}")


def _to_the_end(change: Change[Any], world: World, station: Station) -> Generator[StringCommand, None, Work | None]:
    """Waits for long work, telling how long already, and says how it ended."""
    resource, waits, left, began = change.resource, pauses(), SETTLES, station.clock()
    while (work := resource.work(world.answers(resource))) and work.running and left > 0:
        pause = next(waits)
        left -= pause if work.settling else 0
        how = "ended on the host, and not seen to be done" if work.settling else "runs on the host"
        station.told(f"{how}; waited {Duration(round(station.clock() - began))}")
        yield Look(read_back(change, world), pause)
    return work


def _failed(resource: Resource, work: Work | None, station: Station) -> Iterator[StringCommand]:
    """What long work failed with is the change's error, with what its log says."""
    if work and work.error:
        if work.log:
            yield Look([work.log], 0)
        if log := station.kept_log(resource, work.log):
            station.causes[resource.address] = work.error
        yield Refusal(": ".join(filter(None, (resource.label, work.error, log))))


def read_back(change: Change[Any], world: World, desired: Desired = Desired()) -> list[Any]:
    """What proves a change, in the request that makes it: its first reads, and its second as far as they are known.

    And what others stand on it for: their answers would be old.
    """
    reads = [*reads_of(change.resource), *reads_after(change.resource, world.observation)]
    return list(dict.fromkeys([*reads, *stirred_reads(change.resource, desired)]))


def remaining(change: Change[Any]) -> str:
    if change.properties:
        return f"it still differs in {', '.join(change.properties)}"
    return change.reason or f"it is {'still' if change.action == 'remove' else 'not'} there"


def _operation(kind: type[Resource]) -> Callable[..., Any]:
    def close(*key: Any, **properties: Any) -> Iterator[StringCommand]:
        yield from _closing(made(kind, key, properties))

    close.__name__ = kind.KIND
    close.__doc__ = kind.__doc__
    return operation()(close)


@operation()
def ensure(resource: Resource) -> Iterator[StringCommand]:
    """Any resource, ready made."""
    yield from _closing(resource)


def _closing(resource: Resource) -> Iterator[StringCommand]:
    """pyinfra prepares every operation before it runs the first: what one makes, the later ones have to ask about again."""
    station, managed = host.connector.station, Managed(resource)
    world = station.world(resource)
    if resource.identity not in (known.resource.identity for known in station.desired.resources):
        station.desired = replace(station.desired, resources=(*station.desired.resources, managed))
    yield from converge(managed, world, station)


_made = {kind: _operation(model) for kind, model in KINDS.items()}
globals().update(_made)
__all__ = ["ensure", "expect", "whole", *_made]
