"""What takes back what roles did to a host: each of their resources as it was before we first changed it. Pure.

What was made goes away, what was changed gets its old values. What nobody has a record of, what another role still wants, and
data folders stay as they are, and are said.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from opdeploy.keeping import restored
from opdeploy.resources import work_log
from opdeploy.resources.base import Resource
from opdeploy.resources.desired import Desired, Managed

Found = Callable[[Resource], Any]
"""What the run store has of a resource before our first change. Raises KeyError where it has nothing."""
NO_RECORD = "no change to it is on record"
WHY_NO_RECORD = (
    "what no change is on record of was taken back already, or right from the start, or another store has the record"
)


@dataclass(frozen=True)
class Left:
    """A resource that is not taken back, and why."""

    resource: Resource
    why: str

    def __str__(self) -> str:
        return f"{self.resource.label}: {self.why}"


def undoing(desired: Desired, roles: Collection[str], found: Found) -> tuple[Desired, tuple[Left, ...]]:
    """What a host should be once `roles` (of those that it has) are taken back, and what of them stays."""
    told = [(managed, _undone(managed, roles, found)) for managed in desired.resources if set(managed.roles) & set(roles)]
    back = [(managed, way) for managed, way in told if isinstance(way, Resource)]
    going = {token for managed, way in back if way.absent for token in managed.resource.brings()}
    left = [Left(managed.resource, why + _lost(managed, roles, going)) for managed, why in told if isinstance(why, str) and why]
    stays = desired.work_log and not any(work_log.kept([managed.resource]) for managed, _ in back)
    return Desired(tuple(replace(managed, resource=way) for managed, way in back), work_log=stays), tuple(left)


def _lost(managed: Managed, roles: Collection[str], going: Collection[str]) -> str:
    """What another role wants is no safer for that when the program that brought it is removed."""
    wanted = set(managed.roles) - set(roles)
    return ", and yet the program that brought it is removed" if wanted and managed.resource.provides() & set(going) else ""


def _undone(managed: Managed, roles: Collection[str], found: Found) -> Resource | str:
    if others := [role for role in managed.roles if role not in roles]:
        return f"still wanted by {', '.join(others)}"
    resource = managed.resource
    try:
        known = found(resource)
    except KeyError:
        return NO_RECORD if _could_go(resource) else ""
    try:
        before = restored(known)
        if resource.absent:
            return "it was taken away: what it was is not made anew" if before else ""
        return resource.undone(before)
    except (ValueError, ValidationError) as error:
        return f"what was there can't be put back: {_told(error)}"


def _told(error: ValueError) -> str:
    """In a model's own words, where one refused it."""
    return str(error.errors()[0]["msg"]).removeprefix("Value error, ") if isinstance(error, ValidationError) else str(error)


def _could_go(resource: Resource) -> bool:
    """Whether a host has it because of us: neither what is to be absent nor what only asserts something."""
    try:
        return not resource.absent and resource.undone(None) != ""
    except ValueError:  # a kind that is never absent, such as a log
        return True
