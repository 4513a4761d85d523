"""``waivers.yml``: which differences are known and accepted, by whom, why, and until when.

It lies in the inventory, so that a waiver is reviewed like everything else there. It is no part of what a host should be:
it changes no plan, and is not in the digest that a plan file holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationInfo

from opdeploy.inventory.groups import ALL
from opdeploy.inventory.hosts import Host
from opdeploy.inventory.limits import selected
from opdeploy.inventory.problems import InventoryError, Problem, near, printable
from opdeploy.inventory.validate import found, validated
from opdeploy.inventory.yaml_file import Node
from opdeploy.model import UsageError

LONGEST = timedelta(days=366)
GLOB = frozenset("*?[")


@dataclass(frozen=True)
class Waiver:
    """`named`: the hosts that its pattern leaves. `at`: file:line. No properties: all, and that it is there or not."""

    at: str
    hosts: str
    named: frozenset[str]
    resource: str
    properties: tuple[str, ...]
    reason: str
    by: str
    until: date

    def matches(self, id: str) -> bool:
        """Whether it is about a resource, by ``kind/key``."""
        return fnmatchcase(id.lower(), self.resource.lower())


# ---------------------------------------------------------------- as it is written


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("it says nothing")
    return text.strip()


def _of_resources(text: str) -> str:
    if "/" not in text:
        raise ValueError("expected KIND/KEY, as a plan names them: service/Spooler, firewall_rule/OP-*")
    return text


def _some(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if names == ():
        raise ValueError("an empty list: name properties, or leave it out for all")
    return names


def _day(value: Any) -> Any:
    """A day, and no time or number of seconds, which pydantic would take as well."""
    if isinstance(value, datetime) or not isinstance(value, date | str):
        raise ValueError(f"expected a date (2026-12-31), found {found(value)}")
    return value


def _bearable(until: date, info: ValidationInfo) -> date:
    if info.context and until > info.context["today"] + LONGEST:
        raise ValueError(f"more than {LONGEST.days} days ahead: a waiver is looked at anew at least once a year")
    return until


Text = Annotated[str, AfterValidator(_said)]


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    hosts: Text = ALL
    """Which hosts, as `--limit` takes them."""
    resource: Annotated[Text, AfterValidator(_of_resources)]
    """Which resources: a glob over KIND/KEY, as a plan names them."""
    properties: Annotated[tuple[Text, ...] | None, AfterValidator(_some)] = None
    """Which of their properties; left out: all."""
    reason: Text
    """Why the difference is accepted."""
    by: Text
    """Who accepts it."""
    until: Annotated[date, BeforeValidator(_day), AfterValidator(_bearable)]
    """The last day on which it is accepted."""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    waivers: tuple[_Written, ...] | None = None


def read_waivers(
    document: Node, hosts: Sequence[Host], groups: Mapping[str, tuple[str, ...]], today: date
) -> tuple[tuple[Waiver, ...], list[Problem]]:
    """The waivers of a parsed file, and every problem of them."""
    try:
        written = validated(_File, document, "", {"today": today}).waivers or ()
    except InventoryError as error:
        return (), list(error.problems)
    waivers: list[Waiver] = []
    problems: list[Problem] = []
    for number, (one, node) in enumerate(zip(written, document.mapping["waivers"].items if written else (), strict=True)):
        try:
            named = frozenset(host.name for host in selected(hosts, groups, [one.hosts]))
        except UsageError as error:
            at = node.mapping.get("hosts", node).key_at  # 'all' of an inventory without hosts
            problems.append(Problem(at, f"waivers[{number}].hosts", error.message.removeprefix("the limit "), error.hint))
            continue
        problems += _unheard_of(one, node, f"waivers[{number}]")
        waivers.append(_waiver(one, node, named))
    return tuple(waivers), problems


def _unheard_of(written: _Written, node: Node, path: str) -> Iterator[Problem]:
    """A kind that there is not, or a property that its kind has not: it would never accept anything. A glob may be any kind."""
    from opdeploy.resources import KINDS  # a quarter of a second, for who waives something
    from opdeploy.resources.base import properties

    name = written.resource.partition("/")[0].lower()
    if kind := KINDS.get(name):
        there = properties(kind)
        for number, one in enumerate(written.properties or ()):
            if one not in there:
                at, hint = node.mapping["properties"].items[number].at, near(one, there) or f"it has {', '.join(there)}"
                yield Problem(at, f"{path}.properties[{number}]", f"{name} has no property {printable(one)}", hint)
    elif not GLOB.intersection(name):
        hint = near(name, KINDS) or "list the kinds: opdeploy explain"
        yield Problem(node.mapping["resource"].key_at, f"{path}.resource", f"there is no kind {printable(name)}", hint)


def _waiver(written: _Written, node: Node, named: frozenset[str]) -> Waiver:
    given = written.model_dump(exclude={"properties"})
    return Waiver(f"{node.at.file}:{node.at.line}", named=named, properties=written.properties or (), **given)
