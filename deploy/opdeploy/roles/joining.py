"""Several roles may name one resource: its properties are joined, additive ones united, two values for one are a clash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from opdeploy.inventory import Node, Problem
from opdeploy.rendering import show
from opdeploy.resources.base import OPTION, Resource, Scope, comparator, parts, properties
from opdeploy.resources.desired import Desired, Managed


@dataclass(frozen=True)
class Wish:
    """What one role asks of a host; `settings` is where its settings stand."""

    role: str
    settings: Node
    thing: Resource | Scope
    why: str = ""


@dataclass
class _Joined:
    """One resource and everybody who asked for it: `said` tells by property (and option) who named it first."""

    resource: Resource
    wishes: list[Wish]
    said: dict[str, Wish] = field(default_factory=dict)

    @property
    def managed(self) -> Managed:
        why = "; ".join(dict.fromkeys(wish.why for wish in self.wishes if wish.why))
        return Managed(self.resource, _roles(self.wishes), why)


def joined(wishes: Iterable[Wish]) -> tuple[Desired, list[Problem]]:
    """What all of the wishes for one host come to, in their order, and what contradicts itself in them."""
    found: dict[tuple[str, str], _Joined] = {}
    scopes: dict[tuple[str, str], list[Wish]] = {}
    problems: list[Problem] = []
    for wish in wishes:
        if isinstance(wish.thing, Scope):
            scopes.setdefault((wish.thing.kind.KIND, wish.thing.of.lower()), []).append(wish)
        elif wish.thing.identity in found:
            problems += _join(found[wish.thing.identity], wish)
        else:
            found[wish.thing.identity] = _first(wish, wish.thing)
    owned = tuple((_scope(same), _roles(same)) for same in scopes.values())
    return Desired(tuple(each.managed for each in found.values()), owned), problems


def _scope(wishes: list[Wish]) -> Scope:
    """Exact as soon as one role has it so."""
    same = [wish.thing for wish in wishes if isinstance(wish.thing, Scope)]
    return replace(same[0], exact=any(scope.exact for scope in same))


def _roles(wishes: Iterable[Wish]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(wish.role for wish in wishes))


def _first(wish: Wish, resource: Resource) -> _Joined:
    return _Joined(resource, [wish], {name: wish for name in _told(resource)})


def _told(resource: Resource) -> dict[str, Any]:
    """What a resource says: its properties, and the options that are not as they are without a word.

    What is never shown (a file's content) speaks through a property of its own (the digest).
    """
    kind = type(resource)
    fields = {name: kind.model_fields[name] for name in parts(kind, OPTION)}
    options = {name for name, info in fields.items() if info.repr and getattr(resource, name) != info.default}
    told = {name: getattr(resource, name) for name in kind.model_fields if name in options or name in properties(kind)}
    return {name: value for name, value in told.items() if value is not None}


def _join(group: _Joined, wish: Wish) -> Iterator[Problem]:
    assert isinstance(wish.thing, Resource)
    new = wish.thing
    values = _told(group.resource)
    group.wishes.append(wish)
    if group.resource.absent != new.absent:
        there, gone = (wish, group.wishes[0]) if group.resource.absent else (group.wishes[0], wish)
        yield _problem(group, wish, f"is to be absent by {_by(gone)}, and is wanted by {_by(there)}")
        return
    for name, value in _told(new).items():
        how = comparator(type(new), name)
        if name not in values:
            values[name] = value
            group.said[name] = wish
        elif how.joins:
            values[name] = how.after(value, values[name], False)
        elif not how.same(value, values[name]):
            first = group.said[name]
            yield _problem(group, wish, f"{name} is {show(values[name])} by {_by(first)}, and {show(value)} by {_by(wish)}")
    yield from _made(group, wish, values)


def _made(group: _Joined, wish: Wish, values: dict[str, Any]) -> Iterator[Problem]:
    """The joined resource; what each role may ask for alone may be a contradiction together."""
    kind = type(group.resource)
    key = {name: getattr(group.resource, name) for name in kind.model_fields if name not in properties(kind)}
    try:
        group.resource = kind.model_validate({**key, **values})
    except ValidationError as error:
        roles = " and ".join(_roles(group.wishes))
        for detail in error.errors(include_url=False, include_input=False):
            said = str(detail.get("ctx", {}).get("error", detail["msg"]))
            yield _problem(group, wish, f"as {roles} have it together: {said}")


def _problem(group: _Joined, wish: Wish, message: str) -> Problem:
    hint = "let one role say it" if len(_roles(group.wishes)) > 1 else "say it once"
    return Problem(wish.settings.key_at, wish.role, f"{group.resource.label}: {message}", hint)


def _by(wish: Wish) -> str:
    return f"{wish.role} ({wish.settings.key_at})"
