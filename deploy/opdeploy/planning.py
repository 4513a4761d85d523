"""Diff and plan, pure: desired resources and a host's answers in, changes in order out.

The same functions serve plan, apply, drift and snapshots. `first_reads` and `second_reads` say what to ask (two rounds at
most); `plan` compares. Apply calls `plan_one` again after each change, on answers that the change's own read-back renewed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from opdeploy import guard, reboots
from opdeploy.calls import (
    NOT_IN_SNAPSHOT,
    TIMED_OUT,
    Answer,
    Failure,
    Read,
    Write,
    host_read,
    name_resolve,
    sid_resolve,
)
from opdeploy.model import (
    Action,
    Change,
    HostError,
    HostFailed,
    Machine,
    Missing,
    NotApplicable,
    NotOurs,
    Principal,
    Property,
    Unknown,
    Unproven,
    Verdict,
    sid_of,
)
from opdeploy.resources import access
from opdeploy.resources.base import (
    Answers,
    Owned,
    Resource,
    Scope,
    account_token,
    all_reads,
    comparator,
    map_principals,
    principal_reads,
    principals,
    properties,
)
from opdeploy.resources.desired import Desired as Desired
from opdeploy.resources.desired import Managed as Managed

Observation = dict[str, Answer]  # a read's key -> what came back


@dataclass
class World:
    """What is known of a host while it is planned or applied."""

    machine: Machine
    observation: Observation
    session: guard.Session
    made: set[str] = field(default_factory=set)  # tokens of what earlier changes of this plan will have made

    def answers(self, resource: Resource) -> Answers:
        reads = all_reads(resource)
        first = Answers(reads, self.observation, resource.ABSENT_WHEN)
        return Answers({**reads, **_then_reads(resource, first)}, self.observation, resource.ABSENT_WHEN)


# ---------------------------------------------------------------- what to ask


def first_reads(desired: Desired, options: Collection[str] = ()) -> list[Read]:
    """Everything that can be asked without an answer: the host itself first, then jobs, equal reads once.

    A job that ends between two reads must not be told as ended with a state from before.
    """
    reads: list[Read] = []
    for managed in desired.resources:
        reads += reads_of(managed.resource, options)
    for scope, _ in desired.scopes:
        reads += scope.reads().values()
    for other in desired.others:
        reads += principal_reads(other)
    return list(dict.fromkeys([host_read(), *reboots.READS, *sorted(reads, key=lambda read: read.verb != "job.read")]))


def reads_of(resource: Resource, options: Collection[str] = ()) -> list[Read]:
    """One resource's first round: its reads, what turns its names into SIDs, and what the run's options ask for."""
    optional = [read for option, reads in resource.optional_reads().items() if option in options for read in reads.values()]
    return [*resource.reads().values(), *principal_reads(resource), *optional]


def second_reads(desired: Desired, observation: Observation) -> list[Read]:
    """What the first answers named: a kind's further reads, and the names of the SIDs that were found."""
    found = _found(desired, observation)
    reads: list[Read] = [read for extra in found for read in extra.resource.reads().values()]
    for managed in [*desired.resources, *found]:
        reads += reads_after(managed.resource, observation)
    return [read for read in dict.fromkeys(reads) if read.key not in observation]


def reads_after(resource: Resource, observation: Observation) -> list[Read]:
    """One resource's second round."""
    first = Answers(all_reads(resource), observation, resource.ABSENT_WHEN)
    further = list(_then_reads(resource, first).values())
    try:
        actual = resource.actual(first)
    except (Unknown, Missing, NotApplicable):
        return further
    return further + [name_resolve(p.sid) for p in principals(actual) if p.resolved and not p.name]


def stirred_reads(changed: Resource, desired: Desired) -> list[Read]:
    """What other resources and scopes have to ask again once this one was changed, since they stand on it or came with it.

    An account now has a SID, a folder is there, what is below it inherits anew: the old answers would be *stale*.
    """
    tokens = changed.stirs()
    stirred = [m.resource for m in desired.resources if (m.resource.needs() | m.resource.provides()) & tokens]
    reads = [read for resource in stirred for read in reads_of(resource)]
    return reads + [read for scope, _ in desired.scopes if scope.needs() & tokens for read in scope.reads().values()]


def _then_reads(resource: Resource, answers: Answers) -> Mapping[str, Read]:
    try:
        return resource.then_reads(answers)
    except (Unknown, Missing):
        return {}


def machine(observation: Observation) -> Machine:
    """The host's first answer as `Machine`. Raises `HostFailed` where that is not what came."""
    answer = observation.get(host_read().key)
    if isinstance(answer, Failure):
        kind = HostError if answer.id in (NOT_IN_SNAPSHOT, TIMED_OUT) else HostFailed
        raise kind(f"the host did not say what it is: {answer.message}")
    try:
        if not isinstance(answer, dict):
            raise TypeError
        told = {name: answer[name] for name in Machine.__dataclass_fields__}
        return Machine(**{**told, "build": int(told["build"]), "groups": tuple(told["groups"])})
    except (TypeError, KeyError, ValueError) as error:
        raise HostFailed("the host's first answer is not the agent's", "is something else listening there?") from error


# ---------------------------------------------------------------- the plan


Writes = tuple[Write, ...]


def plan(desired: Desired, world: World) -> list[Change[Any]]:
    """Every resource's change, in the order in which they would be applied."""
    return [change for change, _ in foreseen(desired, world)]


def foreseen(desired: Desired, world: World) -> Iterator[tuple[Change[Any], Writes | None]]:
    """`plan`, each change with the writes that apply would make for it; None: known only then.

    Each is held against what the earlier ones leave: a folder that this plan closes gives nobody what it inherited.
    """
    yield from ((change, ()) for change in _unread_scopes(desired, world.observation))
    then, lists = world, list[Write]()
    for managed in ordered([*_unmanaged(desired, world.observation), *desired.resources]):
        change = plan_one(managed, then)
        writes = _writes(change, then, lists)
        if change.action in ("create", "update", "replace") or change.verdict == "in_sync":
            then.made |= _made(managed.resource, change)
        yield change, writes
        if new := access.lists(writes or ()):
            lists += new
            then = replace(then, observation=then.observation | access.foretold(new, then.observation))


def _made(resource: Resource, change: Change[Any]) -> frozenset[str]:
    """Tokens of what stands after a change. What an installer should have brought before is not there because of it."""
    if resource.absent:
        return frozenset()
    return resource.provides() | (resource.brings() if change.action != "none" else frozenset())


def _writes(change: Change[Any], world: World, lists: Sequence[Write]) -> Writes | None:
    """None where they hang on what this plan makes: an account, a folder, an access list that it wrote before."""
    if change.action == "none":
        return ()
    if _brought(change, world):
        return None
    try:
        writes = tuple(change.resource.writes(change, world.answers(change.resource)))
    except (Unknown, Missing):
        return None
    return None if any(access.hangs(write, lists) for write in access.lists(writes)) else writes


def plan_one(managed: Managed, world: World) -> Change[Any]:
    """One resource against what is known now: the difference, or why there is none to tell. A role's reason stays with it."""
    change = _planned(managed, world)
    unseen = change.resource.unseen(change) if change.action != "none" else ""
    more = [text for text in (unseen, managed.why) if text not in change.reason]
    kind = NotOurs if isinstance(change.reason, NotOurs) else str
    return replace(change, reason=kind("; ".join(filter(None, (change.reason, *more))))) if more else change


def _planned(managed: Managed, world: World) -> Change[Any]:
    resource = resolved(managed.resource, world.observation)
    base = Change(resource, None, "in_sync", roles=managed.roles, reason=managed.why)
    if refusal := resource.refusal(world.machine):
        return replace(base, verdict="would_change", properties=_created(resource), reason=refusal, refused=True)
    answers = world.answers(resource)
    try:
        _check_principals(resource, world)
        actual = named(resource.actual(answers), world.observation)
    except Unknown as unknown:
        return replace(base, verdict="unknown", reason=unknown.reason)
    except NotApplicable as told:
        return replace(base, verdict="not_applicable", reason=told.reason)
    except Missing as missing:
        return _standing_on_nothing(base, missing, world)
    change = compare(base, actual)
    if managed.reported:
        return replace(change, action="none")
    if _brought(change, world):
        return replace(change, known_after_apply=tuple(change.properties))
    try:
        return _judged(change, answers, world)
    except Unknown as unknown:
        return replace(base, actual=actual, verdict="unknown", reason=unknown.reason)


def _brought(change: Change[Any], world: World) -> bool:
    """Whether an earlier change of this plan brings the very thing that is not there yet (a package its service)."""
    return change.action == "create" and bool(change.resource.provides() & world.made)


def _judged(change: Change[Any], answers: Answers, world: World) -> Change[Any]:
    """Held back for a reason, or with all that must be known of it."""
    hindrance = change.resource.hindrance(change, answers, world.machine)
    if reason := hindrance or guard.objection(change, answers, world.machine, world.session):
        ours = not isinstance(reason, NotOurs)
        return replace(change, verdict="would_change", action="none", reason=reason, refused=ours)
    if change.action == "none":
        return change
    notes = filter(None, (change.reason, change.resource.note(change, answers)))
    return replace(change, reason="; ".join(notes))


def _standing_on_nothing(base: Change[Any], missing: Missing, world: World) -> Change[Any]:
    if base.resource.absent:
        return base
    wanted = _created(base.resource)
    if missing.token in world.made:
        return replace(base, verdict="would_change", action="create", properties=wanted, known_after_apply=tuple(wanted))
    return replace(base, verdict="would_change", properties=wanted, reason=missing.reason, refused=True)


def compare(base: Change[Any], actual: Resource | None) -> Change[Any]:
    """The one diff: `base.resource` against `actual`, property by property, by the comparators of the model."""
    desired = base.resource
    if desired.absent:
        return replace(base, actual=actual, **_removal(actual)) if actual is not None else base
    if actual is None:
        return replace(base, verdict="would_change", action="create", properties=_created(desired))
    changed = _differences(desired, actual)
    if not changed:
        return replace(base, actual=actual)
    unproven = [before.reason for before, _ in _values(changed) if isinstance(before, Unproven)]
    action: Action = "replace" if set(changed) & set(desired.REPLACE_ON) else "update"
    verdict: Verdict = "unknown" if unproven else "would_change"
    return replace(
        base, actual=actual, verdict=verdict, action=action, properties=changed, reason="; ".join(unproven) or base.reason
    )


def _values(changed: Mapping[str, Property]) -> list[tuple[Any, Any]]:
    return [(item.before, item.after) for item in changed.values()]


def _created(desired: Resource) -> dict[str, Property]:
    return {name: Property(None, value) for name, value in _telling_values(desired)}


def _removal(actual: Resource) -> dict[str, Any]:
    gone = {name: Property(value, None) for name, value in _telling_values(actual)}
    return {"verdict": "would_change", "action": "remove", "properties": gone}


def _telling_values(resource: Resource) -> list[tuple[str, Any]]:
    kind = type(resource)
    return [(name, value) for name, value in _managed_values(resource) if value != comparator(kind, name).nothing]


def _managed_values(resource: Resource) -> list[tuple[str, Any]]:
    return [(name, value) for name in properties(type(resource)) if (value := getattr(resource, name)) is not None]


def _differences(desired: Resource, actual: Resource) -> dict[str, Property]:
    exact = bool(getattr(desired, "exact", False))
    found = {}
    for name, wanted in _managed_values(desired):
        before, how = getattr(actual, name), comparator(type(desired), name)
        after = how.after(wanted, before, exact) if not isinstance(before, Unproven) else wanted
        if before is None or isinstance(before, Unproven) or not how.same(after, before):
            found[name] = Property(before, after)
    return found


# ---------------------------------------------------------------- principals


def resolved(resource: Resource, observation: Observation) -> Resource:
    """Every name that the host has resolved carries its SID; one that it has not keeps standing for itself."""

    def sid(principal: Principal) -> Principal:
        answer = observation.get(sid_resolve(principal.name).key) if not principal.sid else None
        if isinstance(answer, dict) and answer.get("sid"):
            return Principal(principal.name, answer["sid"].upper())
        return principal

    return map_principals(resource, sid)  # type: ignore[no-any-return]


def named(actual: Resource | None, observation: Observation) -> Resource | None:
    """Every SID that was found carries the name that the host has for it."""

    def name(principal: Principal) -> Principal:
        answer = observation.get(name_resolve(principal.sid).key) if principal.resolved and not principal.name else None
        return Principal(answer["name"], principal.sid) if isinstance(answer, dict) and answer.get("name") else principal

    return map_principals(actual, name)  # type: ignore[no-any-return]


def _check_principals(resource: Resource, world: World) -> None:
    for principal in principals(resource):
        if principal.sid:
            continue
        answer = world.observation.get(sid_resolve(principal.name).key)
        if isinstance(answer, Failure):
            raise Unknown(f"{principal.name}: {answer.message}")
        token = account_token(principal.name)
        if token not in world.made and not resource.absent:  # nobody's name is in no list that it must not be in
            reason = f"no account {principal.name} on this host ({sid_of(principal.name)}), and nothing in this plan makes it"
            raise Missing(token, reason)


# ---------------------------------------------------------------- what the inventory does not name


def _in_scope(scope: Scope, observation: Observation) -> list[Resource]:
    try:
        return list(scope.kind.found(scope.of, Answers(scope.reads(), observation, scope.kind.ABSENT_WHEN)))
    except Missing:
        return []


def _found(desired: Desired, observation: Observation) -> list[Managed]:
    """What is in the owned scopes, each as the absent resource that would remove it."""
    extras = []
    for scope, roles in desired.scopes:
        with suppress(Unknown):
            extras += [Managed(extra, roles, scope.why, not scope.exact) for extra in _in_scope(scope, observation)]
    return extras


def _unread_scopes(desired: Desired, observation: Observation) -> Iterator[Change[Any]]:
    for scope, roles in desired.scopes:
        try:
            _in_scope(scope, observation)
        except Unknown as unknown:
            scope_itself = Owned(of=f"{scope.kind.SCOPE} {scope.of}")
            yield Change(scope_itself, None, "unknown", roles=roles, reason=unknown.reason)


def _unmanaged(desired: Desired, observation: Observation) -> list[Managed]:
    by_roles = [*(managed.resource for managed in desired.resources), *desired.others]
    named_ones = [resolved(resource, observation) for resource in by_roles]
    wanted = {resource.identity for resource in named_ones}
    return [extra for extra in _found(desired, observation) if extra.resource.identity not in wanted]


# ---------------------------------------------------------------- order


def ordered(resources: Iterable[Managed]) -> list[Managed]:
    """As given, but what a resource stands on comes first; what is removed, last of all, in reverse."""
    given = list(resources)
    wanted = [m for m in given if not m.resource.absent]
    brought = {token: m for m in wanted for token in m.resource.brings()}
    makers = brought | {token: m for m in wanted for token in m.resource.provides()}
    done: dict[int, Managed] = {}

    def place(managed: Managed, above: tuple[int, ...]) -> None:
        if id(managed) in done or id(managed) in above:
            return
        under = [brought[token] for token in sorted(managed.resource.provides()) if token in brought]
        for maker in [*under, *(makers[token] for token in sorted(managed.resource.needs()) if token in makers)]:
            place(maker, (*above, id(managed)))
        done[id(managed)] = managed

    for managed in wanted:
        place(managed, ())
    return [*done.values(), *reversed([m for m in given if m.resource.absent])]
